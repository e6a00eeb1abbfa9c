"""From a solved task to a skill, and the loop of learning as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from seeded import volume

from ray_matdesign.agents.cascade.task import Skills, Solution, Solver, Task
from ray_matdesign.agents.llm.protocol import Answer, Llm, Message, Request, Unreachable
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.skills.evolving import Failure, patch
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.lifting import NotASkill
from ray_matdesign.agents.skills.proposing import learn, propose
from ray_matdesign.agents.skills.skill import Status
from ray_matdesign.agents.skills.trial import Workbench

QUESTION = "What is the spacing of the (2 2 0) planes of a cubic crystal with a = 5.431 Angstrom?"
PROGRAM = """
import math

a = 5.431
hkl = (2, 2, 0)
answer = a / math.sqrt(sum(i * i for i in hkl))
print("spacing", answer)
"""
SPACING = 5.431 / 8**0.5


def _task(question: str = QUESTION, identity: str = "spacing.1") -> Task:
    return Task(id=identity, question=question, answer_type="number", unit="Angstrom")


def _solved(program: str = PROGRAM, answer: object = SPACING) -> Solution:
    return Solution(task="spacing.1", solved=True, answer=answer, code=program)  # type: ignore[arg-type]


def test_without_a_model_the_program_itself_becomes_a_skill(
    bench: Workbench, library: Library
) -> None:
    learnt = learn(library, _task(), _solved(), None, bench)
    assert learnt.new, learnt.reason
    skill = library.load(str(learnt.id))
    assert skill.meta.status is Status.CANDIDATE
    assert skill.meta.source_task == "spacing.1"
    assert [case.held_out for case in skill.tests.cases] == [False, False, False, True, True]
    (found,) = library.search("Distance between the planes (1 1 1) of a cubic crystal, a = 4.05")
    assert found.id == learnt.id
    module: dict[str, object] = {}
    exec(library.code(found.id), module)  # noqa: S102 - written above
    one = skill.tests.cases[0].inputs | {"a": 2 * 5.431}
    assert module[skill.name](**one) == pytest.approx(2 * SPACING)  # type: ignore[operator]


def test_a_model_names_and_describes_and_its_values_are_tried(
    bench: Workbench, library: Library
) -> None:
    words = {
        "name": "cubic_plane_spacing",
        "description": "Distance of neighbouring lattice planes of a cubic crystal.",
        "when_to_use": "Use it for Miller indices and Bragg's law.",
        "tags": ["miller"],
        "arguments": {"a": "lattice parameter in Angstrom"},
    }
    draft = propose(_task(), _solved(), Scripted([json.dumps(words)] + ["no"] * 3), bench)
    assert draft.name == "cubic_plane_spacing"
    assert "a: lattice parameter in Angstrom, such as 5.431." in draft.source
    own = dict(draft.tests.cases[0].inputs)
    sets = {"sets": [own | {"a": 4.05}, own | {"a": "x"}, {"a": 1.0}]}
    llm = Scripted([json.dumps(words), json.dumps(sets)])
    draft = propose(_task(), _solved(), llm, bench, taken={"cubic_plane_spacing"})
    assert draft.name == "cubic_plane_spacing_2"
    assert draft.tests.cases[1].inputs == own | {"a": 4.05}
    assert draft.tests.cases[1].expected == pytest.approx(4.05 / 8**0.5)
    with pytest.raises(Unreachable):
        propose(_task(), _solved(), Scripted([Unreachable("down")]), bench)


@pytest.mark.parametrize(
    ("program", "answer", "says"),
    [
        ("answer = 1.0", 1.0, "no constant of the program stands in the question"),
        (PROGRAM, 9.9, "run once more, the program gave 1.92"),
        ("a = 5.431\nanswer = 8.0", 8.0, "does not depend on what stands in the question"),
        ("a = 5.431\nanswer = {5.431: 1.5}[a]", 1.5, "runs for 0 other values"),
    ],
)
def test_nothing_is_learnt_from_what_cannot_be_repeated(
    bench: Workbench, program: str, answer: float, says: str
) -> None:
    with pytest.raises(NotASkill, match=says):
        propose(_task(), _solved(program, answer), None, bench)


def test_nothing_is_learnt_from_failures_and_files(bench: Workbench) -> None:
    with pytest.raises(NotASkill, match="not solved"):
        propose(_task(), Solution(task="spacing.1", solved=False), None, bench)
    task = _task().model_copy(update={"files": {"x.cif": "data_x"}})
    with pytest.raises(NotASkill, match="works on files"):
        propose(task, _solved(), None, bench)


def test_a_program_that_calls_a_skill_teaches_nothing_new(
    bench: Workbench, library: Library
) -> None:
    first = learn(library, _task(), _solved(), None, bench)
    name = str(first.id).partition("@")[0]
    program = f"from {name} import {name}\nanswer = {name}(a=5.431, hkl=[2, 2, 0])\n"
    learnt = learn(library, _task(), _solved(program), None, bench)
    assert learnt.reason == f"spacing.1: the program calls the skill {name}; nothing is new"


def test_the_same_again_adds_a_wording_and_no_skill(bench: Workbench, library: Library) -> None:
    first = learn(library, _task(), _solved(), None, bench)
    reworded = "Bragg separation for reflection (2 2 0) and lattice constant 5.431 Angstrom?"
    again = learn(library, _task(reworded, "spacing.2"), _solved(), None, bench)
    assert (again.id, again.new) == (first.id, False)
    assert library.search("Which separation has a reflection?")[0].id == first.id


def test_a_failure_is_patched_by_a_version_that_keeps_every_promise(
    bench: Workbench, library: Library
) -> None:
    source = (
        'def cell_volume(a: float, b: float, c: float) -> float:\n    """Volume."""\n'
        "    assert a < 10\n    return a * b * c\n"
    )
    old = str(library.admit(volume(source=source), bench).id)
    wrong = source.replace("    assert a < 10\n", "").replace("a * b * c", "24.0")
    right = source.replace("    assert a < 10\n", "").replace("a * b * c", "c * b * a")
    answers = ["gibberish", f"```python\n{wrong}```", f"```python\n{right}```"]
    llm = Scripted(answers)
    failure = Failure({"a": 20.0, "b": 1.0, "c": 2.0}, 40.0, source="volume.7")
    found = patch(library, old, failure, llm, bench)
    assert found.id == "cell_volume@1.0.1"
    assert "AssertionError" in llm.asked[0].messages[-1].content
    assert "66.43" not in "".join(m.content for r in llm.asked for m in r.messages)
    (head,) = library.search("volume of an orthorhombic cell")
    assert head.id == found.id
    assert library.load(found.id).meta.parent == old
    assert library.roll_back("cell_volume", "") == old


@dataclass
class Pupil:
    """A model that can do nothing but call a skill whose source lies before it."""

    asked: int = 0

    def ask(self, request: Request) -> Answer:
        """Copies numbers of the question into a call of the first skill that is shown."""
        self.asked += 1
        code = request.messages[-1].content
        return Answer(code, "pupil", 1, 1, 0.0, "stop")


@dataclass
class Reader:
    """A small solver: with a skill, a program that calls it; without one, none that runs.

    Stands for a model that knows which values the question is about, but no method.
    """

    llm: Llm
    bench: Workbench
    skills: Skills | None
    values: dict[str, dict[str, object]] = field(default_factory=dict)

    def solve(self, task: Task) -> Solution:
        """See ``Solver``."""
        found = self.skills.search(task.question, 1) if self.skills else []
        if not found or self.skills is None:
            return Solution(task=task.id, solved=False, reason="no idea")
        call = f"answer = {found[0].name}(**{self.values[task.id]!r})"
        program = f"{self.skills.code(found[0].id)}\n{call}\n"
        said = self.llm.ask(Request("coder", "1", (Message("user", program),))).text
        source = f"{said}\ndef _report():\n    return {{'value': answer}}\n"
        result = self.bench.sandbox.run(Job.of(source, entry="main.py:_report"))
        value = result.values.get("value")
        return Solution(
            task=task.id, solved=value is not None, answer=value, code=said, skills=(found[0].id,)
        )


LESSONS = (
    (QUESTION, PROGRAM, SPACING),
    (
        "Ideal c/a? Give the volume per atom of hcp magnesium with a = 3.21 and c = 5.21 Angstrom.",
        "from math import sqrt\na = 3.21\nc = 5.21\nanswer = sqrt(3) / 2 * a * a * c / 2\n",
        3**0.5 / 2 * 3.21**2 * 5.21 / 2,
    ),
    (
        "Goldschmidt tolerance factor of a perovskite with radii 1.44, 0.605 and 1.40 Angstrom",
        "r_a, r_b, r_o = map(float, (1.44, 0.605, 1.40))\n"
        "answer = (r_a + r_o) / (2 ** 0.5 * (r_b + r_o))\n",
        (1.44 + 1.40) / (2**0.5 * (0.605 + 1.40)),
    ),
)
# Other wordings, other parameters, with the values computed by hand from textbook formulas.
SECOND_PASS = (
    ("Cubic nickel, lattice constant 3.524: how far apart are its (1 1 1) planes?",
     [3.524, [1, 1, 1]], 2.03458),
    ("Titanium is hcp with c = 4.68 and a = 2.95; find the atomic volume in cubic Angstrom",
     [2.95, 4.68], 17.6359),
    ("Is a perovskite of ions with radii 1.61, 0.60, 1.40 stable by its tolerance factor?",
     [[1.61, 0.60, 1.40]], 1.06419),
)  # fmt: skip


def _pass(solver: Solver, tasks: list[Task], right: list[float]) -> list[bool]:
    solutions = [solver.solve(task) for task in tasks]
    return [
        one.solved and one.answer == pytest.approx(value, rel=1e-4)
        for one, value in zip(solutions, right, strict=True)
    ]


def test_the_loop_of_learning_goes_from_nothing_to_everything(
    tmp_path: Path, bench: Workbench
) -> None:
    library = Library(tmp_path / "skills")
    first = [_task(q, f"first.{n}") for n, (q, _, _) in enumerate(LESSONS)]
    second = [_task(q, f"second.{n}") for n, (q, _, _) in enumerate(SECOND_PASS)]
    wanted = [value for _, _, value in SECOND_PASS]
    pupil = Reader(Pupil(), bench, library)
    assert _pass(pupil, first, [value for _, _, value in LESSONS]) == [False] * 3
    assert _pass(pupil, second, wanted) == [False] * 3
    for task, (_, program, value) in zip(first, LESSONS, strict=True):
        learnt = learn(library, task, _solved(program, value), None, bench)
        assert learnt.new, learnt.reason
        skill = library.load(str(learnt.id))
        index = first.index(task)
        names = list(skill.tests.cases[0].inputs)
        pupil.values[f"second.{index}"] = dict(zip(names, SECOND_PASS[index][1], strict=True))
    assert _pass(pupil, second, wanted) == [True] * 3
    assert _pass(Reader(Pupil(), bench, None), second, wanted) == [False] * 3
    for n, task in enumerate(second):
        solution = pupil.solve(task)
        for skill_id in solution.skills:
            library.used(skill_id, f"{task.id}.{n}", solved=solution.solved)
            library.compared(skill_id, task.id, solved_with=True, solved_without=False)
    assert all((one.uses, one.successes) == (1, 1) for one in library.standings())
    assert library.weed(baseline=0.0) == []
