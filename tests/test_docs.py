"""What the documentation tells users to type works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.objective import build_objective
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.stability.reference import ReferenceSet

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(potential=load_potential("emt"), reference=ReferenceSet.load("packaged"))


def test_the_example_of_an_own_property_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    page = ROOT / "docs" / "your-own-property.md"
    package = tmp_path / "my_lab"
    package.mkdir()
    (package / "packing.py").write_text(blocks(page, "python")[0])
    (tmp_path / "packing.yaml").write_text(blocks(page, "yaml")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_run_config(tmp_path / "packing.yaml")
    copper = Crystal(1.805 * (np.ones((3, 3)) - np.eye(3)), [[0, 0, 0]], [29])
    objective = build_objective(config.objective, bench)
    (verdict,) = objective.evaluate([Specimen(copper, 0.0, 0.0, 0.0)])
    # Cu: covalent radius 1.32 Angstrom, 11.76 cubic Angstrom an atom.
    assert verdict.values["packing_fraction"] == pytest.approx(0.819, abs=0.002)
    assert verdict.reward == pytest.approx(1.0)


def test_the_example_of_an_objective_rewards(tmp_path: Path, bench: Bench) -> None:
    (example,) = blocks(ROOT / "docs" / "objectives.md", "yaml")
    (tmp_path / "example.yaml").write_text(example)
    config = load_run_config(tmp_path / "example.yaml")
    objective = build_objective(config.objective, bench)
    fcc = np.ones((3, 3)) - np.eye(3)
    metals = [Crystal(a / 2 * fcc, [[0, 0, 0]], [z]) for z, a in ((13, 4.0), (79, 4.08), (29, 3.6))]
    aluminium, gold, copper = objective.evaluate([Specimen(m, 0.0, 0.0, 0.0) for m in metals])
    assert gold.rejection.startswith("price")
    assert copper.rejection.startswith("density scores 0.0")
    assert set(copper.computed) == {"price", "hhi", "density"}
    assert aluminium.reward is not None
    score = 1 / (1 + 10 ** (2.5 * (aluminium.values["density"] - 4.5) / 3.0))
    modulus = (aluminium.values["bulk_modulus"] - 50.0) / 200.0
    assert aluminium.reward == pytest.approx((score * max(modulus, 0.0) ** 2) ** (1 / 3))


def test_recipes_named_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text()
    named = re.search(r"Recipes: (.*?)\. Everything", text, flags=re.DOTALL)
    assert named is not None
    for recipe in re.findall(r"`([a-z-]+)`", named.group(1)):
        if recipe != "make demo":
            load_run_config(recipe)


def test_settings_named_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text()
    overrides = re.findall(r"\b(?:rl|execution|generator)\.[a-z_]+=[\w.-]+", text)
    assert len(overrides) >= 5
    for override in overrides:
        load_run_config("density", [override])
