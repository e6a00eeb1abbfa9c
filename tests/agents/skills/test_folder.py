from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded import SPACING, spacing

from ray_matdesign.agents.skills.environment import environment_hash, environment_of
from ray_matdesign.agents.skills.folder import read_draft, read_skill, write_skill
from ray_matdesign.agents.skills.normal_form import code_hash
from ray_matdesign.agents.skills.skill import Draft, Meta, Skill, SkillError, digest

LINE = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60
).filter(lambda text: text.strip() != "")
WORD = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


def _skill(draft: Draft) -> Skill:
    environment = environment_of(draft.source)
    meta = Meta(
        id=f"{draft.name}@1.0.0",
        version="1.0.0",
        environment=environment,
        environment_hash=environment_hash(environment),
        code_hash=code_hash(draft.source),
        source_hash=digest(draft.source),
        source_task=draft.source_task,
        question=draft.question,
        created="2026-01-01T00:00:00+00:00",
        uses=3,
        successes=2,
    )
    fields = {
        name: getattr(draft, name)
        for name in ("name", "description", "when_to_use", "tags", "source", "tests")
    }
    return Skill(**fields, meta=meta)


@settings(deadline=None, max_examples=40)
@given(description=LINE, when=LINE, question=LINE, tags=st.lists(WORD, max_size=4, unique=True))
def test_a_folder_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    description: str,
    when: str,
    question: str,
    tags: list[str],
) -> None:
    texts = {"description": description, "when_to_use": when, "question": question}
    skill = _skill(spacing(**texts, tags=tuple(tags)))
    folder = write_skill(skill, tmp_path_factory.mktemp("skill"))
    assert read_skill(folder) == skill
    assert read_draft(folder) == skill.draft()


def test_the_folder_is_an_agent_skill(tmp_path: Path) -> None:
    folder = write_skill(_skill(spacing()), tmp_path)
    assert folder.name == "plane-spacing"
    assert {file.name for file in folder.iterdir()} == {
        "SKILL.md", "skill.py", "tests.json", "meta.json",
    }  # fmt: skip
    page = (folder / "SKILL.md").read_text()
    front = yaml.safe_load(page.split("---\n")[1])
    # What the format's own validator looks at.
    assert set(front) <= {
        "name", "description", "license", "compatibility", "metadata", "allowed-tools",
    }  # fmt: skip
    assert front["name"] == folder.name
    assert 0 < len(front["description"]) <= 1024
    assert "Use it for d-spacings" in front["description"]
    assert all(isinstance(value, str) for value in front["metadata"].values())
    assert "plane_spacing(a: float, h: int, k: int, l: int) -> float" in page
    assert "sqrt" not in page  # the code is for who needs it
    meta = json.loads((folder / "meta.json").read_text())
    assert (meta["uses"], meta["successes"], meta["status"]) == (3, 2, "drafted")
    with pytest.raises(FileExistsError, match="nothing is replaced"):
        write_skill(_skill(spacing()), tmp_path)


def _without(name: str) -> Any:
    return lambda folder: (folder / name).unlink()


def _with(name: str, old: str, new: str) -> Any:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def _linked(folder: Path) -> None:
    (folder / "skill.py").unlink()
    (folder / "skill.py").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_without("SKILL.md"), r"SKILL\.md: missing"),
        (_without("tests.json"), r"tests\.json: missing"),
        (_linked, r"skill\.py: missing, or no plain file"),
        (_with("SKILL.md", "---", "***"), "does not begin with front matter"),
        (_with("SKILL.md", "entry: plane_spacing", "entry: Plane-Spacing"), "name: must match"),
        (_with("SKILL.md", "name: plane", "{name: plane"), "front matter: "),
        (_with("tests.json", '"held_out"', '"hold_out"'), r"tests\.json: .*hold_out"),
        (_with("tests.json", '"rel_tol": ', '"rel_tol": -'), r"tests\.json: .*rel_tol"),
        (_with("meta.json", '"1.0.0"', '"1.0"'), r"'1\.0' is no version"),
        (_with("skill.py", "return a", "return 2 * a"), "changed since the skill was admitted"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, damage: Any, says: str) -> None:
    folder = write_skill(_skill(spacing()), tmp_path)
    damage(folder)
    with pytest.raises(SkillError, match=says):
        read_skill(folder)


def test_environments_hold_what_is_imported() -> None:
    versions = {"numpy": "2.4.0", "ase": "3.26.0"}
    source = "import numpy.linalg as la\nfrom ase.build import bulk\nimport math, rdkit\n"
    found = environment_of(source, versions.get)
    assert found.pop("python").startswith("3.")
    assert found == {"ase": "3.26.0", "numpy": "2.4.0", "rdkit": "absent"}
    assert environment_hash({"a": "1", "b": "2"}) == environment_hash({"b": "2", "a": "1"})
    assert environment_hash({"a": "1"}) != environment_hash({"a": "2"})
    assert environment_of(SPACING).keys() == {"python"}


def test_normal_forms() -> None:
    one = """
import numpy as np

def f(x: float) -> float:
    "Doc."
    y = np.sqrt(x)
    return y
"""
    same = """
from numpy import sqrt
def g(value):
    # root
    out: float = sqrt(value)
    return out
"""
    assert code_hash(one) == code_hash(same)
    for other in (
        one.replace("np.sqrt(x)", "np.cbrt(x)"),
        one.replace("return y", "return x"),
        one.replace("np.sqrt(x)", "np.sqrt(x + 1)"),
    ):
        assert code_hash(one) != code_hash(other)
