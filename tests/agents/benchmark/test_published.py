from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.agents.benchmark.published import load_published
from ray_matdesign.agents.benchmark.suite import BadSuite

ENTRY: dict[str, Any] = {
    "user_query": {"0": "Use f() to find x.", "1": "Find x."},
    "output_type": "float",
    "unit": "eV",
    "answer": 3.0,
    "absolute_tolerance": 0.1,
}


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps(list(entries)))
    return path


def test_entries_become_questions_in_two_wordings(tmp_path: Path) -> None:
    write(tmp_path / "gap.json", ENTRY)
    write(tmp_path / "cells.json", ENTRY | {"output_type": "List[float]", "answer": [1.0, 2.0]})
    items = load_published(tmp_path).items()
    assert [item.task.id for item in items] == ["cells-1.l0", "cells-1.l1", "gap-1.l0", "gap-1.l1"]
    last = items[-1]
    assert last.task.prompt() == (
        "Find x.\nThe answer is a plain Python value (no numpy types): number in eV. The program "
        "assigns it to the variable `answer`."
    )
    assert (last.category, last.level) == ("gap", 1)
    assert last.judge(3.09, last.reference()).right
    assert not last.judge(3.11, last.reference()).right
    assert items[0].judge([1.05, 1.95], items[0].reference()).right


def test_tolerances_come_for_each_wording_each_part_and_in_words(tmp_path: Path) -> None:
    by_level = ENTRY | {"absolute_tolerance": {"0": 0.1, "1": 1.0}}
    by_part = ENTRY | {
        "output_type": "list",
        "answer": [1, "a"],
        "absolute_tolerance": [2, "exact"],
    }
    words = ENTRY | {
        "output_type": "str",
        "answer": "Fe2O3",
        "absolute_tolerance": "semantic match",
    }
    exact = words | {"absolute_tolerance": "exact match"}
    path = write(tmp_path / "all.json", by_level, by_part, words, exact)
    first, second, third, _, fifth, _, seventh, _ = load_published(path).items()
    assert not first.judge(3.5, 3.0).right
    assert second.judge(3.5, 3.0).right
    assert third.judge([3, "a"], [1, "a"]).right
    assert fifth.judge("fe2 o3", "Fe2O3").right
    assert not seventh.judge("fe2 o3", "Fe2O3").right


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            ENTRY | {"user_query": {"0": "only one"}},
            "user_query: Dictionary should have at least 2",
        ),
        (ENTRY | {"output_type": "graph"}, "output_type: 'graph' is none of float"),
        (ENTRY | {"absolute_tolerance": -1}, "absolute_tolerance: must be a number from 0 up"),
        (ENTRY | {"absolute_tolerance": [1, 2]}, "absolute_tolerance: must be a number from 0 up"),
        (ENTRY | {"comment": ""}, "comment: Extra inputs are not permitted"),
        ({k: v for k, v in ENTRY.items() if k != "answer"}, "answer: Field required"),
    ],
)
def test_entries_that_are_none_are_named(
    tmp_path: Path, entry: dict[str, Any], problem: str
) -> None:
    path = write(tmp_path / "bad.json", ENTRY, entry)
    with pytest.raises(BadSuite) as caught:
        load_published(path)
    assert str(caught.value).startswith(f"{path}: entry 2: {problem}")
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BadSuite, match=r"broken\.json: not JSON"):
        load_published(tmp_path)
    with pytest.raises(BadSuite, match=r"none\.json: No such file"):
        load_published(tmp_path / "none.json")
    items = load_published(write(tmp_path / "good.json", ENTRY))
    with pytest.raises(BadSuite, match="no variant 3"):
        items.items(variant=3)
