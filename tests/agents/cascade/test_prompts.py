from __future__ import annotations

from cascade_cases import COPPER

from ray_matdesign.agents.cascade.prompts import (
    debug_request,
    judge_request,
    middle_cut,
    section,
    skills_section,
)
from ray_matdesign.agents.cascade.running import Failure, Run
from ray_matdesign.agents.cascade.settings import PromptSettings
from ray_matdesign.agents.cascade.task import FoundSkill
from ray_matdesign.agents.llm.protocol import Request

SIZE = PromptSettings()
CONTEXT = 8192
CHARS_A_TOKEN = 3.0
"""Few: English has about four, Python about three and a half."""

LONG = Run(
    source="x = 1\n" * 5000,
    output="y" * 5000,
    failure=Failure(
        kind="ValueError", message="m" * 5000, line=3, text="z" * 150, below="a.b, in C.d",
    ),
)  # fmt: skip


def tokens(request: Request) -> float:
    return sum(len(one.content) for one in request.messages) / CHARS_A_TOKEN + request.max_tokens


def test_the_longest_prompts_fit_a_context_of_8k() -> None:
    lines = ["l" * 200] * 100
    evidence = [
        section("Documentation", lines, SIZE.documentation_chars),
        section("What exists", lines, SIZE.documentation_chars // 2),
        section("Variables", lines, SIZE.documentation_chars // 3),
    ]
    request = debug_request(
        COPPER, LONG, "documentation", SIZE,
        evidence=evidence, tried=["e" * 240] * 3, temperature=0.2, seed=1,
    )  # fmt: skip
    assert tokens(request) < CONTEXT
    assert tokens(judge_request(COPPER, [LONG] * 8, SIZE)) < CONTEXT


def test_the_middle_of_a_long_program_is_left_out() -> None:
    program = "\n".join(f"line_{n} = {n}" for n in range(1000))
    cut = middle_cut(program, 500)
    assert len(cut) < 600
    assert cut.startswith("line_0 = 0\n")
    assert cut.endswith("line_999 = 999")
    assert "left out" in cut
    assert middle_cut("short", 500) == "short"


def test_only_whole_lines_go_into_a_section() -> None:
    assert section("Known", ["abc", "defg", "h"], 8) == "Known:\nabc"
    assert section("Known", [], 8) == ""


def test_answers_of_a_tie_are_lettered() -> None:
    runs = [Run(source=f"answer = {n}", answer=n) for n in range(3)]
    request = judge_request(COPPER, runs, SIZE)
    assert request.schema is not None
    assert request.schema["properties"]["choice"]["enum"] == ["A", "B", "C"]
    assert "C: answer = 2" in request.messages[-1].content


def test_a_skill_is_offered_with_its_import() -> None:
    told = skills_section([FoundSkill("v-1", "volume", "(a: float) -> float", "Volume.\nOf fcc.")])
    assert "from volume import volume  # (a: float) -> float\n#   Volume. Of fcc." in told
