"""The implementer: a scorer for each objective, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ray_matdesign.agents.llm.protocol import BudgetSpent, Llm
from ray_matdesign.agents.objectives.artifact import ScorerArtifact, load_artifact, registered_in
from ray_matdesign.agents.objectives.implementing import Outcome, Workshop, implement
from ray_matdesign.agents.objectives.matching import Entry, builtin_entries, written_entry
from ray_matdesign.agents.objectives.python_scorer import Sandbox, ScorerFailed
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.samples import known_crystals, with_stand_ins
from ray_matdesign.agents.saga.protocol import (
    Dropped,
    Implementation,
    Implemented,
    ImplementRequest,
    Planned,
)
from ray_matdesign.potentials.protocol import Failed

_LOW_SHARE, _HIGH_SHARE = 0.05, 0.95
"""Of well-known crystals, between which a written objective tells crystals apart by default."""


def implement_all(
    asked: ImplementRequest, llm: Llm | None, sandbox: Sandbox | None
) -> Implementation:
    """Finds or writes a scorer for each objective, one after another.

    What was written for one is there for the next, and for later rounds. Two objectives that come
    to the same scorer are one: the later is dropped.

    Args:
        asked: The objectives.
        llm: Who writes.
        sandbox: To run Python in; without one only the scorer language is used.

    Raises:
        LlmError: The language model is beyond reach; a spent budget only drops objectives.
        SandboxUnavailable: There is none, and it was needed.
        ArtifactError: The folder holds a file that is no registered scorer.
        OSError: A scorer cannot be written to disk.
    """
    folder = Path(asked.scorers)
    workshop = Workshop(
        llm,
        folder,
        sandbox if asked.python else None,
        repairs=asked.repairs,
        seed=asked.seed,
    )
    implemented: list[Implemented] = []
    dropped: list[Dropped] = []
    for objective in asked.objectives:
        found = _implement(objective, workshop, folder, sandbox)
        if isinstance(found, Implemented):
            twin = next((one for one in implemented if one.column == found.column), None)
            if twin is None:
                implemented.append(found)
                continue
            found = f"it has the same scorer as {twin.name}, {found.column}"
        dropped.append(Dropped(name=objective.spec.name, attempt=asked.attempt, reason=found))
    return Implementation(implemented=tuple(implemented), dropped=tuple(dropped))


def _implement(
    objective: Planned, workshop: Workshop, folder: Path, sandbox: Sandbox | None
) -> Implemented | str:
    """The objective with its scorer, or why there is none."""
    entries = [written_entry(one, path) for path, one in registered_in(folder)]
    try:
        outcome = implement(objective.spec, [*builtin_entries(), *entries], workshop)
    except BudgetSpent as error:
        return f"nobody to write it: {error}"
    if outcome.entry is None:
        return outcome.reason
    artifact = _artifact(outcome.entry, folder)
    ramp = _ramp(objective, outcome.entry, artifact, sandbox)
    if isinstance(ramp, str):
        return ramp
    low, high = ramp
    return Implemented(
        objective=objective,
        outcome="written" if outcome.outcome is Outcome.WRITTEN else "reused",
        scorer=outcome.entry.scorer,
        artifact=_file_of(outcome.entry),
        column=outcome.entry.scorer if artifact is None else artifact.spec.name,
        low=low,
        high=high,
        attempts=len(outcome.attempts),
        reason=outcome.reason,
    )


def _artifact(entry: Entry, folder: Path) -> ScorerArtifact | None:
    file = _file_of(entry)
    return load_artifact(folder / file) if file else None


def _file_of(entry: Entry) -> str:
    """Of a written scorer, in the folder of all."""
    path = dict(entry.options).get("artifact")
    return "" if path is None else Path(str(path)).name


Ramp = tuple[float | None, float | None]


def _ramp(
    objective: Planned, entry: Entry, artifact: ScorerArtifact | None, sandbox: Sandbox | None
) -> Ramp | str:
    """Between which values crystals are told apart, or why that cannot be said."""
    if objective.spec.kind != "candidate":
        return None, None
    if objective.low is not None:
        return objective.low, objective.high
    if artifact is None:
        one = REGISTERED[entry.scorer]
        return one.low, one.high
    bounds = objective.spec.range
    if bounds.low is not None and bounds.high is not None:
        return bounds.low, bounds.high
    return _usual(artifact, sandbox)


def _usual(artifact: ScorerArtifact, sandbox: Sandbox | None) -> Ramp | str:
    """Where most well-known crystals lie."""
    crystals = list(known_crystals().values())
    batch = with_stand_ins(crystals, artifact.spec.needs, artifact.hash)
    try:
        outcomes = artifact.scoring(sandbox).values(batch)
    except ScorerFailed as error:
        return str(error)
    values = [value for value in outcomes if not isinstance(value, Failed)]
    low, high = np.quantile(values, (_LOW_SHARE, _HIGH_SHARE)).tolist() if values else (0.0, 0.0)
    if low >= high:
        return "well-known crystals are hardly told apart by it; give low and high"
    return float(low), float(high)
