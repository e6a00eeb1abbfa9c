"""Crystals the studies begin with, near rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ray_matdesign.crystals.crystal import Crystal

_FACE_CENTRED = 0.5 * (np.ones((3, 3)) - np.eye(3))

CUBIC: Mapping[str, Crystal] = {
    "Si": Crystal(5.431 * _FACE_CENTRED, [[0.0] * 3, [0.25] * 3], [14, 14]),
    "MgO": Crystal(4.212 * _FACE_CENTRED, [[0.0] * 3, [0.5] * 3], [12, 8]),
    "Cu": Crystal(3.61 * _FACE_CENTRED, [[0.0] * 3], [29]),
}
"""Primitive cells whose cubic axes are Cartesian, by formula."""
