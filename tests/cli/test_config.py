"""``ray-matdesign config``."""

import csv
import io
from pathlib import Path

from ray_matdesign.config.loading import load_run_config, load_settings
from ray_matdesign.config.schema import RunConfig


def test_list_shows_every_recipe_with_what_it_designs(command) -> None:
    rows = list(csv.DictReader(io.StringIO(command("config", "list").out)))
    assert {"density", "hhi", "price", "bulk-modulus", "density-demo"} <= {
        row["recipe"] for row in rows
    }
    assert all(row["designs for"] for row in rows)


def test_show_prints_settings_that_load(command) -> None:
    shown = command("config", "show", "hhi", "rl.lr=2e-5")
    assert load_settings(RunConfig, shown.out, "stdout") == load_run_config("hhi", ["rl.lr=2e-5"])


def test_validate_names_each_problem_and_goes_on(command, tmp_path: Path) -> None:
    good, bad, worse = (tmp_path / name for name in ("good.yaml", "bad.yaml", "worse.yaml"))
    good.write_text(command("config", "show", "density").out)
    bad.write_text(good.read_text().replace("sigma:", "sigmma:"))
    worse.write_text(good.read_text().replace("max_distance: 10.0", "max_distance: 0.0"))
    outcome = command("config", "validate", bad, good, worse)
    assert outcome.status == 2
    assert outcome.out == f"{good}: valid\n"
    assert outcome.err.splitlines() == [
        f"ray-matdesign: {bad}: rl.sigmma: unknown key; did you mean rl.sigma?",
        f"ray-matdesign: {worse}: objective.terms.0.transform.max_distance: must be greater than "
        "0, got 0.0",
    ]
