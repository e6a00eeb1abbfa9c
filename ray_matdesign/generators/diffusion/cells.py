"""Niggli reduction: one cell for each lattice, so that the network need learn only one."""

from __future__ import annotations

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import niggli_lattice


def niggli(crystal: Crystal) -> Crystal:
    """The crystal in its Niggli-reduced cell, coordinates in [0, 1).

    A cell spglib cannot reduce (nearly flat, say) comes back as it is: what to do with such a
    crystal is for the validity filter to say.
    """
    reduced = niggli_lattice(crystal.lattice)
    if reduced is None:
        return crystal
    # Old vectors as integer combinations of the new ones carry the coordinates over.
    transform = np.rint(np.linalg.solve(reduced.T, crystal.lattice.T).T)
    if not np.allclose(transform @ reduced, crystal.lattice, atol=1e-3 * crystal.lengths.max()):
        return crystal
    return crystal.with_cell(reduced, np.remainder(crystal.frac_coords @ transform, 1.0))
