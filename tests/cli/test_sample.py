"""``ray-matdesign sample``."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.crystals.files import read_crystals

TOY = ("--generator", "toy:load")


@pytest.mark.parametrize("target", ["made.extxyz", "made.cif", "made.csv", "made"])
def test_crystals_are_written_and_reproducible(command, target: str) -> None:
    first = command("sample", "-n", 70, "--seed", 5, *TOY, "--out", target)
    assert first.status == 0, first.err
    assert f"70 crystals in {target}" in first.err
    made = dict(read_crystals(target))
    other = dict(read_crystals(_again(command, target, seed=5)))
    assert len(made) == 70
    assert sorted(c.formula for c in made.values()) == sorted(c.formula for c in other.values())
    densities = sorted(c.density for c in made.values())
    assert np.allclose(densities, sorted(c.density for c in other.values()))
    different = dict(read_crystals(_again(command, target, seed=6)))
    assert not np.allclose(densities, sorted(c.density for c in different.values()))


def _again(command, target: str, seed: int) -> str:
    again = f"again{seed}-{target}"
    command("sample", "-n", 70, "--seed", seed, *TOY, "--out", again)
    return again


def test_without_a_target_a_table_is_printed(command) -> None:
    outcome = command("sample", "-n", 3, *TOY)
    table = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["atoms"] for row in table] == ["4", "4", "4"]
    assert outcome.err.startswith("3 crystals, ")


def test_a_run_lends_its_policy(command, campaign: Path) -> None:
    assert command("run", campaign, "--out", "run").status == 0
    outcome = command("sample", "-n", 4, "--checkpoint", "run")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([*TOY, "--out", "x.png"], "x.png: cannot write '.png'"),
        ([*TOY, "-n", "0"], "Invalid value for '-n'"),
        (["--generator", "difusion"], "unknown generator 'difusion'; did you mean diffusion?"),
        (["--checkpoint", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_bad_options_are_one_line(command, options: list[str], problem: str) -> None:
    outcome = command("sample", "-n", 1, *options)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line


def test_one_thread_computes_unless_told(command) -> None:
    import torch

    assert command("sample", "-n", 1, *TOY, "--threads", 2).status == 0
    assert torch.get_num_threads() == 2
    assert command("sample", "-n", 1, *TOY).status == 0
    assert torch.get_num_threads() == 1
