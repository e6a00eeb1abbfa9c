"""Crystals from and to pymatgen, ASE and the text formats the field exchanges."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ray_matdesign.crystals.cif import element_number, parse_cif, write_cif_text
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.elements import SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

__all__ = [
    "from_ase",
    "from_pymatgen",
    "parse_cif",
    "parse_extxyz_frame",
    "parse_poscar",
    "to_ase",
    "to_pymatgen",
    "write_cif_text",
    "write_extxyz_text",
    "write_poscar_text",
]


def to_pymatgen(crystal: Crystal) -> Structure:
    """The same cell and atoms, in the same order, as a pymatgen ``Structure``."""
    from pymatgen.core import Lattice, Structure

    return Structure(
        Lattice(crystal.lattice), [SYMBOLS[z] for z in crystal.numbers], crystal.frac_coords
    )


def from_pymatgen(structure: Structure) -> Crystal:
    """The same cell and atoms, in the same order; charges and other properties are dropped.

    Raises:
        InvalidCrystal: A site is disordered or vacant in part, or holds no element.
    """
    numbers = []
    for site in structure:
        if not site.is_ordered:
            raise InvalidCrystal(
                f"site {site.species_string} is disordered: only full occupancies are supported"
            )
        numbers.append(element_number(site.specie.symbol))
    return Crystal(structure.lattice.matrix, structure.frac_coords, numbers)


def to_ase(crystal: Crystal) -> Atoms:
    """The same cell and atoms, in the same order, as periodic ASE ``Atoms``."""
    from ase import Atoms

    return Atoms(
        numbers=crystal.numbers,
        scaled_positions=crystal.frac_coords,
        cell=crystal.lattice,
        pbc=True,
    )


def from_ase(atoms: Atoms) -> Crystal:
    """The same cell and atoms, in the same order; calculator results are dropped.

    Raises:
        InvalidCrystal: The atoms are not periodic in three directions.
    """
    if not atoms.pbc.all():
        raise InvalidCrystal("the atoms are not periodic in all three directions")
    cell = np.asarray(atoms.cell.array)
    if abs(np.linalg.det(cell)) < 1e-6:
        raise InvalidCrystal("the cell has no volume")
    return Crystal(cell, atoms.positions @ np.linalg.inv(cell), atoms.numbers)


def parse_poscar(text: str) -> Crystal:
    """Reads a VASP POSCAR.

    Raises:
        InvalidCrystal: It does not parse, or does not name its elements (VASP 4 format).
    """
    from pymatgen.io.vasp.inputs import Poscar

    if not text.strip():
        raise InvalidCrystal("the POSCAR is empty")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            structure = Poscar.from_str(text).structure
        except (ValueError, KeyError, IndexError) as error:
            raise InvalidCrystal(f"the POSCAR does not parse: {error}") from error
    if any("Elements in POSCAR cannot be determined" in str(w.message) for w in caught):
        raise InvalidCrystal("the POSCAR does not name its elements: add them on the sixth line")
    return from_pymatgen(structure)


def write_poscar_text(crystal: Crystal, comment: str = "") -> str:
    """A POSCAR (VASP 5 format, direct coordinates); atoms grouped by element.

    Args:
        crystal: What to write.
        comment: First line; the formula by default.
    """
    order = np.argsort(crystal.numbers, kind="stable")
    symbols = "  ".join(SYMBOLS[z] for z in crystal.counts)
    lines = [comment or crystal.formula, "1.0"]
    lines += ["  ".join(f"{value:.12f}" for value in row) for row in crystal.lattice]
    lines += [symbols, "  ".join(str(n) for n in crystal.counts.values()), "Direct"]
    lines += ["  ".join(f"{value:.12f}" for value in row) for row in crystal.frac_coords[order]]
    return "\n".join(lines) + "\n"


def parse_extxyz_frame(text: str) -> tuple[Crystal, dict[str, object]]:
    """Reads one frame of an extended XYZ file.

    Returns:
        The crystal, and what the comment line holds besides the cell.

    Raises:
        InvalidCrystal: The frame does not parse or has no cell.
    """
    from ase.io.extxyz import read_xyz

    try:
        atoms = next(iter(read_xyz(io.StringIO(text), index=slice(None))))
    except (ValueError, KeyError, IndexError, OSError, StopIteration) as error:
        raise InvalidCrystal(f"the frame does not parse: {error}") from error
    return from_ase(atoms), dict(atoms.info)


def write_extxyz_text(crystal: Crystal, info: dict[str, str | float | int | bool]) -> str:
    """One frame of an extended XYZ file.

    Args:
        crystal: What to write.
        info: Extra keys of the comment line.
    """
    cell = " ".join(f"{value:.12g}" for value in crystal.lattice.ravel())
    extra = "".join(f" {key}={_extxyz_value(value)}" for key, value in info.items())
    header = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 pbc="T T T"{extra}'
    atoms = (
        f"{SYMBOLS[z]:<2} {x:18.12f} {y:18.12f} {w:18.12f}"
        for z, (x, y, w) in zip(crystal.numbers, crystal.positions, strict=True)
    )
    return "\n".join([str(len(crystal)), header, *atoms]) + "\n"


def _extxyz_value(value: str | float | int | bool) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
