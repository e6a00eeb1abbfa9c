"""A laboratory that is simulated, behind the interface of a real one.

It keeps a book, so it may be stopped at any moment and started anew; and it judges every order
itself, so nobody who talks to it, in this process or over a network, can exceed its limits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from ray_matdesign.agents.laboratory.book import (
    Book,
    Entry,
    WallClock,
    job_id,
    number_in,
    sample_name,
)
from ray_matdesign.agents.laboratory.instruments import Content, Instruments, Mishaps, Outcome
from ray_matdesign.agents.laboratory.interface import Busy, KeyReused, NotReady, UnknownJob, Unsafe
from ray_matdesign.agents.laboratory.messages import (
    About,
    Job,
    Kind,
    Limits,
    Order,
    Result,
    State,
    Synthesis,
    Work,
    Xrd,
)
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.agents.laboratory.safety import judge

DEVICES: Mapping[Kind, tuple[str, ...]] = {
    "synthesis": ("furnace-1", "furnace-2"),
    "xrd": ("diffractometer",),
    "impedance": ("impedance-analyser",),
}
REAL_TIME = 1.0 / 3600.0
"""Laboratory hours per second, without hurry."""

_WORK: TypeAdapter[Work] = TypeAdapter(Work)
_RESULT: TypeAdapter[Result] = TypeAdapter(Result)
_OPEN: frozenset[State] = frozenset({"awaiting_approval", "queued", "running"})


class Clock(Protocol):
    """Tells the time."""

    def now_h(self) -> float:
        """Hours since some beginning; never fewer than a moment ago."""
        ...


class SimulatedLab:
    """An ``Operated`` laboratory whose instruments and chemistry are simulated.

    Args:
        path: Of its book; the folder must exist.
        seed: Of the hidden chemistry and of all chance.
        limits: What it allows.
        mishaps: How often things go wrong.
        clock: Hours go by on it; by default one that runs at ``hours_per_s``.
        hours_per_s: How fast, against real time.
        name: What it calls itself.
        stock: Precursors it has; by default all of the packaged table that no table forbids.

    Raises:
        BadBook: The file is something else, or was begun with another seed.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        mishaps: Mishaps | None = None,
        clock: Clock | None = None,
        hours_per_s: float = REAL_TIME,
        name: str = "simulated",
        stock: Collection[str] = tuple(PRECURSORS),
    ) -> None:
        self._book = Book(path)
        self._book.require("seed", str(seed))
        self._clock = clock or WallClock(self._book, hours_per_s)
        self._limits = limits or Limits()
        self._instruments = Instruments(seed, mishaps or Mishaps())
        self._name = name
        self._stock = tuple(stock)

    def close(self) -> None:
        """Closes the book."""
        self._book.close()

    def about(self) -> About:
        """See :class:`~.interface.Lab`."""
        return About(
            name=self._name,
            now_h=self._clock.now_h(),
            limits=self._limits,
            stock=tuple(PRECURSORS[one].stock() for one in self._stock if one in PRECURSORS),
            devices={kind: len(names) for kind, names in DEVICES.items()},
        )

    def submit(self, order: Order) -> Job:
        """See :class:`~.interface.Lab`."""
        work = order.work.model_dump_json()
        with self._book.page():
            now_h = self._settle()
            known = self._book.by_key(order.key)
            if known is not None:
                if known.work != work:
                    raise KeyReused(f"key {order.key}: stands for other work, of {known.job.id}")
                return self._told(known)
            reason = self._check(order.work)
            if sum(len(self._book.in_state(state)) for state in _OPEN) >= (
                self._limits.max_open_jobs
            ):
                raise Busy(f"{self._limits.max_open_jobs} jobs are open; wait for one to end")
            state: State = "awaiting_approval" if reason else "queued"
            number = self._book.enter(order.key, order.work.kind, work, state, now_h, reason)
            self._settle()
            return self._told(self._entry(job_id(number)))

    def jobs(self) -> list[Job]:
        """See :class:`~.interface.Lab`."""
        with self._book.page():
            self._settle()
            return [self._told(entry) for entry in self._book.all()]

    def job(self, job: str) -> Job:
        """See :class:`~.interface.Lab`."""
        with self._book.page():
            self._settle()
            return self._told(self._entry(job))

    def result(self, job: str) -> Result:
        """See :class:`~.interface.Lab`."""
        with self._book.page():
            self._settle()
            entry = self._entry(job)
        if entry.job.state != "done":
            why = f": {entry.job.reason}" if entry.job.reason else ""
            raise NotReady(f"{job} is {entry.job.state.replace('_', ' ')}{why}")
        assert entry.outcome is not None  # written when it started
        return _RESULT.validate_json(entry.outcome)

    def cancel(self, job: str) -> Job:
        """See :class:`~.interface.Lab`."""
        with self._book.page():
            now_h = self._settle()
            entry = self._entry(job)
            if entry.job.state in _OPEN:
                told = ["on request", entry.job.reason if entry.job.state != "running" else ""]
                self._book.update(
                    entry.number,
                    state="cancelled",
                    ended_h=now_h,
                    reason="; ".join(filter(None, told)),
                )
                self._settle()
            return self._told(self._entry(job))

    def approve(self, job: str, by: str) -> Job:
        """See :class:`~.interface.Operated`."""
        with self._book.page():
            now_h = self._settle()
            entry = self._entry(job)
            if entry.job.state == "awaiting_approval":
                reason = f"approved by {by}: {entry.job.reason.removeprefix(_ASKS)}"
                self._book.update(entry.number, state="queued", ready_h=now_h, reason=reason)
                self._settle()
            return self._told(self._entry(job))

    def truth(self, sample: str) -> Content:
        """What a sample is in truth: for tests and benchmarks, and on no interface.

        Raises:
            UnknownJob: There is no such sample.
        """
        return self._content(sample)

    def _check(self, work: Work) -> str:
        """What a person has to agree to before this is done; nothing if empty.

        Raises:
            Unsafe: It is beyond the limits.
            UnknownJob: The sample is not there.
        """
        if not isinstance(work, Synthesis):
            self._content(work.sample)
            return ""
        judgement = judge(work, self._limits, self._stock)
        if judgement.refusals:
            raise Unsafe("; ".join(judgement.refusals))
        return _ASKS + ", ".join(judgement.approvals) if judgement.approvals else ""

    def _settle(self) -> float:
        """Brings the book up to the present: starts what could start, ends what has ended."""
        now_h = self._clock.now_h()
        busy = self._book.busy_until_h()
        for entry in self._book.in_state("queued"):
            devices = DEVICES[entry.job.kind]
            device = min(devices, key=lambda name: (busy.get(name, 0.0), name))
            assert entry.ready_h is not None  # as it is queued
            start_h = max(entry.ready_h, busy.get(device, 0.0))
            if start_h > now_h:
                continue
            outcome = self._perform(entry)
            busy[device] = start_h + outcome.hours
            self._book.update(
                entry.number,
                state="running",
                started_h=start_h,
                ends_h=busy[device],
                device=device,
                outcome=None if outcome.result is None else outcome.result.model_dump_json(),
                content=None if outcome.content is None else outcome.content.model_dump_json(),
            )
            if outcome.reason:
                told = [entry.job.reason, outcome.reason]
                self._book.update(entry.number, reason="; ".join(filter(None, told)))
        for entry in self._book.in_state("running"):
            if entry.ends_h is not None and entry.ends_h <= now_h:
                state: State = "done" if entry.outcome is not None else "failed"
                self._book.update(entry.number, state=state, ended_h=entry.ends_h)
        return now_h

    def _perform(self, entry: Entry) -> Outcome:
        work = _WORK.validate_json(entry.work)
        key = entry.job.key
        if isinstance(work, Synthesis):
            return self._instruments.synthesise(key, work, sample_name(entry.number))
        content = self._content(work.sample)
        if isinstance(work, Xrd):
            return self._instruments.diffract(key, work, content)
        return self._instruments.impede(key, work, content)

    def _content(self, sample: str) -> Content:
        number = number_in(sample)
        entry = None if number is None else self._book.by_number(number)
        if (
            entry is None
            or sample != sample_name(entry.number)
            or entry.job.state != "done"
            or entry.content is None
        ):
            raise UnknownJob(f"no sample {sample!r}")
        return Content.model_validate_json(entry.content)

    def _entry(self, job: str) -> Entry:
        number = number_in(job)
        entry = None if number is None else self._book.by_number(number)
        if entry is None or entry.job.id != job:
            raise UnknownJob(f"no job {job!r}")
        return entry

    def _told(self, entry: Entry) -> Job:
        """What may be told of a job: of a running one not yet what it will come to."""
        job = entry.job
        if job.state == "running":
            return job.model_copy(update={"reason": ""})
        if job.state == "queued":
            waiting = [e for e in self._book.in_state("queued") if e.job.kind == job.kind]
            ahead = [e.number for e in waiting].index(entry.number)
            return job.model_copy(update={"ahead": ahead})
        return job


_ASKS = "a person has to agree to "
