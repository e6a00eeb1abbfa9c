"""What the scorers of this package compute, in terms that a specification can be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Registered:
    """One scorer of :data:`ray_matdesign.rewards.objective.SCORERS`.

    Attributes:
        unit: Of its values.
        inputs: What the values depend on: ``composition`` and ``structure``.
        low: A small value among common crystals.
        high: A large one. Stand-ins for its values are drawn between the two when a scorer that
            takes them is examined.
        wordings: Other names of the quantity, in lower case, words apart by spaces.
    """

    unit: str
    inputs: tuple[str, ...]
    low: float
    high: float
    wordings: tuple[str, ...]


_COMPOSITION = ("composition",)
_BOTH = ("composition", "structure")

REGISTERED: Mapping[str, Registered] = {
    "density": Registered("g/cm3", _BOTH, 1.0, 20.0, ("mass density", "specific mass")),
    "hhi": Registered(
        "",
        _COMPOSITION,
        500.0,
        9000.0,
        ("hhi reserve", "reserve hhi", "herfindahl hirschman index", "reserve concentration"),
    ),
    "price": Registered(
        "USD/kg",
        _COMPOSITION,
        0.1,
        1e4,
        ("raw material price", "element price", "raw material cost", "price per kilogram"),
    ),
    "abundance": Registered(
        "log10 ppm",
        _COMPOSITION,
        -3.0,
        5.5,
        ("crustal abundance", "earth abundance", "log crustal abundance"),
    ),
    "formation_energy": Registered(
        "eV/atom", _BOTH, -4.0, 0.5, ("formation enthalpy", "energy of formation")
    ),
    "e_above_hull": Registered(
        "eV/atom",
        _BOTH,
        -0.05,
        0.6,
        ("energy above convex hull", "energy above hull", "hull distance", "distance to hull"),
    ),
    "magnetic_density": Registered(
        "mu_B/A^3",
        _BOTH,
        0.001,
        0.25,
        ("magnetization density", "magnetisation density", "moment density"),
    ),
    "bulk_modulus": Registered(
        "GPa", _BOTH, 10.0, 450.0, ("hill bulk modulus", "incompressibility", "bulk stiffness")
    ),
    "shear_modulus": Registered("GPa", _BOTH, 5.0, 500.0, ("hill shear modulus", "rigidity")),
    "youngs_modulus": Registered(
        "GPa", _BOTH, 10.0, 1100.0, ("young modulus", "elastic modulus", "young s modulus")
    ),
    "pugh_ratio": Registered(
        "", _BOTH, 0.8, 6.0, ("bulk to shear ratio", "pugh s ratio", "ductility ratio")
    ),
    "vickers_hardness": Registered("GPa", _BOTH, 1.0, 100.0, ("vickers hardness", "hardness")),
    "light_elements": Registered(
        "", _COMPOSITION, 0.0, 1.0, ("share of light elements", "light element fraction")
    ),
    "band_gap": Registered("eV", _BOTH, 0.01, 9.0, ("bandgap", "electronic gap", "energy gap")),
    "synthesizability": Registered(
        "", _COMPOSITION, 0.0, 1.0, ("synthesisability", "synthesizability score")
    ),
    "mcia": Registered(
        "A^2", _BOTH, 20.0, 900.0, ("minimal coincident interface area", "coincident interface")
    ),
    "heat_capacity": Registered("J/g/K", _BOTH, 0.1, 2.5, ("specific heat", "heat capacity mass")),
    "dielectric": Registered(
        "", _BOTH, 2.0, 100.0, ("dielectric constant", "relative permittivity", "permittivity")
    ),
    "figure_of_merit": Registered(
        "eV", _BOTH, 1.0, 100.0, ("dielectric figure of merit", "gap times permittivity")
    ),
}
"""By name of the scorer. A scorer that is missing here is not offered to language models."""
