"""``ray-matdesign train``, on a handful of crystals with a network of toy size."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ray_matdesign.config.loading import load_settings
from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.files import write_crystals

SMALL = (
    "width=16", "layers=1", "pair_width=8", "batch_size=8", "micro_batches=1", "warmup_steps=1",
    "validation_fraction=0.3", "samples_scored=2", "validate_every=2", "checkpoint_every=2",
)  # fmt: skip


@pytest.fixture
def salts(tmp_path: Path) -> Path:
    """Forty rock salts, one primitive cell each."""
    cell = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5]]
    pairs = [(a, x) for a in (3, 11, 19, 37, 55, 12, 20, 38) for x in (9, 17, 35, 53, 8)]
    crystals = [Crystal(cell * (4.5 + 0.01 * (a + x)), sites, [a, x]) for a, x in pairs]
    path = tmp_path / "salts.csv"
    write_crystals(path, crystals, [c.formula for c in crystals])
    return path


def test_a_dry_run_prints_the_settings(command, salts: Path) -> None:
    outcome = command("train", salts, "steps=7", "--dry-run")
    assert load_settings(TrainSettings, outcome.out, "stdout") == TrainSettings(steps=7)


def test_training_leaves_weights_that_sample_and_can_be_resumed(command, salts: Path) -> None:
    first = command("train", salts, "steps=2", *SMALL, "--out", "net")
    assert first.status == 0, first.err
    assert first.out == "weights: net\n"
    again = command("train", salts, "steps=4", *SMALL, "--out", "net")
    assert again.status == 2
    assert "net holds a training already; add --resume" in again.err
    more = command("train", salts, "steps=4", *SMALL, "--out", "net", "--resume")
    assert more.status == 0, more.err
    rows = [json.loads(line) for line in Path("net/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert command("sample", "-n", 2, "--checkpoint", "net").status == 0


def test_crystals_far_above_the_hull_are_left_out(command, salts: Path) -> None:
    table = pd.read_csv(salts)
    table["e_above_hull"] = [0.5, None, *[0.0] * (len(table) - 2)]
    table.to_csv("labelled.csv", index=False)
    outcome = command("train", "labelled.csv", "steps=1", *SMALL, "--out", "net")
    assert "labelled.csv: 40 crystals, 1 of them left out" in outcome.err
    assert outcome.status == 0, outcome.err
    card = json.loads(Path("net/denoiser.json").read_text())
    assert card["notes"]["crystals"] == 39


def test_an_energy_above_hull_is_computed_where_only_a_formation_energy_is_told(
    command, salts: Path
) -> None:
    table = pd.read_csv(salts)
    # Five eV/atom above the elements is far above any hull; ten below lies under every hull.
    table["formation_energy_per_atom"] = [5.0, 5.0, *[-10.0] * (len(table) - 2)]
    table.to_csv("formed.csv", index=False)
    outcome = command("train", "formed.csv", "steps=1", *SMALL, "--out", "net")
    assert "formed.csv: 40 crystals, 2 of them left out" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["salts.csv", "widht=3"], "command line: widht: unknown key; did you mean width?"),
        (["salts.csv", "batch_size=1000"], "training needs at least 1000 crystals"),
        (["salts.csv", "--resume", *SMALL], "nothing to resume: no training.pt in"),
        (["salts.csv", "--settings", "none.yaml"], "none.yaml: no such file"),
    ],
)
def test_what_is_wrong_is_one_line(command, salts: Path, arguments: list[str], problem) -> None:
    outcome = command("train", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line
