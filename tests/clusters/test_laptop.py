"""The overlay for one machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from files import CLUSTERS

from ray_matdesign.config.loading import ConfigError, list_recipes, load_run_config
from ray_matdesign.distributed.resources import check_cpus
from ray_matdesign.rl.workers import roles_of

LAPTOP = CLUSTERS / "laptop.yaml"


@pytest.mark.parametrize("recipe", [recipe.name for recipe in list_recipes()])
def test_it_goes_on_top_of_every_recipe(recipe: str) -> None:
    alone, small = load_run_config(recipe), load_run_config(recipe, overlays=[LAPTOP])
    assert small.objective == alone.objective
    assert (small.rl.samples, small.rl.evaluations, small.execution.backend) == (32, 8, "ray")
    check_cpus(roles_of(small), 2.0)


def test_the_command_line_has_the_last_word() -> None:
    config = load_run_config("density", ["rl.loops=3"], overlays=[LAPTOP])
    assert (config.rl.loops, config.rl.samples) == (3, 32)


def test_later_files_win_and_lists_replace_lists(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rl: {loops: 7, samples: 9}\n")
    (tmp_path / "b.yaml").write_text("rl: {loops: 8}\nprefilter: {forbidden_elements: [U]}\n")
    config = load_run_config("density", overlays=[tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (config.rl.loops, config.rl.samples) == (8, 9)
    assert config.prefilter.forbidden_elements == ("U",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rl: {lops: 7}\n", "rl.lops"),
        ("rl: {loops: many}\n", "rl.loops"),
        ("objective: {terms: {name: 1}}\n", "objective.terms"),
        ("- rl\n", "must be a mapping"),
        ("rl: [\n", ""),
    ],
)
def test_what_is_wrong_is_blamed_on_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_run_config("density", overlays=[overlay])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{overlay}: ")
    assert complaint in line


def test_a_missing_file() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_run_config("density", overlays=[Path("nowhere.yaml")])
