"""Symmetry and reduced cells by spglib, where a failure is ``None``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def attempt(
    function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
) -> Result | None:
    """Calls a function of spglib.

    Before version 3 spglib raises only where it is asked to, and warns of that at every call. It is
    asked for this call alone: pymatgen and ASE, in the same process, may expect otherwise.

    Returns:
        What spglib returns; ``None`` where it finds nothing or raises its own error.
    """
    from spglib import error

    before = getattr(error, "OLD_ERROR_HANDLING", False)
    error.OLD_ERROR_HANDLING = False
    try:
        return function(*args, **options)
    except error.SpglibError:
        return None
    finally:
        error.OLD_ERROR_HANDLING = before


def niggli_lattice(lattice: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The Niggli-reduced cell of a lattice.

    Args:
        lattice: Cell vectors as rows, shape ``(3, 3)``, Angstrom.

    Returns:
        The same, reduced; ``None`` for a lattice spglib cannot reduce (nearly flat, say).
    """
    import spglib

    return attempt(spglib.niggli_reduce, lattice)


def conventional_cell(crystal: Crystal, symprec_ang: float) -> Crystal | None:
    """The symmetrised conventional cell; ``None`` where spglib finds no symmetry, not even P1.

    Args:
        crystal: Any cell of it.
        symprec_ang: How far atoms may be from their symmetric places.
    """
    import spglib

    standard = attempt(
        spglib.standardize_cell, spglib_cell(crystal), to_primitive=False, symprec=symprec_ang
    )
    return None if standard is None else Crystal(*standard)


def space_group(crystal: Crystal, symprec_ang: float) -> tuple[str, int] | None:
    """Hermann-Mauguin symbol and number of the space group; ``None`` where spglib finds none.

    Args:
        crystal: Any cell of it.
        symprec_ang: How far atoms may be from their symmetric places.
    """
    import spglib

    dataset = attempt(spglib.get_symmetry_dataset, spglib_cell(crystal), symprec=symprec_ang)
    return None if dataset is None else (str(dataset.international), int(dataset.number))


def spglib_cell(crystal: Crystal) -> tuple[list[list[float]], list[list[float]], list[int]]:
    """A crystal as spglib takes it."""
    return crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist()
