"""From an objective to its scorer: found, written and examined, or dropped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from ray_matdesign.agents.llm.protocol import (
    Answer,
    BadAnswer,
    Llm,
    Request,
    Truncated,
    ask_for,
    corrected,
    parsed,
)
from ray_matdesign.agents.objectives.artifact import ScorerArtifact, register
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.matching import (
    Entry,
    Match,
    Measure,
    Relation,
    match,
    written_entry,
)
from ray_matdesign.agents.objectives.prompts import (
    MatchAnswer,
    declarative_request,
    match_request,
    python_request,
)
from ray_matdesign.agents.objectives.python_scorer import Sandbox
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.objectives.validation import (
    NotComputable,
    check_specification,
    validate,
)
from ray_matdesign.agents.written_source import source_of


class Outcome(StrEnum):
    """What became of an objective."""

    REUSED = "reused"
    WRITTEN = "written"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Workshop:
    """What scorers are written with.

    Attributes:
        llm: Writes and corrects; ``None`` where only formulas are to be had.
        folder: Where registered scorers go.
        sandbox: Runs Python; without one only the scorer language is used.
        repairs: How often each form may be corrected.
        measure: Values of registered scorers, to judge proposed matches by.
        seed: Of the model's sampling.
    """

    llm: Llm | None
    folder: Path
    sandbox: Sandbox | None = None
    repairs: int = 3
    measure: Measure | None = None
    seed: int = 0


@dataclass(frozen=True)
class Implemented:
    """An objective with its scorer, or without.

    Attributes:
        spec: The objective.
        outcome: What became of it.
        reason: In one line; of a dropped one, what was wrong last.
        entry: The scorer, unless it was dropped.
        match: How it stood to the scorers there were.
        attempts: All that was written for it, first to last, with every step and check.
    """

    spec: ObjectiveSpec
    outcome: Outcome
    reason: str
    entry: Entry | None = None
    match: Match | None = None
    attempts: tuple[ScorerArtifact, ...] = ()


def implement(spec: ObjectiveSpec, entries: Sequence[Entry], workshop: Workshop) -> Implemented:
    """Finds or writes the scorer of an objective.

    An objective that cannot be computed is dropped, which is an outcome like any other. A model
    that cannot be reached or a budget that is spent says nothing about the objective, and is
    raised.

    Args:
        spec: The objective.
        entries: The scorers there are.
        workshop: To write one with.

    Raises:
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
        SandboxUnavailable: The sandbox cannot be started any more.
        OSError: The scorer cannot be written to disk.
    """
    try:
        check_specification(spec)
    except NotComputable as error:
        return Implemented(spec, Outcome.DROPPED, str(error))
    proposer = None if workshop.llm is None else partial(_proposed, workshop.llm, workshop.seed)
    found = match(spec, entries, proposer, workshop.measure)
    if found.relation is Relation.REUSE:
        return Implemented(spec, Outcome.REUSED, found.reason, found.entry, found)
    attempts, reason = _written(spec, workshop)
    if reason:
        return Implemented(spec, Outcome.DROPPED, reason, None, found, tuple(attempts))
    artifact, path = register(attempts[-1], workshop.folder)
    attempts[-1] = artifact
    told = f"written as {artifact.form}, attempt {len(attempts)}"
    entry = written_entry(artifact, path)
    return Implemented(spec, Outcome.WRITTEN, told, entry, found, tuple(attempts))


def _written(spec: ObjectiveSpec, workshop: Workshop) -> tuple[list[ScorerArtifact], str]:
    """All attempts, the last of them validated, or why there is none."""
    if spec.formula is not None:
        draft = ScorerArtifact(spec=spec, program=Program(expression=spec.formula))
        verdict = validate(draft, workshop.sandbox)
        return [verdict.artifact], verdict.reason
    if workshop.llm is None:
        return [], "no formula is given, and there is no language model to write one"
    asked = declarative_request(spec, workshop.seed)
    attempts, reason = _conversation(
        workshop,
        workshop.llm,
        asked,
        lambda answer: ScorerArtifact(spec=spec, program=parsed(answer, Program)),
    )
    if reason and workshop.sandbox is not None:
        asked = python_request(spec, workshop.seed)
        more, reason = _conversation(
            workshop,
            workshop.llm,
            asked,
            lambda answer: ScorerArtifact(spec=spec, source=source_of(answer)),
        )
        attempts += more
    return attempts, reason


def _conversation(
    workshop: Workshop,
    llm: Llm,
    request: Request,
    drafted: Callable[[Answer], ScorerArtifact],
) -> tuple[list[ScorerArtifact], str]:
    """Asks until an answer passes or the repairs are used up; the error goes back each time."""
    attempts: list[ScorerArtifact] = []
    reason = ""
    for _ in range(workshop.repairs + 1):
        answer = llm.ask(request)
        try:
            draft = drafted(answer)
        except (BadAnswer, Truncated) as error:
            reason = str(error)
        else:
            verdict = validate(draft, workshop.sandbox)
            attempts.append(verdict.artifact)
            reason = verdict.reason
            if not reason:
                break
        request = corrected(request, answer, reason)
    return attempts, reason


def _proposed(llm: Llm, seed: int, spec: ObjectiveSpec, entries: Sequence[Entry]) -> str | None:
    try:
        return ask_for(llm, match_request(spec, entries, seed), MatchAnswer, repairs=1).scorer
    except (BadAnswer, Truncated):
        return None  # no proposal; the scorer is written instead
