"""Potentials by name and by import path; importing the package does no work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.potentials import POTENTIALS, load_potential


@pytest.mark.parametrize("name", POTENTIALS)
def test_every_registered_potential_loads(name: str, request: pytest.FixtureRequest) -> None:
    settings: dict[str, str] = {}
    if name == "sevennet":
        pytest.importorskip("sevenn", reason="SevenNet is not installed (extra 'sevennet')")
    if name == "mattersim":
        settings = {"model": str(request.getfixturevalue("mattersim_file"))}
    if name == "ase":
        settings = {"calculator": "ase.calculators.emt:EMT"}
    potential = load_potential(name, **settings)
    assert potential.name.startswith(name)
    assert 29 in potential.elements


def test_import_path_and_settings() -> None:
    path = "ray_matdesign.potentials.chgnet:ChgnetPotential"
    assert load_potential(path, device="cpu").name == "chgnet-0.3.0"


@pytest.mark.parametrize("name", ["chgnett", "nowhere.at_all:Factory", "math:Factory"])
def test_unknown_names_say_so(name: str) -> None:
    with pytest.raises(UnknownName, match=name.split(":")[0].split(".")[0]):
        load_potential(name)


def test_importing_is_light() -> None:
    script = (
        "import sys, ray_matdesign.potentials; "
        "sys.exit(bool({'torch', 'ase', 'pymatgen', 'chgnet', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
