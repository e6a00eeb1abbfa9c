"""Better versions of skills that failed."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Truncated, corrected
from ray_matdesign.agents.skills.library import Admitted, Library
from ray_matdesign.agents.skills.prompts import patch_request
from ray_matdesign.agents.skills.skill import Case, Draft, Inputs, Tests
from ray_matdesign.agents.skills.trial import Workbench, try_out
from ray_matdesign.agents.written_source import source_of


@dataclass(frozen=True)
class Failure:
    """A call that a skill should have answered, or answered wrongly.

    Attributes:
        inputs: Arguments by name.
        expected: What is right.
        rel_tol: Relative tolerance of numbers.
        source: What says that it is right, such as the id of a task.
        held_out: More such calls, which the model is not told of.
    """

    inputs: Inputs
    expected: JsonValue
    rel_tol: float = 1e-6
    source: str = ""
    held_out: tuple[Case, ...] = ()


def patch(
    library: Library,
    skill: str,
    failure: Failure,
    llm: Llm,
    bench: Workbench,
    *,
    repairs: int = 2,
    seed: int = 0,
) -> Admitted:
    """Asks for a version that answers a failed call as well, and admits it if it passes.

    It must pass every test of the skill, and the failed call. The model is told what was expected
    of that call only; held-out cases it never sees.

    Args:
        library: Where the skill is.
        skill: Its id.
        failure: The call.
        llm: Who rewrites it.
        bench: Where versions are run.
        repairs: How often the model may correct itself.
        seed: Of the question.

    Returns:
        What became of the last version.

    Raises:
        KeyError: There is no skill with that id.
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
        SandboxUnavailable: There is no sandbox; nothing was run.
        Locked: Another process is writing to the library.
    """
    parent = library.load(skill)
    (called,) = try_out(parent.source, parent.name, [failure.inputs], bench)
    gave = called.error or repr(called.value)
    told = f"{parent.name}(**{failure.inputs!r}) gave {gave}; right is {failure.expected!r}"
    request = patch_request(parent, told, seed)
    case = Case(inputs=failure.inputs, expected=failure.expected, rel_tol=failure.rel_tol)
    last = Admitted(None, "no version was written", None, ())
    for _ in range(repairs + 1):
        answer = llm.ask(request)
        try:
            source = source_of(answer)
        except (BadAnswer, Truncated) as error:
            last = Admitted(None, str(error), None, ())
            request = corrected(request, answer, str(error))
            continue
        draft = parent.draft().model_copy(
            update={
                "source": source,
                "tests": Tests(cases=(case, *failure.held_out)),
                "parent": skill,
                "source_task": failure.source,
                "model": answer.model,
            }
        )
        last = library.admit(Draft.model_validate(draft.model_dump()), bench)
        if last.id is not None:
            break
        request = corrected(request, answer, _without_held_out(last.reason))
    return last


def _without_held_out(reason: str) -> str:
    """A reason fit to be told: held-out values stay unknown."""
    if reason.startswith("held-out"):
        return "held-out: a call that is not shown gives a wrong value"
    return reason
