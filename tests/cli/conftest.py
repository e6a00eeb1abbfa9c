"""The command, called as a function; and a campaign small enough to run through it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ray_matdesign.cli import main
from ray_matdesign.config.loading import dump

# The toy generator, potential and scorers are found by import path, as a user's own would be.
sys.path.insert(0, str(Path(__file__).parents[1] / "rl"))

COPPER = """\
data_Cu
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 60
_cell_angle_beta 60
_cell_angle_gamma 60
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu1 Cu 0 0 0
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left on the terminal."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Calls ``ray-matdesign`` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_MATDESIGN_DEBUG", raising=False)

    def call(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    """Primitive fcc copper, compressed: nearest neighbours 2.40 instead of 2.56 Angstrom."""
    path = tmp_path / "copper.cif"
    path.write_text(COPPER.format(a=2.40))
    return path


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    import toy

    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder


@pytest.fixture(scope="session")
def campaign(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YAML file of a two-loop campaign with the toy generator."""
    import toy

    path = tmp_path_factory.mktemp("campaign") / "toy.yaml"
    path.write_text(dump(toy.config(reference, **{"rl.loops": 2})))
    return path
