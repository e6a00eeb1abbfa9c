"""``ray-matdesign train``, on a handful of crystals with a network of toy size."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ray_matdesign.config.loading import load_settings
from ray_matdesign.config.schema import TrainExecutionSettings, TrainSettings
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


def steps_of(folder: str) -> list[int]:
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_dry_run_prints_the_settings(command, salts: Path) -> None:
    shares = ("--backend", "ray", "--workers", 3, "--threads", 4)
    outcome = command("train", salts, "steps=7", *shares, "--dry-run")
    execution = TrainExecutionSettings(backend="ray", workers=3, cpus_per_worker=4)
    expected = TrainSettings(steps=7, execution=execution)
    assert load_settings(TrainSettings, outcome.out, "stdout") == expected


def test_training_leaves_weights_that_sample_and_can_be_resumed(command, salts: Path) -> None:
    first = command("train", salts, "steps=2", *SMALL, "--out", "net")
    assert first.status == 0, first.err
    assert first.out == "weights: net\n"
    again = command("train", salts, "steps=4", *SMALL, "--out", "net")
    assert again.status == 2
    assert "net holds a training already; add --resume" in again.err
    more = command("train", salts, "steps=4", *SMALL, "--out", "net", "--resume")
    assert more.status == 0, more.err
    assert steps_of("net") == [2, 4]
    assert command("sample", "-n", 2, "--checkpoint", "net").status == 0


def test_prepared_crystals_are_used_again_and_elsewhere(command, salts: Path) -> None:
    outcome = command("train", salts, *SMALL, "--out", "net", "--prepare-only")
    assert (outcome.status, outcome.out) == (0, "prepared: net/prepared.safetensors\n")
    made = Path("net/prepared.safetensors").stat().st_mtime_ns
    assert command("train", salts, "steps=1", *SMALL, "--out", "net").status == 0
    assert Path("net/prepared.safetensors").stat().st_mtime_ns == made
    salts.unlink()
    there = command("train", "net/prepared.safetensors", "steps=1", *SMALL, "--out", "elsewhere")
    assert there.status == 0, there.err
    assert not Path("elsewhere/prepared.safetensors").exists()
    card = json.loads(Path("elsewhere/denoiser.json").read_text())
    assert (card["notes"]["data"], card["notes"]["crystals"]) == ("salts.csv", 40)


def test_a_training_does_not_go_on_with_other_crystals(command, salts: Path) -> None:
    assert command("train", salts, "steps=1", *SMALL, "--out", "net").status == 0
    other = command("train", salts, *SMALL, "seed=3", "--out", "net", "--resume")
    assert other.status == 2
    assert "net/prepared.safetensors was prepared with seed=0, not 3" in other.err
    told = command("train", salts, *SMALL, "--condition", "gap", "--out", "net", "--resume")
    assert "was prepared for conditions: none, not gap" in told.err
    salts.write_text(salts.read_text().replace("Li1", "Li2"))
    changed = command("train", salts, *SMALL, "--out", "net", "--resume")
    assert "was prepared from other data (salts.csv, 40 crystals)" in changed.err


def test_a_property_can_be_conditioned_on_and_aimed_for(command, salts: Path) -> None:
    table = pd.read_csv(salts)
    table["band_gap"] = [None, *np.linspace(0.0, 9.0, len(table) - 1)]
    table.to_csv("gaps.csv", index=False)
    assert command("train", salts, "steps=2", *SMALL, "--out", "plain").status == 0
    options = ("--condition", "band_gap", "--start-from", "plain", "--out", "told")
    outcome = command("train", "gaps.csv", "steps=2", *SMALL, *options)
    assert outcome.status == 0, outcome.err
    card = json.loads(Path("told/denoiser.json").read_text())
    assert card["shape"]["conditions"] == ["band_gap"]


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
    outcome = command("train", "formed.csv", *SMALL, "--out", "net", "--prepare-only")
    assert "formed.csv: 40 crystals, 2 of them left out" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["salts.csv", "widht=3"], "command line: widht: unknown key; did you mean width?"),
        (["salts.csv", "batch_size=1000"], "training needs at least 1000 crystals"),
        (["salts.csv", "--resume", *SMALL], "nothing to resume: no training.pt in"),
        (["salts.csv", "--settings", "none.yaml"], "none.yaml: no such file"),
        (["salts.csv", "--workers", 2], "2 workers need backend ray"),
        (["salts.csv", "--condition", "gap"], "no column 'gap' among"),
        (["salts.csv", "--start-from", "none", *SMALL], "generator checkpoint: no denoiser"),
        ([".", "--condition", "gap"], "conditions are columns of a CSV file"),
    ],
)
def test_what_is_wrong_is_one_line(command, salts: Path, arguments: list[str], problem) -> None:
    outcome = command("train", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line
