"""The benchmark of agents that solve by code, as a script."""

from __future__ import annotations

from pathlib import Path

import cascade
import pytest

from ray_matdesign.agents.benchmark.problem import CATEGORIES


def test_the_configuration_beside_it_loads_and_asks_every_question() -> None:
    settings = cascade.read_settings(cascade.ROOT / "bench" / "cascade.yaml")
    items = cascade.questions(settings, print)
    assert len(items) >= 120
    assert cascade.plan_of(settings, "deep")["mode"] == "deep"


def test_a_smoke_test_asks_one_problem_of_each_category() -> None:
    settings = cascade.read_settings(cascade.ROOT / "bench" / "cascade.yaml")
    items = cascade.questions(settings, print, each=1)
    assert [item.category for item in items] == [name for name in CATEGORIES for _ in range(2)]


def test_a_wrong_configuration_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("solver: a:b\nmodes: [shallow]\n")
    with pytest.raises(SystemExit, match=r"wrong\.yaml: modes\.0: must be 'native'"):
        cascade.read_settings(path)
