"""``ray-matdesign potential check``."""

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_matdesign.potentials.conformance import SINGLE_PRECISION

ASE = ("ase", "--option", "elements=[Al, Cu, Au, Pt, Ni]", "--option")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calculators that misbehave, found by import path as a user's own would be."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "potentials")
    yield
    sys.modules.pop("faulty_calculators", None)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_sound_potential_passes_with_its_deviations(command) -> None:
    outcome = command("potential", "check", "emt")
    assert outcome.status == 0, outcome.err
    table = rows(outcome.out)
    assert outcome.err == f"emt: {len(table)} checks, all passed\n"
    assert {row["result"] for row in table} == {"passed"}
    assert {"supercell", "permutation", "translation", "forces", "stress", "batch"} < {
        row["check"] for row in table
    }
    measured = [row for row in table if row["largest deviation"]]
    assert len(measured) == len(table) - 1  # all but the unknown element
    assert all(float(row["largest deviation"]) < float(row["tolerance"]) for row in measured)
    assert {row["of"] for row in measured if row["check"] == "forces"} == {"forces (eV/Angstrom)"}


def test_a_wrong_force_is_found_and_measured(command, faulty) -> None:
    outcome = command("potential", "check", *ASE, "calculator=faulty_calculators:Sloppy")
    assert outcome.status == 1
    table = rows(outcome.out)
    failed = [row for row in table if row["result"] == "FAILED"]
    assert outcome.err == f"ase-sloppy: {len(table)} checks, {len(failed)} failed\n"
    assert {row["check"] for row in failed} == {"forces"}
    for row in failed:
        assert float(row["largest deviation"]) > SINGLE_PRECISION.force_ev_per_ang
        assert row["problem"].startswith("forces deviates by ")


def test_a_calculator_that_raises_fails_its_crystals(command, faulty) -> None:
    options = ["--option", "elements=[Al, Cu, Ni]"]
    outcome = command("potential", "check", "ase", *options, *nickel_and_copper())
    assert outcome.status == 1
    by_crystal = {(row["check"], row["crystal"]): row for row in rows(outcome.out)}
    assert "no nickel today" in by_crystal["supercell", "Ni"]["problem"]
    assert by_crystal["supercell", "Cu"]["result"] == "passed"


def nickel_and_copper() -> list[str]:
    text = '2\nLattice="{a} 0 0 0.1 {a} 0 0 0 {b}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    for symbol in ("Ni", "Cu"):
        body = f"{symbol} 0 0 0\n{symbol} 1.3 1.4 1.5\n"
        Path(f"{symbol}.extxyz").write_text(text.format(a=2.8, b=2.9) + body)
    return ["Ni.extxyz", "Cu.extxyz", "--option", "calculator=faulty_calculators:Faulty"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["emtt"], "unknown potential 'emtt'; did you mean emt?"),
        (["emt", "--option", "speed=3"], "potential emt refused its options: "),
        (["emt", "--option", "speed"], "speed"),
        (["emt", "one.cif"], "checking emt takes two crystals it knows: give crystals"),
        (["emt", "none.cif"], "none.cif"),
        (["emt", "--precision", "half"], "Invalid value for '--precision'"),
    ],
)
def test_what_cannot_be_checked_is_one_line(
    command, copper: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    copper.rename(tmp_path / "one.cif")
    outcome = command("potential", "check", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line
