"""A campaign: plan, synthesise, measure, analyse, decide, until the target is there.

It may be stopped at any moment and started again in the same folder. What is to be done next is
written down before it is ordered, under a key made of the campaign's name, so that an order that
was under way is found again at the laboratory and none is placed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ray_matdesign.agents.laboratory.analysis import Analysis, identify
from ray_matdesign.agents.laboratory.balancing import atoms_of
from ray_matdesign.agents.laboratory.decision import (
    ActiveLearning,
    Experiment,
    Observation,
    RandomOrder,
    Strategy,
)
from ray_matdesign.agents.laboratory.impedance import fit_best
from ray_matdesign.agents.laboratory.interface import Lab, LabUnreachable, Unsafe
from ray_matdesign.agents.laboratory.journal import (
    BadCampaign,
    Begun,
    CampaignSettings,
    Conducted,
    Done,
    Journal,
)
from ray_matdesign.agents.laboratory.messages import (
    Impedance,
    Job,
    Limits,
    Order,
    Pattern,
    Sample,
    Spectrum,
    Work,
    Xrd,
)
from ray_matdesign.agents.laboratory.phases import PHASES, within
from ray_matdesign.agents.laboratory.planning import Route, routes, synthesis_of
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.stability.reference import ReferenceSet

_UNREACHABLE_TRIES = 60
Told = TypeVar("Told")


@dataclass(frozen=True)
class Outcome:
    """What a campaign came to.

    Attributes:
        found: The experiment that reached the goal; ``None`` if none did.
        experiments: All of them, in order.
        conducted: The conductivity, if it was asked for and there is a sample.
    """

    found: Done | None
    experiments: tuple[Done, ...]
    conducted: Conducted | None


class Campaign:
    """One campaign in one folder, at one laboratory.

    Args:
        settings: What it is after.
        lab: Where it is done.
        folder: Of its journal; made if it is not there.
        wait: Called between two looks at a job: sleeps, or lets a laboratory's clock run.
        planned: Routes, if they are known already; by default planned from the laboratory's stock.
        tell: Told of each experiment that is done.
        name: Of a campaign that begins; see :class:`~.journal.Journal`.

    Raises:
        BadCampaign: The folder holds a campaign with other settings, or the target is no reference
            phase.
        NoRoute: Nothing in stock makes the target.
        LabError: The laboratory does not say what it has.
    """

    def __init__(
        self,
        settings: CampaignSettings,
        lab: Lab,
        folder: Path,
        *,
        wait: Callable[[], None],
        planned: Sequence[Route] | None = None,
        tell: Callable[[Done], None] = lambda done: None,
        name: str | None = None,
    ) -> None:
        if settings.target not in PHASES:
            raise BadCampaign(
                f"{settings.target}: no reference phase to recognise it by; there are "
                f"{', '.join(PHASES)}"
            )
        self._settings = settings
        self._lab = lab
        self._wait = wait
        self._tell = tell
        self._journal = Journal(folder, settings, name)
        about = lab.about()
        self.routes = tuple(planned or plan(settings, [s.name for s in about.stock], about.limits))
        self._strategy: Strategy = (
            RandomOrder(settings.seed)
            if settings.strategy == "random"
            else ActiveLearning(self.routes, settings.goal)
        )

    def run(self) -> Outcome:
        """Goes on until the goal is reached or the budget is spent.

        Raises:
            LabUnreachable: It stayed away for long; run the campaign again to go on.
            BadLines: The journal is damaged.
        """
        while True:
            done, begun = self._journal.experiments()
            found = next((d for d in done if (d.purity or 0.0) >= self._settings.goal), None)
            if begun is None and (found or len(done) >= self._settings.budget):
                break
            if begun is None:
                experiment = self._next(done)
                if experiment is None:
                    break
                begun = Begun(number=len(done) + 1, **vars(experiment))
                self._journal.write(begun)
            finished = self._experiment(begun)
            self._journal.write(finished)
            self._tell(finished)
        return Outcome(found, tuple(done), self._conduct(done))

    def _next(self, done: Sequence[Done]) -> Experiment | None:
        """What to do next; ``None`` if everything was done."""
        tried = {Experiment(d.route, d.temperature_c, d.hold_h) for d in done}
        barred = {d.route for d in done if d.reason.startswith(_CANCELLED)}
        left = [e for e in self.space() if e not in tried and e.route not in barred]
        if not left:
            return None
        seen = [
            Observation(Experiment(d.route, d.temperature_c, d.hold_h), d.purity, d.shares)
            for d in done
            if d.purity is not None
        ]
        return self._strategy.choose(left, seen)

    def space(self) -> list[Experiment]:
        """Every experiment that may be chosen."""
        return [
            Experiment(route, temperature, hold)
            for route in range(len(self.routes))
            for temperature in self._settings.temperatures_c
            for hold in self._settings.holds_h
        ]

    def _experiment(self, begun: Begun) -> Done:
        route = self.routes[begun.route]
        s = self._settings
        synthesis = synthesis_of(
            route, begun.temperature_c, begun.hold_h, batch_g=s.batch_g, milling=s.milling
        )
        common: dict[str, Any] = begun.model_dump(exclude={"entry"})
        common["precursors"] = route.precursors
        stem = f"{self._journal.name}:{begun.number}"
        made, jobs = self._ordered(f"{stem}:synthesis", synthesis)
        if not isinstance(made, Sample):
            return Done(**common, jobs=jobs, reason=str(made))
        seen, more = self._ordered(f"{stem}:xrd", Xrd(sample=made.sample))
        jobs = (*jobs, *more)
        if not isinstance(seen, Pattern):
            return Done(**common, jobs=jobs, sample=made.sample, reason=str(seen))
        analysis = identify(seen, [phase.name for phase in candidates(route)])
        return Done(**common, jobs=jobs, sample=made.sample, **_findings(analysis, s.target))

    def _conduct(self, done: Sequence[Done]) -> Conducted | None:
        known = [e for e in self._journal.entries() if isinstance(e, Conducted)]
        best = max((d for d in done if d.sample), key=lambda d: d.purity or 0.0, default=None)
        if known or not self._settings.conductivity or best is None or best.sample is None:
            return known[0] if known else None
        work = Impedance(sample=best.sample)
        seen, jobs = self._ordered(f"{self._journal.name}:{best.number}:impedance", work)
        if isinstance(seen, Spectrum):
            fit = fit_best(seen)
            conducted = Conducted(
                sample=best.sample,
                jobs=jobs,
                conductivity_s_per_cm=fit.conductivity_s_per_cm,
                error_s_per_cm=fit.conductivity_error_s_per_cm,
                temperature_c=seen.temperature_c,
            )
        else:
            conducted = Conducted(sample=best.sample, jobs=jobs, reason=str(seen))
        self._journal.write(conducted)
        return conducted

    def _ordered(
        self, key: str, work: Work
    ) -> tuple[Sample | Pattern | Spectrum | str, tuple[str, ...]]:
        """The result of some work, or why there is none, and the jobs it took."""
        jobs: list[str] = []
        reason = ""
        for attempt in range(1, self._settings.attempts + 1):
            order = Order(key=f"{key}:{attempt}", work=work)
            try:
                job = self._patiently(partial(self._lab.submit, order))
            except Unsafe as error:
                return f"refused: {error}", tuple(jobs)
            jobs.append(job.id)
            job = self._ended(job)
            if job.state == "done":
                return self._patiently(partial(self._lab.result, job.id)), tuple(jobs)
            if job.state == "cancelled":
                return f"{_CANCELLED}: {job.reason}", tuple(jobs)
            reason = job.reason or job.state
        return reason, tuple(jobs)

    def _ended(self, job: Job) -> Job:
        """The job once it has ended; cancelled, if nobody agreed to it in time."""
        looks = 0
        while not job.ended:
            if job.state == "awaiting_approval":
                looks += 1
                if looks > self._settings.approval_polls:
                    return self._patiently(partial(self._lab.cancel, job.id))
            self._wait()
            job = self._patiently(partial(self._lab.job, job.id))
        return job

    def _patiently(self, ask: Callable[[], Told]) -> Told:
        """An answer, however often the laboratory has to be asked for it."""
        for _ in range(_UNREACHABLE_TRIES):
            try:
                return ask()
            except LabUnreachable:
                self._wait()
        return ask()


_CANCELLED = "cancelled"
"""Begins the reason of an experiment that a person did not agree to, or stopped."""


def plan(settings: CampaignSettings, stock: Sequence[str], limits: Limits) -> list[Route]:
    """The routes a campaign chooses among.

    Raises:
        NoRoute: Nothing in stock makes the target.
    """
    found = routes(
        settings.target,
        stock=stock,
        atmospheres=settings.atmospheres,
        limits=limits,
        reference=ReferenceSet.load("packaged"),
    )
    return found[: settings.most_routes]


def candidates(route: Route) -> list[Any]:
    """Reference phases that may come of a route, and of the air."""
    elements = {"O"} | set(atoms_of(route.target))
    for name in route.precursors:
        elements |= PRECURSORS[name].elements
    return within(elements)


def _findings(analysis: Analysis, target: str) -> dict[str, Any]:
    share = next((s for s in analysis.shares if s.phase == target), None)
    return {
        "purity": round(analysis.purity(target), 5),
        "shares": {s.phase: round(s.fraction, 5) for s in analysis.shares},
        "unexplained": round(analysis.unexplained, 5),
        "unknown_peaks_deg": analysis.unknown_peaks_deg,
        "lattice_angstrom": None if share is None else share.lengths_angstrom,
    }
