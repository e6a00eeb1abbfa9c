"""The course of a solution, with a scripted model and a real sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cascade_cases import (
    COPPER,
    CUBIC,
    ENDLESS,
    INVENTED,
    RIGHT,
    RIGHT_BY_ASE,
    TOOLBOX,
    VOLUME,
    Library,
    block,
)

from ray_matdesign.agents.cascade.documentation import MissingTool
from ray_matdesign.agents.cascade.orchestrator import MissingPart, Orchestrator
from ray_matdesign.agents.cascade.phases import Remembered, Step
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Solution, Task
from ray_matdesign.agents.llm.protocol import Answer, BudgetSpent, Request, Unreachable
from ray_matdesign.agents.llm.scripted import Line, Scripted
from ray_matdesign.agents.sandbox.box import Box

SYMBOL = ("introspection", "direct", "documentation")
"""Strategies of three debuggers of a symbol that does not exist, in their order."""


def settings(mode: str = "deep", **changes: object) -> CascadeSettings:
    run = {"cpu_s": 2.0, "wall_s": 20.0}
    return CascadeSettings.model_validate({"mode": mode, "turns": 2, "run": run, **changes})


def deep_script(code: Line, debuggers: Mapping[str, Iterable[Line]], **more: Line) -> Scripted:
    lines = {f"solver.debug.{name}": list(said) for name, said in debuggers.items()}
    extra = {f"solver.{name}": [said] for name, said in more.items()}
    return Scripted(
        {"solver.research": ["ase.build.bulk"], "solver.code": [code], **lines, **extra}
    )


def solve(llm: Scripted, sandbox: Box, how: CascadeSettings, **parts: object) -> Solution:
    given = {"toolbox": TOOLBOX, **parts}
    return Orchestrator(llm, sandbox, how, **given).solve(COPPER)  # type: ignore[arg-type]


def said(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)


def test_native_asks_once_runs_once_and_gets_no_help(sandbox: Box) -> None:
    llm = Scripted([RIGHT])
    found = solve(llm, sandbox, settings("native"), toolbox=None)
    assert found.solved
    assert found.answer == pytest.approx(VOLUME)
    assert found.code == "answer = 3.61 ** 3 / 4\n"
    assert (found.cost.requests, found.cost.runs) == (1, 1)
    assert list(found.phases) == ["code", "process"]
    assert "get_volume" not in said(llm.asked[0])


@pytest.mark.parametrize("answer", ["I do not know.", INVENTED, block("answer = 'much'"), ENDLESS])
def test_native_does_not_try_again(sandbox: Box, answer: str) -> None:
    llm = Scripted([answer])
    found = solve(llm, sandbox, settings("native"))
    assert not found.solved
    assert found.answer is None
    assert found.reason
    assert len(llm.asked) == 1


def test_search_and_one_debugger(sandbox: Box) -> None:
    llm = Scripted({"solver.code": [INVENTED], "solver.debug.documentation": [RIGHT_BY_ASE]})
    found = solve(llm, sandbox, settings("search_debug"))
    assert found.answer == pytest.approx(VOLUME)
    assert "ase.Atoms.get_volume(): Volume of the cell." in said(llm.asked[0])
    assert "has no attribute 'get_cell_volume'" in said(llm.asked[1])
    assert "What exists" not in said(llm.asked[1])  # introspection is not of this mode
    assert list(found.phases) == ["code", "debug-1-documentation", "process", "research"]


def test_a_first_program_that_works_needs_no_debugger(sandbox: Box) -> None:
    steps: list[Step] = []
    llm = deep_script(RIGHT_BY_ASE, {})
    found = solve(llm, sandbox, settings(), listener=steps.append)
    assert found.answer == pytest.approx(VOLUME)
    assert [request.purpose for request in llm.asked] == ["solver.research", "solver.code"]
    assert "ase.build.bulk(name, crystalstructure)" in said(llm.asked[1])
    assert [step.kind for step in steps if step.phase == "code"] == ["began", "asked", "ran"]


def test_three_debuggers_with_strategies_and_seeds_of_their_own(sandbox: Box) -> None:
    llm = deep_script(INVENTED, {name: [RIGHT_BY_ASE] for name in SYMBOL})
    found = solve(llm, sandbox, settings())
    assert found.answer == pytest.approx(VOLUME)
    asked = [request for request in llm.asked if request.purpose.startswith("solver.debug")]
    assert {request.purpose for request in asked} == {f"solver.debug.{name}" for name in SYMBOL}
    assert len({request.seed for request in asked}) == 3
    assert len({request.temperature for request in asked}) == 3
    assert len({said(request) for request in asked}) == 3
    # What the interpreter found in place of the invented name is told to all, unasked.
    assert all("it has get_volume(self)" in said(request) for request in asked)
    assert found.phases["process"]["clusters"] == [[f"debug-{n}-{s}" for n, s in
                                                    enumerate(SYMBOL, start=1)]]  # fmt: skip


def test_the_majority_wins_over_the_first(sandbox: Box) -> None:
    llm = deep_script(
        INVENTED,
        {"introspection": [CUBIC], "direct": [RIGHT], "documentation": [RIGHT_BY_ASE]},
    )
    found = solve(llm, sandbox, settings())
    assert found.answer == pytest.approx(VOLUME)
    assert not found.phases["process"]["judged"]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [('{"choice": "B"}', VOLUME), ('{"choice": "A"}', 3.61**3), ('{"choice": "Z"}', 3.61**3)],
)
def test_the_model_is_asked_about_ties_alone(sandbox: Box, verdict: str, answer: float) -> None:
    llm = deep_script(
        INVENTED,
        {"introspection": [CUBIC], "direct": [RIGHT], "documentation": ["no", "no"]},
        judge=verdict,
    )
    found = solve(llm, sandbox, settings())
    assert found.answer == pytest.approx(answer)
    assert found.phases["process"]["judged"] == (verdict != '{"choice": "Z"}')


def test_without_a_judge_the_first_strategy_breaks_a_tie(sandbox: Box) -> None:
    llm = deep_script(
        INVENTED, {"introspection": [CUBIC], "direct": [RIGHT], "documentation": ["", ""]}
    )
    found = solve(llm, sandbox, settings(abilities={"judge": False}))
    assert found.answer == pytest.approx(3.61**3)


def test_one_debugger_breaks_off_and_the_others_go_on(sandbox: Box) -> None:
    lost = Unreachable("the endpoint is silent")
    llm = deep_script(
        INVENTED, {"introspection": [lost], "direct": [RIGHT], "documentation": [RIGHT]}
    )
    steps: list[Step] = []
    found = solve(llm, sandbox, settings(), listener=steps.append)
    assert found.answer == pytest.approx(VOLUME)
    assert Step("debug-1-introspection", "broke", "the endpoint is silent") in steps


def test_if_nobody_has_an_answer_a_lost_model_is_no_verdict_on_the_task(sandbox: Box) -> None:
    lost = BudgetSpent("nothing left")
    llm = deep_script(
        INVENTED, {"introspection": [INVENTED] * 2, "direct": [lost], "documentation": ["?"] * 2}
    )
    with pytest.raises(BudgetSpent, match="nothing left"):
        solve(llm, sandbox, settings())


def test_all_debuggers_fail_after_as_many_turns_as_they_have(sandbox: Box) -> None:
    wrong = [block("answer = bulk_volume(3.61)"), block("import nowhere\nanswer = 1")]
    llm = deep_script(INVENTED, {name: list(wrong) for name in SYMBOL})
    found = solve(llm, sandbox, settings())
    assert (found.solved, found.answer, found.code) == (False, None, "")
    assert "No module named 'nowhere'" in found.reason
    assert len(llm.asked) == 2 + 3 * 2
    assert "Errors before this one" in said(llm.asked[-1])


def test_malformed_answers_and_the_same_program_again_are_not_run(sandbox: Box) -> None:
    cut_off = Answer("```python\nanswer = 3.61 **", "scripted", 5, 4, 0.0, "length")
    llm = deep_script(
        cut_off, {"direct": ["no code", RIGHT], "diagnostic": [INVENTED, INVENTED],
                  "documentation": [RIGHT]},
    )  # fmt: skip
    found = solve(llm, sandbox, settings())
    assert found.answer == pytest.approx(VOLUME)
    kinds = [
        [attempt["failure"]["kind"] if attempt["failure"] else "" for attempt in phase["attempts"]]
        for name, phase in found.phases.items()
        if name.startswith("debug-")
    ]
    assert kinds == [["NoProgram", ""], ["AttributeError", "SameProgram"], [""]]
    assert found.cost.runs == 3
    assert found.phases["code"]["run"]["failure"]["message"].startswith("the answer was too long")


def test_an_endless_program_is_stopped_and_debugged(sandbox: Box) -> None:
    llm = deep_script(ENDLESS, {"direct": [RIGHT]})
    found = solve(llm, sandbox, settings(abilities={"debuggers": 1}))
    assert found.answer == pytest.approx(VOLUME)
    assert "used up its limit of cpu" in said(llm.asked[-1])


def test_an_answer_of_the_wrong_form_goes_to_result_processing(sandbox: Box) -> None:
    llm = deep_script(block("answer = {'volume': 11.76}"), {"result": [RIGHT]})
    found = solve(llm, sandbox, settings(abilities={"debuggers": 1}))
    assert found.answer == pytest.approx(VOLUME)
    assert "it must be a number" in said(llm.asked[-1])


def test_out_of_time_or_tokens_nothing_more_is_asked_and_what_is_done_stays(sandbox: Box) -> None:
    llm = deep_script(INVENTED, {name: [RIGHT] for name in SYMBOL})
    found = solve(llm, sandbox, settings(tokens=1))
    assert not found.solved
    assert re.fullmatch(r"out of tokens: \d+ of 1 are spent", found.reason)
    assert list(found.phases) == ["research"]
    llm = Scripted([])
    found = solve(llm, sandbox, settings(deadline_s=1e-9))
    assert found.reason == "out of time after 1e-09 s"
    assert llm.asked == []


@pytest.mark.parametrize("ability", ["research", "documentation", "introspection", "repair"])
def test_each_ability_can_be_taken_away(sandbox: Box, ability: str) -> None:
    printed = block("from ase.build import bulk\nprint(bulk('Cu', 'fcc', a=3.61).get_volume())")
    llm = deep_script(printed, {"result": [RIGHT]})
    how = settings(abilities={ability: False, "debuggers": 1})
    found = solve(llm, sandbox, how)
    assert found.answer == pytest.approx(VOLUME)
    text = "\n".join(map(said, llm.asked))
    purposes = {request.purpose for request in llm.asked}
    assert ("solver.research" in purposes) == (ability != "research")
    assert ("Documentation:" in text) == (ability != "documentation")
    exists = ability not in ("research", "introspection")
    assert ("ase.build.bulk(name" in text) == exists
    assert ("solver.debug.result" in purposes) == (ability == "repair")
    repairs = found.phases["code"]["run"]["repairs"]
    assert bool(repairs) == (ability != "repair")


def test_skills_are_offered_beside_the_program_and_told_how_it_went(sandbox: Box) -> None:
    library = Library()
    by_skill = block("from fcc_volume import fcc_volume\nanswer = fcc_volume(3.61)")
    llm = deep_script(by_skill, {})
    found = solve(llm, sandbox, settings("deep+skills"), skills=library)
    assert found.answer == pytest.approx(VOLUME)
    assert found.skills == ("fcc_volume-1",)
    assert library.reports == [("fcc_volume-1", "copper.volume", True)]
    assert "from fcc_volume import fcc_volume  # (a: float) -> float" in said(llm.asked[-1])
    without = solve(deep_script(by_skill, {n: ["", ""] for n in SYMBOL}), sandbox, settings())
    assert not without.solved


def test_a_judge_may_report_on_skills_instead(sandbox: Box) -> None:
    library = Library()
    how = settings("deep+skills", credit_skills=False)
    solve(deep_script(RIGHT, {}), sandbox, how, skills=library)
    assert library.reports == []


class Notes:
    def recall(self, question: str, limit: int = 1) -> list[Remembered]:
        return [Remembered(question="Volume of fcc silver?", code="answer = 4.09**3 / 4")][:limit]


def test_what_is_remembered_is_solved_simply(sandbox: Box) -> None:
    llm = Scripted({"solver.simple": [RIGHT]})
    how = settings(abilities={"memory": True, "route": True})
    found = solve(llm, sandbox, how, memory=Notes())
    assert found.answer == pytest.approx(VOLUME)
    assert list(found.phases) == ["process", "recall", "simple"]
    assert "answer = 4.09**3 / 4" in said(llm.asked[0])


def test_a_simple_try_that_fails_is_solved_in_depth(sandbox: Box) -> None:
    llm = Scripted({"solver.simple": [INVENTED], "solver.research": ["-"], "solver.code": [RIGHT]})
    how = settings(abilities={"memory": True, "route": True})
    found = solve(llm, sandbox, how, memory=Notes())
    assert found.answer == pytest.approx(VOLUME)
    assert found.cost.requests == 3


def test_abilities_without_their_part_are_told_before_anything_is_asked(sandbox: Box) -> None:
    with pytest.raises(MissingTool, match=r"abilities.documentation: there is no tool search_docs"):
        Orchestrator(Scripted([]), sandbox, settings())
    with pytest.raises(MissingPart, match=r"abilities.skills: on, but there is none"):
        Orchestrator(Scripted([]), sandbox, settings("deep+skills"), toolbox=TOOLBOX)


def test_what_is_done_is_taken_from_disk(sandbox: Box, tmp_path: Path) -> None:
    llm = deep_script(INVENTED, {name: [RIGHT] for name in SYMBOL})
    first = solve(llm, sandbox, settings(), folder=tmp_path / "run")
    steps: list[Step] = []
    again = solve(Scripted([]), sandbox, settings(), folder=tmp_path / "run", listener=steps.append)
    assert replace(again, cost=first.cost) == first
    assert again.cost.requests == first.cost.requests
    assert again.cost.runs == first.cost.runs
    assert {step.kind for step in steps} == {"kept"}
    assert Path(tmp_path, "run", "copper.volume", "3", "code.json").exists()


def test_a_task_goes_on_after_a_model_that_was_lost(sandbox: Box, tmp_path: Path) -> None:
    lost = Unreachable("gone")
    llm = deep_script(INVENTED, {n: [block("answer = nothing"), lost] for n in SYMBOL})
    with pytest.raises(Unreachable):
        solve(llm, sandbox, settings(), folder=tmp_path)
    llm = Scripted({f"solver.debug.{name}": [RIGHT] for name in SYMBOL})
    assert solve(llm, sandbox, settings(), folder=tmp_path).answer == pytest.approx(VOLUME)
    # The first turns of the debuggers were answered before: only the second are asked.
    assert len(llm.asked) == 3


def test_repetitions_do_not_meet(sandbox: Box, tmp_path: Path) -> None:
    solver = Orchestrator(Scripted([RIGHT, CUBIC]), sandbox, settings("native"), folder=tmp_path)
    other = Task(**{**COPPER.model_dump(), "seed": 4})
    assert solver.solve(COPPER).answer != solver.solve(other).answer
