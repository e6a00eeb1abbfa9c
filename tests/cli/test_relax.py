"""``ray-matdesign relax``: files in, files out; what is no crystal is named."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.cli import relax
from ray_matdesign.config.schema import PotentialSettings, RelaxationSettings
from ray_matdesign.crystals.files import read_crystals

EMT_COPPER_ANG = 3.589
"""Lattice parameter at the energy minimum of ASE's EMT, by a scan (the experiment gives 3.615)."""


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def nearest_neighbour(path: Path) -> float:
    ((_, crystal),) = read_crystals(path)
    return float(np.cbrt(crystal.volume * np.sqrt(2)))


@pytest.mark.parametrize("target", ["relaxed.extxyz", "relaxed.cif", "relaxed.csv", "relaxed"])
def test_copper_relaxes_to_its_lattice_parameter(command, copper: Path, target: str) -> None:
    outcome = command("relax", copper, "--potential", "emt", "--fmax", 0.01, "--out", target)
    assert outcome.status == 0, outcome.err
    assert nearest_neighbour(Path(target)) * np.sqrt(2) == pytest.approx(EMT_COPPER_ANG, abs=0.005)
    (row,) = rows(outcome.out)
    assert row["name"] == "copper"
    assert row["converged"] == "True"
    assert float(row["energy_ev_per_atom"]) < float(row["energy_before_ev_per_atom"])
    assert float(row["max_force_ev_per_ang"]) <= 0.01


def test_a_step_cap_is_no_failure_but_said(command, copper: Path) -> None:
    outcome = command("relax", copper, "--potential", "emt", "--max-steps", 1)
    (row,) = rows(outcome.out)
    assert (outcome.status, row["converged"], row["steps"]) == (0, "False", "1")


def test_bad_files_are_named_and_the_others_go_on(command, copper: Path, tmp_path: Path) -> None:
    (tmp_path / "garbage.cif").write_text("this is no CIF\n")
    (tmp_path / "empty.cif").touch()
    overlapping = copper.read_text() + "Cu2 Cu 0.001 0 0\n"
    (tmp_path / "overlapping.cif").write_text(overlapping)
    (tmp_path / "unknown.cif").write_text(copper.read_text().replace("Cu1 Cu", "Xx1 Xx"))
    names = ["garbage", "empty", "overlapping", "unknown", "missing"]
    files = [tmp_path / f"{name}.cif" for name in names]
    outcome = command("relax", *files, copper, "--potential", "emt")
    assert outcome.status == 0, outcome.err
    assert [row["name"] for row in rows(outcome.out)] == ["copper"]
    for name in names:
        assert sum(name in line for line in outcome.err.splitlines()) == 1, outcome.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "no such file"), ("", "the file is empty"), ("this is no CIF\n", "no crystal")],
)
def test_a_file_without_crystals_is_one_line(
    command, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "only.cif"
    if content is not None:
        path.write_text(content)
    outcome = command("relax", path, "--potential", "emt")
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line
    assert "only" in line


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--out", "x.xlsx"], "x.xlsx: cannot write '.xlsx'; use .extxyz, .xyz, .cif, .csv, or"),
        (["--potential", "emtt"], "unknown potential 'emtt'; did you mean emt?"),
        (["--optimizer", "wishing"], "optimizer 'wishing' is not one of"),
        (["--fmax", "-1"], "Invalid value for '--fmax'"),
    ],
)
def test_bad_options_are_one_line(command, copper: Path, options: list[str], problem: str) -> None:
    outcome = command("relax", copper, "--potential", "emt", *options)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line


def test_defaults_are_those_of_a_run() -> None:
    defaults = relax.relax.__defaults__
    assert defaults is not None
    settings = RelaxationSettings()
    assert defaults[2:] == (
        PotentialSettings().name,
        settings.optimizer,
        settings.fmax_ev_per_ang,
        settings.max_steps,
    )
