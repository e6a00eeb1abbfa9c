"""Scorers in Python: read, then run in a sandbox with a deadline, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.harness import MAIN, MODULE
from ray_matdesign.agents.objectives.samples import known_crystals
from ray_matdesign.agents.objectives.static_check import check_source
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Result
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed

PRELOAD = (
    "numpy",
    "statistics",
    "spglib",
    "ray_matdesign.agents.objectives.harness",
    "ray_matdesign.crystals.elements",
    "ray_matdesign.crystals.geometry",
    "ray_matdesign.crystals.symmetry",
)
"""What a sandbox for scorers imports beforehand."""

LIMITS = Limits(cpu_s=20.0, wall_s=30.0, memory_mib=512, tasks=4, output_kib=64)
"""What one call of ``score`` may use."""


NOT_FINITE = "the scorer's value is not finite"
"""Reason of values that are infinite or not a number."""


class Sandbox(Protocol):
    """Runs a job behind walls; a :class:`ray_matdesign.agents.sandbox.box.Box`, for one."""

    def run(self, job: Job) -> Result:
        """What came of the job, as a value."""
        ...


class ScorerFailed(RuntimeError):
    """A scorer that gave no values for a whole batch, and why, in one line."""


@dataclass(frozen=True)
class PythonScorer:
    """Written code with the sandbox to run it in.

    Attributes:
        source: Of the module; checked by :func:`check`.
        needs: Registered scorers whose values it takes.
        population: Whether it gives one value for all crystals together.
        sandbox: To run in.
        limits: Of one call.
    """

    source: str
    needs: tuple[str, ...]
    population: bool
    sandbox: Sandbox
    limits: Limits = LIMITS

    def values(self, batch: Batch, seed: int = 0) -> list[float | Failed]:
        """Values of the crystals, in their order; one value for a population.

        The code sees only crystals that have all the properties it needs; the others fail with the
        reason for which the first of these is missing.

        Args:
            batch: Crystals, and the values of the registered scorers that are needed.
            seed: Of the generators of random numbers inside; honest code does not care.

        Raises:
            ScorerFailed: It raised, outlived its deadline, or returned something else.
            SandboxUnavailable: There is no sandbox; the code was not run.
        """
        lacking = _lacking(batch, self.needs)
        known = batch.take([i for i in range(len(batch)) if i not in lacking])
        found = self._called(known, seed)
        if self.population:
            return found
        fresh = iter(found)
        return [lacking[i] if i in lacking else next(fresh) for i in range(len(batch))]

    def _called(self, batch: Batch, seed: int) -> list[float | Failed]:
        inputs: dict[str, Any] = {
            "crystals": np.frombuffer(encode_crystals(batch.crystals), dtype=np.uint8),
            "properties": {name: list(batch.properties[name]) for name in self.needs},
            "arguments": 1 + bool(self.needs),
        }
        job = Job.of(
            {"main.py": MAIN, f"{MODULE}.py": self.source},
            entry="main.py:call",
            inputs=inputs,
            limits=self.limits,
            seed=seed,
        )
        result = self.sandbox.run(job)
        if not result.ok:
            raise ScorerFailed(_why(result))
        return _checked(result.values, 1 if self.population else len(batch), self.population)


def check(source: str, needs: tuple[str, ...]) -> None:
    """Refuses code that is not a scorer, before it is run.

    Raises:
        StaticError: What is wrong, and where.
    """
    compounds = [name for name in known_crystals() if name not in ATOMIC_NUMBERS]
    formulas = [c.formula for c in known_crystals().values() if len(c.elements) > 1]
    check_source(source, {*compounds, *formulas}, takes_properties=bool(needs))


def _lacking(batch: Batch, needs: tuple[str, ...]) -> dict[int, Failed]:
    """Crystals without a property that is needed, by place, with the reason."""
    lacking: dict[int, Failed] = {}
    for name in needs:
        for i, value in enumerate(batch.properties[name]):
            if isinstance(value, Failed):
                lacking.setdefault(i, Failed(f"{name}: {value.reason}"))
    return lacking


def _why(result: Result) -> str:
    if result.limit is not None:
        return f"score was stopped: it used up its {result.limit} limit"
    lines = [line.strip() for line in result.stderr.strip().splitlines() if line.strip()]
    places = [line for line in lines if f"{MODULE}.py" in line]
    where = f" ({places[-1].partition(', ')[2]})" if places else ""
    said = lines[-1] if lines else result.reason or f"it ended by {result.signal or 'itself'}"
    return f"score failed: {said[:300]}{where[:80]}"


def _checked(values: Mapping[str, Any], n: int, population: bool) -> list[float | Failed]:
    if "returned" not in values:
        raise ScorerFailed("score returned nothing that can be read")
    returned = values["returned"]
    if population and isinstance(returned, list):
        raise ScorerFailed("score of a population must return one number or None, and not a list")
    listed = [returned] if population else returned
    if not isinstance(listed, list):
        raise ScorerFailed(f"score must return a list, and returned {type(returned).__name__}")
    if len(listed) != n:
        raise ScorerFailed(f"score returned {len(listed)} values for {n} crystals")
    return [_value(value) for value in listed]


def _value(value: Any) -> float | Failed:
    if value is None:
        return Failed("the scorer gives no value")
    if not isinstance(value, bool | int | float):
        raise ScorerFailed(f"score must return numbers or None, and returned {value!r:.60}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        return Failed(NOT_FINITE)
    return number if math.isfinite(number) else Failed(NOT_FINITE)
