"""``ray-matdesign cascade``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_matdesign.agents.cascade.prompts import CODE, code_request
from ray_matdesign.agents.cascade.settings import PromptSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.llm.cassette import Recorder
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier

QUESTION = "Volume of the primitive cell of fcc copper?"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A file of settings whose model's answers are on a cassette."""
    try:
        best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    path = tmp_path / "solving.yaml"
    path.write_text(
        "solver: {mode: native}\n"
        f"llm: {{replay: {tmp_path / 'cassette.jsonl'}}}\n"
        "preload: [ray_matdesign.agents.cascade.harness]\n"
    )
    return path


def record(tmp_path: Path, program: str, files: dict[str, str]) -> None:
    task = Task(id="x", question=QUESTION, answer_type="number", unit="Angstrom^3", files=files)
    request = code_request(task, PromptSettings(), temperature=0.2, purpose=CODE)
    answer = f"```python\n{program}\n```"
    Recorder(Scripted([answer]), tmp_path / "cassette.jsonl").ask(request)


def test_the_answer_goes_to_stdout_and_the_steps_to_stderr(
    command, settings: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("3.61")
    record(tmp_path, "answer = float(open('a.txt').read()) ** 3 / 4", {"a.txt": "3.61"})
    asked = ("cascade", "ask", QUESTION, "--unit", "Angstrom^3", "--file", "a.txt")
    outcome = command(*asked, "--settings", settings)
    assert (outcome.status, json.loads(outcome.out)) == (0, pytest.approx(3.61**3 / 4))
    assert "code                     ran    answer = 11.76" in outcome.err
    assert "1 questions" in outcome.err
    again = command(*asked, "--settings", settings, "--code")
    assert "code                     kept" in again.err
    assert again.out.startswith("answer = float(open('a.txt')")


def test_no_answer_is_a_status_of_its_own(command, settings: Path, tmp_path: Path) -> None:
    record(tmp_path, "answer = volume_of('Cu')", {})
    outcome = command("cascade", "ask", QUESTION, "--unit", "Angstrom^3", "--settings", settings)
    assert (outcome.status, outcome.out) == (3, "")
    assert "no answer: line 1: NameError: name 'volume_of' is not defined" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--type", "float"], "answer_type"),
        (["--file", "nothing.cif"], "nothing.cif: No such file"),
        (["--set", "solver.moed=deep"], "solver.moed: unknown key"),
        (["--mode", "deep+skills"], "abilities.skills: on; name the folder"),
        (["--token-env", "NOT_SET_AT_ALL", "--mode", "native"], "NOT_SET_AT_ALL"),
    ],
)
def test_mistakes_are_one_line(command, arguments: list[str], said: str) -> None:
    outcome = command("cascade", "ask", QUESTION, *arguments)
    assert outcome.status == 2
    assert outcome.err.startswith("ray-matdesign: ")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


ENTRIES = [
    {
        "user_query": {"0": "Volume of fcc copper, by a**3 / 4?", "1": "Volume of fcc copper?"},
        "output_type": "float",
        "unit": "Angstrom^3",
        "answer": 11.7615,
        "absolute_tolerance": 0.01,
    }
]


def test_a_benchmark_counts_failures_and_goes_on(command, tmp_path: Path) -> None:
    (tmp_path / "analysis.json").write_text(json.dumps(ENTRIES))
    (tmp_path / "bench.yaml").write_text(
        "solver: ray_matdesign.agents.benchmark.baselines:fixed_answers\n"
        "settings: {answers: {analysis-1.l0: 11.76}}\n"
        "published: analysis.json\nmodes: [native]\nrepetitions: 1\n"
    )
    outcome = command("cascade", "bench", "bench.yaml", "--out", "run")
    assert outcome.status == 0, outcome.err
    heading, _, everything, *_ = outcome.out.splitlines()
    row = dict(zip(heading.split("|"), everything.split("|"), strict=True))
    assert row[" problems "].strip() == "1"
    assert row[" success "].strip().startswith("50.0")
    assert outcome.err.count("native ") == 2
    again = command("cascade", "bench", "bench.yaml", "--out", "run")
    assert (again.out, again.err) == (outcome.out, "")


def test_help_names_the_commands(command) -> None:
    shown = command("cascade", "--help").out
    assert all(name in shown for name in ("ask", "bench", "lab", "skills"))
