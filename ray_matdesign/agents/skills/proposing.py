"""From a task that was solved to a skill that can be proposed.

The program's constants that stand in the question become arguments. Its values for other arguments
are those of the program itself with the constants replaced, run in the sandbox: whoever writes or
rewrites the function must agree with them. A language model, where there is one, gives names,
descriptions and further arguments to test; what it says wrong is left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from ray_matdesign.agents.cascade.task import Solution, Task
from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Truncated, ask_for
from ray_matdesign.agents.redaction import redacted
from ray_matdesign.agents.retrieval import words
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.skills.comparison import agree
from ray_matdesign.agents.skills.environment import importable, imported
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.lifting import (
    ANSWER,
    NotASkill,
    Parameter,
    function_of,
    parameters_of,
    substituted,
)
from ray_matdesign.agents.skills.prompts import Values, Words, values_request, words_request
from ray_matdesign.agents.skills.skill import Case, Draft, Inputs, Tests
from ray_matdesign.agents.skills.trial import Called, Workbench, why
from ray_matdesign.agents.skills.variants import resampled

_COMPOUND = re.compile(r"\b[A-Z]+[a-z]*[A-Z][A-Za-z]*[a-z]\b")
_VARIANTS = 6
_KEPT = 4
_LEAST = 2
_REL_TOL = 1e-6
_ABS_TOL = 1e-9
_REPORT = f"\n\n\ndef _report():\n    return {{'value': {ANSWER}}}\n"


@dataclass(frozen=True)
class Learnt:
    """What came of a solved task.

    Attributes:
        id: Of the new skill, or of the one that does the same already.
        new: Whether it is new.
        reason: Why there is no new skill, in one line.
    """

    id: str | None
    new: bool
    reason: str = ""


def learn(
    library: Library,
    task: Task,
    solution: Solution,
    llm: Llm | None,
    bench: Workbench,
    model: str = "",
) -> Learnt:
    """Proposes a skill from a solved task and admits it, or has an old one found by its wording.

    Raises:
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
        SandboxUnavailable: There is no sandbox; nothing was run.
        Locked: Another process is writing to the library.
    """
    try:
        draft = propose(task, solution, llm, bench, library.names(), model)
    except NotASkill as error:
        return Learnt(None, new=False, reason=str(error))
    admitted = library.admit(draft, bench)
    if admitted.duplicate_of is not None:
        library.also_asked(admitted.duplicate_of, redacted(task.question).text)
        return Learnt(admitted.duplicate_of, new=False, reason=admitted.reason)
    return Learnt(admitted.id, new=admitted.id is not None, reason=admitted.reason)


def propose(
    task: Task,
    solution: Solution,
    llm: Llm | None,
    bench: Workbench,
    taken: Collection[str] = (),
    model: str = "",
) -> Draft:
    """Makes a draft of a solved task's program.

    Args:
        task: The task.
        solution: With the program that solved it.
        llm: Names and describes the function; without one the question does.
        bench: Where the program is run with other values.
        taken: Names it must not have.
        model: Who wrote the program, for the record.

    Raises:
        NotASkill: Nothing can be learnt from the program; the message says why.
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
        SandboxUnavailable: There is no sandbox; nothing was run.
    """
    if not solution.solved or not solution.code:
        raise NotASkill(f"{task.id}: not solved by a program")
    if task.files:
        raise NotASkill(f"{task.id}: works on files, which no argument could carry")
    program = solution.code
    parameters = parameters_of(program, task.question)
    if called := imported(program) & set(taken):
        raise NotASkill(f"{task.id}: the program calls the skill {min(called)}; nothing is new")
    if not parameters:
        raise NotASkill(f"{task.id}: no constant of the program stands in the question")
    said = _words(task, program, parameters, llm)
    name = next(one for one in _numbered(said.name) if one not in taken and not importable(one))
    docstring = _docstring(said, parameters, task.unit)
    return Draft(
        name=name,
        description=said.description,
        when_to_use=said.when_to_use,
        tags=tuple(dict.fromkeys([tag.lower() for tag in said.tags] + _tools(program))),
        source=function_of(program, parameters, name, docstring, task.answer_type),
        tests=Tests(cases=_cases(task, solution, parameters, llm, bench)),
        question=redacted(task.question).text,
        source_task=task.id,
        model=model,
    )


def _words(task: Task, program: str, parameters: Sequence[Parameter], llm: Llm | None) -> Words:
    if llm is not None:
        try:
            return ask_for(llm, words_request(task, program, parameters, task.seed), Words)
        except (BadAnswer, Truncated):
            pass  # the question's own words do as well
    values = {str(one.value) for one in parameters}
    kept = [w for w in re.findall(r"[A-Za-z]{3,}", task.question) if w not in values]
    plain = [word.lower() for word in kept if words(word)]
    name = "_".join(dict.fromkeys(plain[:4])) or "solved_task"
    question = " ".join(redacted(task.question).text.split())
    return Words(
        name=name[:48].rstrip("_"),
        description=f"Solves tasks such as: {question[:250]}",
        when_to_use="Use it for the same question with other values.",
        tags=tuple(dict.fromkeys(plain[:8])),
    )


def _tools(program: str) -> list[str]:
    """Words of compound names such as ``XRDCalculator``, which say what a program does."""
    return [part for name in _COMPOUND.findall(program) for part in words(name)]


def _docstring(said: Words, parameters: Sequence[Parameter], unit: str) -> str:
    lines = [said.description, "", "Args:"]
    for one in parameters:
        meaning = " ".join(said.arguments.get(one.name, "").split())
        such = f"such as {one.value!r}."
        lines.append(f"    {one.name}: {f'{meaning}, {such}' if meaning else f'S{such[1:]}'}")
    return "\n".join([*lines, "", "Returns:", f"    The answer{f' in {unit}' if unit else ''}."])


def _cases(
    task: Task,
    solution: Solution,
    parameters: Sequence[Parameter],
    llm: Llm | None,
    bench: Workbench,
) -> tuple[Case, ...]:
    """Calls with the values that the program gives: the first half shown, the others held out.

    Raises:
        NotASkill: It runs for too few values, or its answer does not depend on them.
    """
    own: Inputs = {one.name: one.value for one in parameters}
    again = _answered(solution.code, parameters, own, bench)
    if again.error or not _same(again.value, solution.answer):
        what = again.error or f"{again.value!r} instead of {solution.answer!r}"
        raise NotASkill(f"{task.id}: run once more, the program gave {what}"[:300])
    found = [(own, again.value)]
    last = ""
    for inputs in _others(task, parameters, own, llm):
        called = _answered(solution.code, parameters, inputs, bench)
        last = called.error or last
        if not called.error:
            found.append((inputs, called.value))
        if len(found) > _KEPT:
            break
    if len(found) <= _LEAST:
        raise NotASkill(f"{task.id}: the program runs for {len(found) - 1} other values: {last}")
    if all(_same(value, again.value) for _, value in found):
        raise NotASkill(f"{task.id}: the answer does not depend on what stands in the question")
    shown = (len(found) + 1) // 2
    return tuple(
        Case(inputs=i, expected=v, rel_tol=_REL_TOL, abs_tol=_ABS_TOL, held_out=n >= shown)
        for n, (i, v) in enumerate(found)
    )


def _others(
    task: Task, parameters: Sequence[Parameter], own: Inputs, llm: Llm | None
) -> Iterator[Inputs]:
    """Other values: those a model finds sensible, then some nearby."""
    if llm is not None:
        try:
            told = ask_for(llm, values_request(task, parameters, task.seed), Values)
        except (BadAnswer, Truncated):
            told = Values(sets=())
        kinds = {one.name: type(one.value) for one in parameters}
        for values in told.sets:
            fits = values.keys() == own.keys() and values != own
            if fits and all(_is_a(values[name], kind) for name, kind in kinds.items()):
                yield values
    yield from resampled(parameters, _VARIANTS, task.seed)


def _is_a(value: JsonValue, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _answered(
    program: str, parameters: Sequence[Parameter], inputs: Inputs, bench: Workbench
) -> Called:
    """What the program itself answers with other constants."""
    source = substituted(program, parameters, inputs) + _REPORT
    result = bench.sandbox.run(Job.of(source, entry="main.py:_report", limits=bench.limits))
    if not result.ok or "value" not in result.values:
        return Called(error=why(result))
    return Called(value=result.values["value"])


def _same(one: JsonValue, other: JsonValue) -> bool:
    return agree(one, other, rel_tol=_REL_TOL, abs_tol=_ABS_TOL)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for n in itertools.count(2):
        yield f"{name}_{n}"
