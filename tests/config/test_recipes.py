"""Every YAML file of the repository loads, and the recipes say what the paper says."""

import inspect
from pathlib import Path

import pytest

from ray_matdesign.config.loading import list_recipes, load_run_config
from ray_matdesign.config.schema import (
    AscendingTransform,
    DescendingTransform,
    RLSettings,
    TargetTransform,
    Transform,
)
from ray_matdesign.config.yaml_text import parse
from ray_matdesign.crystals import crystal
from ray_matdesign.rewards.objective import SCORERS

ROOT = Path(__file__).parents[2]
RECIPES = [recipe.name for recipe in list_recipes()]
YAML_FILES = sorted(
    path
    for folder in ("ray_matdesign", "clusters", "tune_configs", "tests", "bench", "docs")
    for pattern in ("*.yaml", "*.yml")
    for path in (ROOT / folder).rglob(pattern)
)

PUBLISHED: dict[str, tuple[Transform, float]] = {
    "density": (TargetTransform(kind="target", target=18.0, max_distance=10.0), 0.875),
    "hhi": (DescendingTransform(kind="descending", min=750.0, max=3250.0), 0.8),
    "price": (DescendingTransform(kind="descending", min=50.0, max=500.0), 0.8),
    "abundance": (AscendingTransform(kind="ascending", min=2.0, max=5.0), 0.8),
    "formation-energy": (DescendingTransform(kind="descending", min=-3.5, max=-1.0), 0.6),
    "magnetic-density": (AscendingTransform(kind="ascending", min=0.0, max=0.25), 0.8),
    "bulk-modulus": (TargetTransform(kind="target", target=300.0, max_distance=250.0), 0.8),
    "shear-modulus": (TargetTransform(kind="target", target=200.0, max_distance=160.0), 0.9),
    "youngs-modulus": (AscendingTransform(kind="ascending", min=80.0, max=480.0), 0.8),
    "pugh-ratio": (AscendingTransform(kind="ascending", min=1.5, max=10.0), 0.8),
    "heat-capacity": (AscendingTransform(kind="ascending", min=0.25, max=2.0), 0.8),
    "dielectric": (AscendingTransform(kind="ascending", min=35.0, max=120.0), 0.875),
    "band-gap": (TargetTransform(kind="target", target=3.0, max_distance=2.0), 0.875),
    "synthesizability": (AscendingTransform(kind="ascending", min=0.5, max=1.0), 0.8),
    "mcia": (DescendingTransform(kind="descending", min=0.0, max=180.0), 0.8),
}
"""Transform and reward threshold of each task in arXiv:2511.03112 and its public configuration."""


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_yaml_file_is_strict_yaml(path: Path) -> None:
    assert parse(path.read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads_under_its_own_name(name: str) -> None:
    config = load_run_config(name)
    assert config.name == name
    assert all(term.scorer in SCORERS for term in config.objective.terms)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_have_the_published_bounds_and_algorithm(name: str) -> None:
    transform, threshold = PUBLISHED[name]
    config = load_run_config(name)
    assert config.objective.terms[0].transform == transform
    assert config.objective.reward_threshold == threshold
    assert config.rl == RLSettings()


def test_the_demonstration_has_the_density_objective() -> None:
    demo, density = load_run_config("density-demo"), load_run_config("density")
    assert demo.objective == density.objective
    assert demo.rl.samples * demo.rl.loops < density.rl.samples * density.rl.loops / 10


def test_recipes_say_in_their_first_line_what_they_design() -> None:
    for recipe in list_recipes():
        assert recipe.text.startswith("# ")
        assert 10 < len(recipe.summary) < 80


def test_the_package_knows_where_its_recipes_are() -> None:
    installed = Path(inspect.getfile(crystal)).parents[1] / "config" / "recipes"
    assert {path.stem for path in installed.glob("*.yaml")} == set(RECIPES)
