"""What ``ray-matdesign score`` computes: scorers on crystals from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_matdesign.cli.relax import relax_all
from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import (
    PotentialSettings,
    PrefilterSettings,
    RelaxationSettings,
    StabilitySettings,
)
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.validity import check
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.objective import SCORERS, Evaluation, Objective, build_objective
from ray_matdesign.rewards.scorer import Bench, Scorer, Specimen
from ray_matdesign.stability.reference import ReferenceSet

Found = tuple[Mapping[str, float], Mapping[str, str], float | None]
"""Value by scorer, reason by scorer where there is none, and the reward."""
_GEOMETRY = PrefilterSettings(smact=False)
"""Any composition may be scored; atoms on top of each other may not."""


@dataclass(frozen=True)
class Verdict:
    """What was found for one crystal.

    Attributes:
        row: Cells under :attr:`Judge.columns`, ``None`` where there is no value; empty if the
            crystal could not be treated at all.
        problems: Why something is missing, a line each.
    """

    row: tuple[object, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Judge:
    """Scorers with their instruments, and a recipe's objective where one was asked for."""

    bench: Bench
    relaxation: RelaxationSettings
    scorers: tuple[Scorer, ...]
    objective: Objective | None = None

    @property
    def columns(self) -> list[str]:
        """Headings: properties with their units."""
        units = [f"{s.name} ({s.unit})" if s.unit else s.name for s in self.scorers]
        reward = ["reward"] if self.objective else []
        energies = ["energy (eV/atom)", "E_form (eV/atom)", "E_hull (eV/atom)"]
        return ["formula", "atoms", *energies, *units, *reward]

    def score(self, crystals: Sequence[Crystal], *, relax: bool) -> list[Verdict]:
        """Scores each crystal; same order and length."""
        specimens = self._specimens(crystals, relax)
        ready = [s for s, _ in specimens if isinstance(s, Specimen)]
        scored = iter(self._evaluate(ready))
        verdicts = []
        for specimen, remarks in specimens:
            if isinstance(specimen, Failed):
                verdicts.append(Verdict((), (specimen.reason,)))
            else:
                values, failures, reward = next(scored)
                missing = (f"no {name}: {reason}" for name, reason in failures.items())
                row = self._row(specimen, values, reward)
                verdicts.append(Verdict(row, (*remarks, *missing)))
        return verdicts

    def _evaluate(self, specimens: Sequence[Specimen]) -> list[Found]:
        if self.objective:
            found = self.objective.evaluate(specimens)
            return [(e.values, _problems(e), e.reward) for e in found]
        columns = [scorer.score(specimens) for scorer in self.scorers]
        names = [scorer.name for scorer in self.scorers]
        results: list[Found] = []
        for row in zip(*columns, strict=True):
            cells = dict(zip(names, row, strict=True))
            failures = {n: c.reason for n, c in cells.items() if isinstance(c, Failed)}
            values = {n: c for n, c in cells.items() if not isinstance(c, Failed)}
            results.append((values, failures, None))
        return results

    def _row(
        self, specimen: Specimen, values: Mapping[str, float], reward: float | None
    ) -> tuple[object, ...]:
        energies = (
            specimen.energy_ev_per_atom,
            specimen.formation_energy_ev_per_atom,
            specimen.e_above_hull_ev_per_atom,
        )
        return (
            specimen.crystal.formula,
            len(specimen.crystal),
            *(_known(energy) for energy in energies),
            *(_known(values.get(scorer.name, math.nan)) for scorer in self.scorers),
            *([reward] if self.objective else []),
        )

    def _specimens(
        self, crystals: Sequence[Crystal], relax: bool
    ) -> list[tuple[Specimen | Failed, tuple[str, ...]]]:
        reasons = [check(crystal, _GEOMETRY) for crystal in crystals]
        sound = [c for c, reason in zip(crystals, reasons, strict=True) if reason is None]
        settled = iter(self._at_rest(sound) if relax else self._as_given(sound))
        return [
            (Failed(reason), ()) if reason is not None else self._placed(*next(settled))
            for reason in reasons
        ]

    def _at_rest(self, crystals: Sequence[Crystal]) -> list[tuple[Crystal, float | Failed]]:
        settings = self.relaxation
        results = relax_all(
            crystals,
            self.bench.potential,
            optimizer=settings.optimizer,
            fmax=settings.fmax_ev_per_ang,
            max_steps=settings.max_steps,
        )
        return [
            (crystal, Failed(f"not relaxed: {r.reason}"))
            if isinstance(r, Failed)
            else (r.crystal, r.energy_ev_per_atom)
            for crystal, r in zip(crystals, results, strict=True)
        ]

    def _as_given(self, crystals: Sequence[Crystal]) -> list[tuple[Crystal, float | Failed]]:
        points = self.bench.potential.evaluate(crystals)
        return [
            (crystal, point if isinstance(point, Failed) else point.energy_ev_per_atom)
            for crystal, point in zip(crystals, points, strict=True)
        ]

    def _placed(
        self, crystal: Crystal, energy: float | Failed
    ) -> tuple[Specimen | Failed, tuple[str, ...]]:
        """The crystal against the reference set; what cannot be known is NaN, with a remark."""
        nan = math.nan
        if isinstance(energy, Failed):
            return Specimen(crystal, nan, nan, nan), (f"no energy: {energy.reason}",)
        reference = self.bench.reference
        missing = reference.missing_elements(crystal)
        if missing:
            remark = f"no E_hull: no reference energy for {', '.join(missing)}"
            return Specimen(crystal, energy, nan, nan), (remark,)
        formation = reference.formation_energy(crystal, energy, self.bench.potential.energy_scale)
        above = reference.e_above_hull(crystal, formation)
        return Specimen(crystal, energy, formation, above), ()


def prepare_recipe(recipe: str) -> Judge:
    """A judge by a recipe's objective, with its potential, relaxation and reference set."""
    config = load_run_config(recipe)
    bench = _bench(config.potential, config.stability)
    objective = build_objective(config.objective, bench)
    return Judge(bench, config.relaxation, objective.scorers, objective)


def prepare_by_name(names: Sequence[str]) -> Judge:
    """A judge by scorers alone, with the default potential and reference set."""
    factories = [load_object(name, SCORERS, what="scorer") for name in dict.fromkeys(names)]
    bench = _bench(PotentialSettings(), StabilitySettings())
    return Judge(bench, RelaxationSettings(), tuple(factory(bench) for factory in factories))


def _bench(potential: PotentialSettings, stability: StabilitySettings) -> Bench:
    import torch

    # On crystals of tens of atoms a second thread costs more than it gives.
    torch.set_num_threads(1)
    return Bench(
        load_potential(potential.name, **potential.options),
        ReferenceSet.load(stability.reference, stability),
    )


def _problems(evaluation: Evaluation) -> dict[str, str]:
    """What is missing, and why: values, and the reward of a crystal that was turned down."""
    turned_down = {"reward": evaluation.rejection} if evaluation.rejection else {}
    return {**evaluation.failures, **turned_down}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
