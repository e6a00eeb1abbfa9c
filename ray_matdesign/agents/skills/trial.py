"""Calls of a skill in the sandbox, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import JsonValue

from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Result
from ray_matdesign.agents.skills.harness import MAIN, MODULE

LIMITS = Limits(cpu_s=120.0, wall_s=240.0, memory_mib=2048, tasks=8, output_kib=64)
"""What all calls of one trial may use together."""


class Sandbox(Protocol):
    """Runs a job behind walls; a :class:`ray_matdesign.agents.sandbox.box.Box`, for one."""

    def run(self, job: Job) -> Result:
        """What came of the job, as a value."""
        ...


@dataclass(frozen=True)
class Workbench:
    """Where skills are tried.

    Attributes:
        sandbox: To run in.
        limits: Of all calls of one trial together.
    """

    sandbox: Sandbox
    limits: Limits = LIMITS


@dataclass(frozen=True)
class Called:
    """What came of a call.

    Attributes:
        value: What was returned.
        error: Why nothing was, in one line; empty otherwise.
    """

    value: JsonValue = None
    error: str = ""


def try_out(
    source: str,
    entry: str,
    calls: Sequence[Mapping[str, JsonValue]],
    bench: Workbench,
    *,
    seed: int = 0,
    backwards: bool = False,
) -> list[Called]:
    """Calls a skill, in one fresh process.

    Args:
        source: Of the module.
        entry: Name of the function.
        calls: Arguments by name of each call.
        bench: Where to run it.
        seed: Of the generators of random numbers inside.
        backwards: Whether to begin with the last call.

    Returns:
        In the order of ``calls``. If the process itself failed, all of them have its error.

    Raises:
        SandboxUnavailable: There is no sandbox; nothing was run.
    """
    if not calls:
        return []
    ordered = [dict(one) for one in (reversed(calls) if backwards else calls)]
    job = Job.of(
        {"main.py": MAIN, f"{MODULE}.py": source},
        entry="main.py:call",
        inputs={"entry": entry, "calls": ordered},
        limits=bench.limits,
        seed=seed,
    )
    result = bench.sandbox.run(job)
    outcomes = result.values.get("outcomes")
    if not result.ok or not isinstance(outcomes, list) or len(outcomes) != len(calls):
        return [Called(error=why(result))] * len(calls)
    found = [_called(outcome) for outcome in outcomes]
    return found[::-1] if backwards else found


def why(result: Result) -> str:
    """Why a run gave nothing, in one line."""
    if result.limit is not None:
        return f"stopped: it used up its {result.limit} limit"
    lines = [line.strip() for line in result.stderr.strip().splitlines() if line.strip()]
    said = lines[-1] if lines else result.reason
    return f"failed: {said or result.signal or 'it gave no result that can be read'}"[:400]


def _called(outcome: Any) -> Called:
    # Written by the code itself, for all one knows.
    if isinstance(outcome, dict) and isinstance(outcome.get("error"), str):
        return Called(error=outcome["error"])
    if isinstance(outcome, dict) and "value" in outcome:
        return Called(value=outcome["value"])
    return Called(error="failed: it gave no result that can be read")
