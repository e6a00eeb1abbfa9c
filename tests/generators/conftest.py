"""Crystals every generator test uses."""

from __future__ import annotations

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal


@pytest.fixture
def rocksalt() -> Crystal:
    """MgO, primitive cell."""
    cell = 2.1 * (np.ones((3, 3)) - np.eye(3))
    return Crystal(cell, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8])


@pytest.fixture
def perovskite() -> Crystal:
    """Cubic BaTiO3."""
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Crystal(4.0 * np.eye(3), sites, [56, 22, 8, 8, 8])


@pytest.fixture
def rutile() -> Crystal:
    """TiO2, P4_2/mnm."""
    x = 0.305
    oxygen = [[x, x, 0], [-x, -x, 0], [0.5 + x, 0.5 - x, 0.5], [0.5 - x, 0.5 + x, 0.5]]
    sites = np.remainder([[0, 0, 0], [0.5, 0.5, 0.5], *oxygen], 1.0)
    return Crystal(np.diag([4.594, 4.594, 2.959]), sites, [22, 22, 8, 8, 8, 8])
