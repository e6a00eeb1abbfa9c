"""Solvers from settings: a real index of a small package, real sandboxes, a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest
from cascade_cases import COPPER, RIGHT, VOLUME, block

from ray_matdesign.agents.cascade.building import (
    Boxes,
    Workshop,
    WorkshopSettings,
    benchmark_workshop,
)
from ray_matdesign.agents.cascade.orchestrator import MissingPart
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.config.loading import ConfigError


def settings(tmp_path: Path, **more: object) -> WorkshopSettings:
    index = {"distributions": ["spglib"], "cache": str(tmp_path / "cache")}
    return WorkshopSettings.model_validate({"documentation": index, **more})


def test_the_index_tells_a_debugger_what_there_is(tmp_path: Path, sandbox: Box) -> None:
    wrong = block("import spglib\nanswer = spglib.get_symmetry_dataset_of(None)")
    strategies = {
        f"solver.debug.{n}": [RIGHT] for n in ("introspection", "direct", "documentation")
    }
    llm = Scripted(
        {"solver.research": ["spglib.find_primitive"], "solver.code": [wrong], **strategies}
    )
    made = settings(tmp_path, solver={"tokens": 1_000_000})
    with Workshop(made, llm=llm, sandbox=sandbox) as workshop:
        found = workshop.solver(tmp_path / "one").solve(COPPER)
    assert found.answer == pytest.approx(VOLUME)
    texts = [request.messages[-1].content for request in llm.asked]
    assert "spglib.find_primitive(cell" in texts[1]
    assert all("get_symmetry_dataset(" in text for text in texts[2:])
    assert (tmp_path / "one" / "llm.jsonl").exists()


def test_an_accepted_program_is_remembered_and_used(tmp_path: Path, sandbox: Box) -> None:
    able = {"abilities": {"memory": True, "route": True}, "mode": "native"}
    made = settings(tmp_path, solver=able, memory=str(tmp_path / "memory.sqlite"))
    llm = Scripted({"solver.code": [RIGHT], "solver.simple": [RIGHT]})
    with Workshop(made, llm=llm, sandbox=sandbox) as workshop:
        first = workshop.solver(tmp_path / "first").solve(COPPER)
        assert workshop.memory is not None
        workshop.memory.keep(COPPER, first)
        second = workshop.solver(tmp_path / "second").solve(COPPER)
    assert "simple" not in first.phases
    assert "simple" in second.phases
    assert first.code.strip() in llm.asked[-1].messages[-1].content


def test_what_is_missing_is_told_at_once(tmp_path: Path, sandbox: Box) -> None:
    llm = Scripted([])
    with pytest.raises(MissingPart, match="name the folder of the library in skills"):
        Workshop(settings(tmp_path, solver={"mode": "deep+skills"}), llm=llm, sandbox=sandbox)
    with pytest.raises(MissingPart, match="name the file of the memory in memory"):
        Workshop(
            settings(tmp_path, solver={"abilities": {"memory": True}}), llm=llm, sandbox=sandbox
        )
    with pytest.raises(ConfigError, match=r"settings of the solver: solver.turnz: unknown key"):
        benchmark_workshop({"mode": "deep", "solver": {"turnz": 1}})


def test_programs_run_side_by_side(sandbox: Box) -> None:
    assert sandbox.pid is not None  # there are sandboxes on this machine
    with Boxes(2, ()) as boxes:
        assert boxes.run(Job.of("print(1)")).stdout == "1\n"
        assert boxes.run(Job.of("print(2)")).stdout == "2\n"
