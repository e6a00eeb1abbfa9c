"""``ray-matdesign reference``."""

import json
from pathlib import Path

from ray_matdesign.stability.reference import ReferenceSet


def test_a_reference_of_ones_own(command, copper: Path, tmp_path: Path) -> None:
    (tmp_path / "hull.csv").write_text("formula,formation_energy_per_atom\nCu3Au,-0.05\n")
    (tmp_path / "elements.json").write_text(json.dumps({"Cu": -3.7, "Au": -3.2}))
    built = command(
        "reference", "build", copper, "--hull", "hull.csv", "--elements", "elements.json",
        "--description", "copper and gold", "--out", "mine",
    )  # fmt: skip
    assert built.status == 0, built.err
    assert "2 elements, 1 compounds in the hull, 1 known crystals" in built.err
    assert "stability.reference=mine" in built.err
    assert ReferenceSet.load("mine").elements == {29, 79}

    shown = command("reference", "info", "mine")
    assert shown.out.splitlines() == [
        "copper and gold",
        "elements (2): Cu Au",
        "compounds in the hull: 1",
        "known crystals: 1",
    ]


def test_the_packaged_reference_covers_the_periodic_table(command) -> None:
    shown = command("reference", "info")
    assert shown.status == 0, shown.err
    elements = next(line for line in shown.out.splitlines() if line.startswith("elements"))
    assert {"Li", "O", "Fe", "Ba", "Te"} <= set(elements.split())


def test_what_is_missing_is_one_line(command, copper: Path, tmp_path: Path) -> None:
    (tmp_path / "hull.csv").write_text("compound,energy\nCu3Au,-0.05\n")
    for arguments, problem in [
        (["info", "nowhere"], "nowhere: no reference set here"),
        (["build", copper], "needs elemental energies"),
        (["build", copper, "--hull", "hull.csv"], "hull.csv: no column 'formula'"),
        (["build", "none.cif"], "none.cif: no such file"),
    ]:
        outcome = command("reference", *arguments)
        assert (outcome.status, outcome.out) == (2, "")
        (line,) = outcome.err.splitlines()
        assert problem in line
