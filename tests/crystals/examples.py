"""Crystals with textbook geometry."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ray_matdesign.crystals.crystal import Crystal

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def rock_salt(cation: int = 11, anion: int = 17, a: float = 5.64) -> Crystal:
    """Primitive rock-salt cell; nearest neighbours ``a / 2`` apart."""
    return Crystal(a * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def zinc_blende(cation: int = 30, anion: int = 16, a: float = 5.41) -> Crystal:
    """Primitive zinc-blende cell."""
    return Crystal(a * FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [cation, anion])


def perovskite(a: float = 4.0) -> Crystal:
    """Cubic BaTiO3."""
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Crystal(a * np.eye(3), coords, [56, 22, 8, 8, 8])


def supercell(crystal: Crystal, matrix: list[list[int]]) -> Crystal:
    """The same crystal in a larger cell, by pymatgen."""
    from ray_matdesign.crystals.convert import from_pymatgen, to_pymatgen

    return from_pymatgen(to_pymatgen(crystal).make_supercell(matrix, in_place=False))


def rotated(crystal: Crystal, seed: int) -> Crystal:
    """The same crystal, turned at random."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return Crystal(crystal.lattice @ turn, crystal.frac_coords, crystal.numbers)


@st.composite
def crystals(draw: st.DrawFn, max_atoms: int = 6) -> Crystal:
    """Random crystals of sensible cells, atoms anywhere."""
    n_atoms = draw(st.integers(1, max_atoms))
    finite = st.floats(-1.5, 1.5, allow_nan=False, width=64)
    skew = draw(hnp.arrays(np.float64, (3, 3), elements=st.floats(-1.0, 1.0, width=64)))
    coords = draw(hnp.arrays(np.float64, (n_atoms, 3), elements=finite))
    numbers = draw(st.lists(st.integers(1, 118), min_size=n_atoms, max_size=n_atoms))
    return Crystal(4.0 * np.eye(3) + skew, coords, numbers)
