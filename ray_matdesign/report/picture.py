"""Pictures of crystals: the unit cell as a small, self-contained SVG.

Orthographic view with the c axis upright. Atoms on a face, edge or corner of the cell are repeated
on the opposite side, as crystallographers draw them. Spheres carry Jmol's element colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals import symmetry
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ELECTRONEGATIVITIES, SYMBOLS

Array = NDArray[np.float64]
Projection = Callable[[Array], Array]
"""Camera coordinates (Angstrom) to picture coordinates (pixels)."""

WIDTH, HEIGHT, LEGEND = 320.0, 300.0, 26.0
AZIMUTH_DEG, ELEVATION_DEG = 20.0, 13.0
SPHERE_SHARE = 0.42
"""Drawn radius over covalent radius: spheres must not hide the bonds."""
BOND_TOLERANCE = 1.12
"""A bond is drawn up to this multiple of the sum of covalent radii."""
FACE_TOLERANCE = 0.02
"""Fractional distance within which an atom counts as lying on a face of the cell."""
EDGE_PIECES = 8
"""Pieces a cell edge is cut into, so that it can pass behind some atoms and before others."""
EDGE_SETBACK_ANG = 0.9
"""Edges are sorted as if this much farther away, lest they cross the spheres on their corners."""
NONMETALS = frozenset({1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 52, 53})
"""Where one of these is present, metal atoms are joined to it but not to each other."""
MAX_BONDS = 400
STICK_DIAMETER_ANG = 0.16


@dataclass(frozen=True)
class _Scene:
    """Atoms shown, in camera coordinates: x right, y up, z toward the viewer (Angstrom)."""

    points: Array
    numbers: NDArray[np.int64]
    radii: Array
    lattice: Array


def crystal_svg(crystal: Crystal, *, name: str) -> str:
    """Draws a unit cell.

    Args:
        crystal: What to draw, in the cell given.
        name: Prefix of the SVG's ids, unique in the page; letters, digits and hyphens.

    Returns:
        An ``<svg>`` element, well below 60 kB for cells of up to 80 atoms.
    """
    scene = _scene(crystal)
    corners = np.array(list(product((0.0, 1.0), repeat=3))) @ scene.lattice
    reach = np.vstack(
        [scene.points - scene.radii[:, None], scene.points + scene.radii[:, None], corners]
    )
    low, high = reach.min(axis=0)[:2], reach.max(axis=0)[:2]
    margin = 8.0
    scale = min((WIDTH - 2 * margin) / (high - low)[0], (HEIGHT - 2 * margin) / (high - low)[1])
    scale = min(scale, 46.0)
    centre = (low + high) / 2

    def screen(points: Array) -> Array:
        flat = (points[..., :2] - centre) * scale
        return np.stack([WIDTH / 2 + flat[..., 0], HEIGHT / 2 - flat[..., 1]], axis=-1)

    pieces = _cell_edges(scene, screen) + _bonds(scene, screen, scale)
    pieces += _spheres(scene, screen, scale, name)
    body = "".join(markup for _, markup in sorted(pieces, key=lambda piece: piece[0]))
    label = f"Unit cell of {crystal.formula}, {len(crystal)} atoms"
    return (
        f'<svg class="crystal" viewBox="0 0 {WIDTH:g} {HEIGHT + LEGEND:g}" role="img" '
        f'aria-label="{label}"><title>{label}</title>'
        f"<defs>{_gradients(crystal, name)}</defs>{body}"
        f"{_compass(scene)}{_legend(crystal, name)}</svg>"
    )


def conventional_cell(crystal: Crystal, symprec_ang: float = 0.1) -> Crystal:
    """The symmetrised conventional cell, which is how a crystal is usually drawn.

    Args:
        crystal: Any cell of it.
        symprec_ang: How far atoms may be from their symmetric places.

    Returns:
        The conventional cell, or ``crystal`` itself where no symmetry is found or the conventional
        cell holds more than 80 atoms.
    """
    standard = symmetry.conventional_cell(crystal, symprec_ang)
    return crystal if standard is None or len(standard) > 80 else standard


def space_group(crystal: Crystal, symprec_ang: float = 0.1) -> tuple[str, int]:
    """Hermann-Mauguin symbol and number of the space group; ``("P1", 1)`` where none is found."""
    return symmetry.space_group(crystal, symprec_ang) or ("P1", 1)


def _scene(crystal: Crystal) -> _Scene:
    from ase.data import covalent_radii

    frac = crystal.frac_coords % 1.0
    frac = np.where(frac > 1.0 - FACE_TOLERANCE, frac - 1.0, frac)
    shown, numbers = [], []
    for position, number in zip(frac, crystal.numbers, strict=True):
        choices = [(0.0, 1.0) if abs(x) < FACE_TOLERANCE else (0.0,) for x in position]
        for shift in product(*choices):
            shown.append(position + np.array(shift))
            numbers.append(number)
    lattice = crystal.lattice @ _camera(crystal.lattice).T
    elements = np.array(numbers, dtype=np.int64)
    radii = SPHERE_SHARE * np.maximum(covalent_radii[elements], 0.55)
    return _Scene(np.array(shown) @ lattice, elements, np.asarray(radii), lattice)


def _camera(lattice: Array) -> Array:
    """Rows: right, up and toward the viewer, for a cell with c upright and a pointing right."""
    up_axis = lattice[2] / np.linalg.norm(lattice[2])
    across = lattice[0] - (lattice[0] @ up_axis) * up_axis
    across /= np.linalg.norm(across)
    away = np.cross(up_axis, across)
    if away @ lattice[1] < 0:
        away = -away
    azimuth, elevation = np.radians([AZIMUTH_DEG, ELEVATION_DEG])
    right = np.cos(azimuth) * across + np.sin(azimuth) * away
    level = np.sin(azimuth) * across - np.cos(azimuth) * away
    toward = np.cos(elevation) * level + np.sin(elevation) * up_axis
    up = np.cos(elevation) * up_axis - np.sin(elevation) * level
    return np.array([right, up, toward])


def _cell_edges(scene: _Scene, screen: Projection) -> list[tuple[float, str]]:
    pieces = []
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        for i, j in product((0.0, 1.0), repeat=2):
            start = np.zeros(3)
            start[others[0]], start[others[1]] = i, j
            ends = np.linspace(0, 1, EDGE_PIECES + 1)[:, None] * np.eye(3)[axis] + start
            points = ends @ scene.lattice
            flat = screen(points)
            for k in range(EDGE_PIECES):
                depth = float(points[k : k + 2, 2].mean()) - EDGE_SETBACK_ANG
                pieces.append((depth, f'<path class="edge" d="{_line(flat[k], flat[k + 1])}"/>'))
    return pieces


def _bonded_pairs(scene: _Scene) -> list[tuple[int, int]]:
    from ase.data import covalent_radii

    radii = covalent_radii[scene.numbers]
    distances = np.linalg.norm(scene.points[:, None] - scene.points[None], axis=-1)
    limits = BOND_TOLERANCE * (radii[:, None] + radii[None])
    near = (distances < limits) & (distances > 0.1)
    nonmetal = np.isin(scene.numbers, list(NONMETALS))
    if nonmetal.any():
        near &= nonmetal[:, None] | nonmetal[None]
    pairs = np.argwhere(np.triu(near))
    order = np.argsort(distances[pairs[:, 0], pairs[:, 1]])
    return [(int(i), int(j)) for i, j in pairs[order][:MAX_BONDS]]


def _bonds(scene: _Scene, screen: Projection, scale: float) -> list[tuple[float, str]]:
    pieces = []
    pairs = _bonded_pairs(scene)
    # Metals have a dozen neighbours each: thinner sticks keep their cells readable.
    width = np.clip(scale * STICK_DIAMETER_ANG, 2.0, 6.0)
    if len(pairs) > 3 * len(scene.points):
        width *= 0.6
    for i, j in pairs:
        along = scene.points[j] - scene.points[i]
        unit = along / np.linalg.norm(along)
        # A stick starts on the surface of its sphere, seen from the viewer, not at its centre.
        start = scene.points[i] + unit * scene.radii[i] * 0.9
        stop = scene.points[j] - unit * scene.radii[j] * 0.9
        if (stop - start) @ unit <= 0:
            continue
        path = _line(*screen(np.array([start, stop])))
        depth = float(min(scene.points[i][2], scene.points[j][2]))
        pieces.append(
            (
                depth,
                f'<path class="stick" stroke-width="{width:.1f}" d="{path}"/>'
                f'<path class="glint" stroke-width="{0.4 * width:.1f}" d="{path}"/>',
            )
        )
    return pieces


def _spheres(scene: _Scene, screen: Projection, scale: float, name: str) -> list[tuple[float, str]]:
    flat = screen(scene.points)
    return [
        (
            float(scene.points[k][2]) + 1e-3,
            f'<circle cx="{flat[k][0]:.1f}" cy="{flat[k][1]:.1f}" '
            f'r="{scene.radii[k] * scale:.1f}" fill="url(#{name}-{SYMBOLS[number]})"/>',
        )
        for k, number in enumerate(scene.numbers)
    ]


def _gradients(crystal: Crystal, name: str) -> str:
    return "".join(
        f'<radialGradient id="{name}-{SYMBOLS[z]}" cx="36%" cy="32%" r="72%">'
        f'<stop offset="0" stop-color="{_mix(z, 1.0, 0.75)}"/>'
        f'<stop offset=".38" stop-color="{_mix(z, 1.0, 0.08)}"/>'
        f'<stop offset=".8" stop-color="{_mix(z, 0.0, 0.28)}"/>'
        f'<stop offset="1" stop-color="{_mix(z, 0.0, 0.55)}"/></radialGradient>'
        for z in sorted(crystal.elements)
    )


def _mix(number: int, tone: float, share: float) -> str:
    """The element's colour mixed with black (tone 0) or white (tone 1)."""
    from ase.data.colors import jmol_colors

    # The table ends at Mt; the few heavier elements take its last colour.
    colour = jmol_colors[min(number, len(jmol_colors) - 1)]
    mixed = (1 - share) * colour + share * tone
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in mixed)


def _line(start: Array, stop: Array) -> str:
    return f"M{start[0]:.1f} {start[1]:.1f}L{stop[0]:.1f} {stop[1]:.1f}"


def _compass(scene: _Scene) -> str:
    """The directions of a, b and c, bottom left."""
    origin = np.array([24.0, HEIGHT + 4.0])
    marks = []
    for letter, vector in zip("abc", scene.lattice, strict=True):
        arrow = 20.0 * np.array([vector[0], -vector[1]]) / np.linalg.norm(vector)
        tip = origin + arrow
        text = tip + 6.0 * arrow / max(float(np.linalg.norm(arrow)), 1.0)
        marks.append(
            f'<path class="axis" d="{_line(origin, tip)}"/>'
            f'<text class="letter" x="{text[0]:.1f}" y="{text[1] + 3:.1f}">{letter}</text>'
        )
    return "".join(marks)


def _legend(crystal: Crystal, name: str) -> str:
    elements = sorted(crystal.elements, key=lambda z: (ELECTRONEGATIVITIES[z], z))
    left = WIDTH - 12.0 - 40.0 * len(elements)
    return "".join(
        f'<circle cx="{left + 40 * k + 8:.1f}" cy="{HEIGHT + 12:.1f}" r="7" '
        f'fill="url(#{name}-{SYMBOLS[z]})"/>'
        f'<text class="symbol" x="{left + 40 * k + 19:.1f}" y="{HEIGHT + 16.5:.1f}">'
        f"{SYMBOLS[z]}</text>"
        for k, z in enumerate(elements)
    )
