"""From a draft to a scorer that may be used: each step with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from ray_matdesign.agents.objectives.analysis import LanguageError, check_program
from ray_matdesign.agents.objectives.artifact import Check, ScorerArtifact, State
from ray_matdesign.agents.objectives.checks import CHECKS, Examination, Reference, examine
from ray_matdesign.agents.objectives.language import needs_of
from ray_matdesign.agents.objectives.python_scorer import LIMITS, Sandbox, ScorerFailed, check
from ray_matdesign.agents.objectives.samples import UnknownSample, sample
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.written_source import StaticError


class NotComputable(ValueError):
    """A specification that no scorer could be checked against."""


@dataclass(frozen=True)
class Verdict:
    """What validation found.

    Attributes:
        artifact: ``VALIDATED`` or ``REJECTED``, with all steps and checks.
    """

    artifact: ScorerArtifact

    @property
    def passed(self) -> bool:
        """Whether it may be registered."""
        return self.artifact.state is State.VALIDATED

    @property
    def reason(self) -> str:
        """Why not, in one line that the writer can act on."""
        return "" if self.passed else self.artifact.reason


def check_specification(spec: ObjectiveSpec) -> None:
    """Refuses a specification whose own examples cannot be had.

    Raises:
        NotComputable: It names a crystal that is no sample, or gives too little for an example.
    """
    names = [name for example in spec.examples for name in example.crystals]
    try:
        for name in (*names, *spec.ordering):
            sample(name)
    except UnknownSample as error:
        raise NotComputable(f"{spec.name}: {error}") from error
    if spec.ordering and (spec.kind != "candidate" or spec.needs):
        raise NotComputable(
            f"{spec.name}: an order of crystals is for candidates that need no other scorer"
        )
    for example in spec.examples:
        lacking = sorted(set(spec.needs) - set(example.given))
        if lacking:
            raise NotComputable(
                f"{spec.name}: the example {', '.join(example.crystals)} must give {lacking[0]}"
            )


def validate(
    draft: ScorerArtifact,
    sandbox: Sandbox | None,
    reference: Reference | None = None,
    limits: Limits = LIMITS,
) -> Verdict:
    """Examines a drafted scorer.

    Args:
        draft: In state ``DRAFTED``.
        sandbox: To run Python in.
        reference: Trusted values of the same objective, where a registered scorer has them.
        limits: Of one call of a scorer in Python.

    Raises:
        NotComputable: See :func:`check_specification`.
        ArtifactError: Python without a sandbox.
        SandboxUnavailable: The sandbox cannot be started.
    """
    check_specification(draft.spec)
    problem = _static_problem(draft)
    if problem:
        return Verdict(draft.moved(State.REJECTED, problem))
    artifact = draft.moved(State.STATIC, "may be run")
    subject = Examination(draft.spec, draft.scoring(sandbox, limits), draft.hash, reference)
    try:
        given = len(subject.on_known)
    except ScorerFailed as error:
        return Verdict(artifact.moved(State.REJECTED, str(error)))
    artifact = artifact.moved(State.SANDBOX, f"gave {given} values")
    checks = tuple(examine(subject))
    failed = [check for check in checks if not check.passed]
    if failed:
        return Verdict(artifact.moved(State.REJECTED, _told(failed), checks))
    return Verdict(artifact.moved(State.VALIDATED, f"passed {len(CHECKS)} checks", checks))


def _static_problem(draft: ScorerArtifact) -> str:
    spec = draft.spec
    try:
        if draft.program is not None:
            check_program(draft.program, spec.kind, spec.unit)
            foreign = set(needs_of(draft.program.expression)) - set(spec.needs)
            if foreign:
                return f"expression: {sorted(foreign)[0]} is not among the inputs"
        elif draft.source is not None:
            check(draft.source, spec.needs)
    except (LanguageError, StaticError) as error:
        return str(error)
    return ""


def _told(failed: list[Check]) -> str:
    return "; ".join(f"{check.name}: {check.detail}" for check in failed)
