"""Well-known crystals from their structure type and lattice constants (Angstrom, near 300 K)."""

from __future__ import annotations

from pymatgen.core import Lattice, Structure

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal


def _crystal(
    group: int, lattice: Lattice, species: list[str], places: list[list[float]]
) -> Crystal:
    return from_pymatgen(
        Structure.from_spacegroup(group, lattice, species, places).get_primitive_structure()
    )


def fcc(element: str, a: float) -> Crystal:
    """Copper's structure."""
    return _crystal(225, Lattice.cubic(a), [element], [[0.0, 0.0, 0.0]])


def bcc(element: str, a: float) -> Crystal:
    """Tungsten's structure."""
    return _crystal(229, Lattice.cubic(a), [element], [[0.0, 0.0, 0.0]])


def hcp(element: str, a: float, c: float) -> Crystal:
    """Magnesium's structure."""
    return _crystal(194, Lattice.hexagonal(a, c), [element], [[1 / 3, 2 / 3, 0.25]])


def diamond(element: str, a: float) -> Crystal:
    """Diamond's structure."""
    return _crystal(227, Lattice.cubic(a), [element], [[0.0, 0.0, 0.0]])


def rocksalt(cation: str, anion: str, a: float) -> Crystal:
    """Halite's structure."""
    return _crystal(225, Lattice.cubic(a), [cation, anion], [[0.0] * 3, [0.5] * 3])


def caesium_chloride(cation: str, anion: str, a: float) -> Crystal:
    """CsCl's structure."""
    return _crystal(221, Lattice.cubic(a), [cation, anion], [[0.0] * 3, [0.5] * 3])


def zincblende(cation: str, anion: str, a: float) -> Crystal:
    """Sphalerite's structure."""
    return _crystal(216, Lattice.cubic(a), [cation, anion], [[0.0] * 3, [0.25] * 3])


def wurtzite(cation: str, anion: str, a: float, c: float, u: float = 0.38) -> Crystal:
    """Wurtzite's structure; ``u`` is the bond along the axis over ``c``."""
    places = [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, u]]
    return _crystal(186, Lattice.hexagonal(a, c), [cation, anion], places)


def fluorite(cation: str, anion: str, a: float) -> Crystal:
    """Fluorite's structure; with the roles exchanged, antifluorite's."""
    return _crystal(225, Lattice.cubic(a), [cation, anion], [[0.0] * 3, [0.25] * 3])


def rutile(cation: str, anion: str, a: float, c: float, u: float = 0.305) -> Crystal:
    """Rutile's structure."""
    return _crystal(136, Lattice.tetragonal(a, c), [cation, anion], [[0.0] * 3, [u, u, 0.0]])


def corundum(cation: str, anion: str, a: float, c: float, z: float, x: float) -> Crystal:
    """Corundum's structure, hexagonal axes."""
    return _crystal(167, Lattice.hexagonal(a, c), [cation, anion], [[0, 0, z], [x, 0, 0.25]])


def alpha_quartz() -> Crystal:
    """SiO2 below 846 K."""
    places = [[0.4697, 0.0, 1 / 3], [0.4135, 0.2669, 0.2144]]
    return _crystal(152, Lattice.hexagonal(4.913, 5.405), ["Si", "O"], places)


def spinel(tetrahedral: str, octahedral: str, anion: str, a: float, u: float) -> Crystal:
    """Spinel's structure, the origin at a tetrahedral site."""
    places = [[0.0] * 3, [0.625] * 3, [u] * 3]
    return _crystal(227, Lattice.cubic(a), [tetrahedral, octahedral, anion], places)


def cuprite() -> Crystal:
    """Cu2O."""
    return _crystal(224, Lattice.cubic(4.27), ["Cu", "O"], [[0.25] * 3, [0.0] * 3])


def perovskite(large: str, small: str, anion: str, a: float) -> Crystal:
    """The ideal cubic structure."""
    places = [[0.0] * 3, [0.5] * 3, [0.5, 0.5, 0.0]]
    return _crystal(221, Lattice.cubic(a), [large, small, anion], places)
