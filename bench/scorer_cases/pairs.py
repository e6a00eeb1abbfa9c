"""Sixty objectives with what a matcher should make of them, given the scorers there are.

Labels were given by the meaning of the objective: to be reused is a scorer that computes the very
quantity, in the unit and for the kind that is asked for; where it was written for a direction, in
that direction. Near quantities, other units, kinds and directions are related, not the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray_matdesign.agents.objectives.matching import Entry, Relation, builtin_entries
from ray_matdesign.agents.objectives.specification import ObjectiveSpec

BOTH = ("composition", "structure")
ONLY = ("composition",)


@dataclass(frozen=True)
class Pair:
    """An objective and its label.

    Attributes:
        spec: The objective.
        label: What it is to the scorers there are.
        entry: Name of the scorer to be reused.
        flipped: Whether it is a written scorer's objective with the other direction.
    """

    spec: ObjectiveSpec
    label: Relation
    entry: str = ""
    flipped: bool = False


def _spec(quantity: str, unit: str = "", **details: Any) -> ObjectiveSpec:
    kind = details.get("kind", "candidate")
    details.setdefault("direction", "none" if kind == "filter" else "maximize")
    fields = {"kind": "candidate", "inputs": BOTH, **details}
    return ObjectiveSpec.model_validate(
        {
            "name": "objective",
            "description": f"About {quantity}.",
            "quantity": quantity,
            "unit": unit,
            **fields,
        }
    )


_MODULI = ("bulk_modulus", "shear_modulus")
_WRITTEN: dict[str, ObjectiveSpec] = {
    "hardness": _spec("Vickers hardness", "GPa", inputs=_MODULI),
    "light_share": _spec("mass share of light elements", inputs=ONLY),
    "scarcity": _spec("abundance of the scarcest element", "log10 ppm", inputs=ONLY),
    "ionicity": _spec("electronegativity range", inputs=ONLY, direction="minimize"),
    "bond": _spec("nearest neighbour distance", "A", inputs=("structure",), direction="minimize"),
    "stiffness": _spec(
        "Young's modulus per density", "GPa cm^3/g", inputs=(*BOTH, "youngs_modulus")
    ),
    "variety": _spec("diversity of compositions", kind="population", inputs=ONLY),
    "ductile": _spec(
        "ductility", kind="filter", inputs=("pugh_ratio",), method="Pugh ratio above 1.75"
    ),
    "no_rare_earths": _spec("absence of rare earths", kind="filter", inputs=ONLY),
}


def entries() -> list[Entry]:
    """The package's own scorers and nine that were written."""
    written = [Entry(name, spec, "written") for name, spec in _WRITTEN.items()]
    return [*builtin_entries(), *written]


def _reuse(entry: str, quantity: str, unit: str = "", **details: Any) -> Pair:
    return Pair(_spec(quantity, unit, **details), Relation.REUSE, entry)


def _related(quantity: str, unit: str = "", **details: Any) -> Pair:
    return Pair(_spec(quantity, unit, **details), Relation.RELATED)


def _new(quantity: str, unit: str = "", **details: Any) -> Pair:
    return Pair(_spec(quantity, unit, **details), Relation.NEW)


def _flip(name: str) -> Pair:
    spec = _WRITTEN[name]
    other = "minimize" if spec.direction == "maximize" else "maximize"
    return Pair(spec.model_copy(update={"direction": other}), Relation.RELATED, flipped=True)


PAIRS: tuple[Pair, ...] = (
    # The package's own, in the words a planner may choose
    _reuse("density", "mass density", "g/cm3", direction="minimize"),
    _reuse("density", "density of the relaxed crystal", "g/cm^3"),
    _reuse("density", "density", "g cm^-3", inputs=("structure",), direction="minimize"),
    _reuse("bulk_modulus", "Hill bulk modulus", "GPa"),
    _reuse("bulk_modulus", "bulk modulus", "GPa", inputs=("bulk_modulus",)),
    _reuse("bulk_modulus", "Voigt-Reuss-Hill bulk modulus", "GPa"),
    _reuse("shear_modulus", "the shear modulus", "GPa", inputs=("structure",)),
    _reuse("youngs_modulus", "Young's modulus", "GPa"),
    _reuse("youngs_modulus", "average Young modulus", "GPa"),
    _reuse("pugh_ratio", "Pugh's ratio", direction="minimize"),
    _reuse("magnetic_density", "magnetization density", "mu_B/A^3"),
    _reuse("magnetic_density", "magnetic density", "mu_B/angstrom^3"),
    _reuse("band_gap", "electronic band gap", "eV"),
    _reuse("band_gap", "predicted band gap", "eV", direction="minimize"),
    _reuse("e_above_hull", "energy above the convex hull", "eV/atom", direction="minimize"),
    _reuse("e_above_hull", "distance to the hull", "eV", direction="minimize"),
    _reuse("formation_energy", "formation energy", "eV/atom", direction="minimize"),
    _reuse("heat_capacity", "specific heat capacity", "J/g/K"),
    _reuse("dielectric", "static dielectric constant"),
    _reuse("price", "price of the raw materials", "USD/kg", inputs=ONLY, direction="minimize"),
    _reuse("hhi", "Herfindahl-Hirschman index", inputs=ONLY, direction="minimize"),
    # Written ones, in the same direction
    _reuse("hardness", "hardness (Vickers)", "GPa", inputs=_MODULI),
    _reuse("light_share", "light element mass share", inputs=ONLY),
    _reuse("scarcity", "scarcest element's abundance", "log10 ppm", inputs=ONLY),
    _reuse("ionicity", "range of electronegativity", inputs=ONLY, direction="minimize"),
    _reuse("bond", "nearest-neighbour distance", "Ang", inputs=("structure",),
           direction="minimize"),
    _reuse("variety", "composition diversity", kind="population", inputs=ONLY),
    _reuse("ductile", "ductility", kind="filter", inputs=("pugh_ratio",),
           method="lets through K/G over 1.75"),
    _reuse("no_rare_earths", "the absence of rare earths", kind="filter", inputs=ONLY),
    _reuse("stiffness", "Young's modulus per density", "GPa cm3/g",
           inputs=(*BOTH, "youngs_modulus")),
    # The other way round
    _flip("hardness"),
    _flip("light_share"),
    _flip("scarcity"),
    _flip("ionicity"),
    _flip("bond"),
    _flip("variety"),
    _flip("stiffness"),
    # Other units, kinds, inputs, thresholds
    _related("mass density", "kg/m3"),
    _related("bulk modulus", "eV/A^3"),
    _related("band gap", "meV"),
    _related("energy above hull", "meV/atom", direction="minimize"),
    _related("magnetic density", "mu_B/cm^3"),
    _related("Vickers hardness", "MPa", inputs=_MODULI),
    _related("band gap", "eV", inputs=ONLY),
    _related("density", "g/cm3", inputs=ONLY),
    _related("diversity of compositions", inputs=ONLY),
    _related("ductility", kind="filter", inputs=("pugh_ratio",), method="Pugh ratio above 2.5"),
    _related("Pugh's ratio", kind="filter", method="above 1.75"),
    _related("diversity of structures", kind="population", inputs=("structure",)),
    # Nothing like them
    _new("packing fraction", inputs=BOTH),
    _new("melting point", "K", inputs=ONLY),
    _new("shear to bulk ratio", inputs=_MODULI),
    _new("thermal conductivity", "J/m/s/K"),
    _new("number of elements", inputs=ONLY),
    _new("coordination number", inputs=("structure",)),
    _new("refractive index"),
    _new("volume per atom", "A^3", inputs=("structure",)),
    _new("absence of toxic metals", kind="filter", inputs=ONLY),
    _new("fracture toughness", "GPa", inputs=_MODULI),
    _new("share of stable crystals", kind="population", inputs=("e_above_hull",)),
)  # fmt: skip
