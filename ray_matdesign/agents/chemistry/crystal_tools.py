"""Tools for crystals: compositions, symmetry, stability, and what is already known."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_matdesign.agents.chemistry.arguments import Answer, Arguments, Text
from ray_matdesign.agents.chemistry.formulas import Formula
from ray_matdesign.agents.chemistry.substances import substance_formula
from ray_matdesign.agents.tools.protocol import Tool, ToolError
from ray_matdesign.crystals.cif import parse_cif
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, formula_from_counts
from ray_matdesign.crystals.geometry import min_distance
from ray_matdesign.crystals.matching import fingerprint
from ray_matdesign.crystals.symmetry import space_group
from ray_matdesign.crystals.validity import smact_valid
from ray_matdesign.stability.hull import MissingElements
from ray_matdesign.stability.reference import ReferenceSet

MOST_ATOMS = 200
SYMPREC_ANG = 0.01
MOST_ATOMS_OF_A_FORMULA = 400
"""Where a fraction would be made of thousands of atoms, nothing here can be said of it."""

_ELEMENT = re.compile(r"([A-Z][a-z]?)(\d*)")

LoadReference = Callable[[], ReferenceSet]


class CompositionText(Arguments):
    """A composition."""

    formula: Text = Field(description="such as LiFePO4; neutral; or a common name")


class CompositionCheck(Answer):
    """Whether a composition can be charge neutral."""

    formula: str
    """Reduced, electropositive elements first."""
    charge_neutral: bool
    """By the SMACT rules: one oxidation state for each element, anions more electronegative."""
    note: str


class CifText(Arguments):
    """A crystal."""

    cif: str = Field(min_length=20, max_length=200_000, description="text of a CIF")
    symprec_ang: float = Field(
        default=SYMPREC_ANG, gt=0.0, le=1.0, description="tolerance of symmetry, Angstrom"
    )


class CrystalSummary(Answer):
    """What a crystal is."""

    formula: str
    atoms: int
    space_group: str
    """Hermann-Mauguin symbol; empty where none is found."""
    space_group_number: int
    """0 where none is found."""
    density_g_per_cm3: float
    volume_ang3: float
    volume_per_atom_ang3: float
    shortest_distance_ang: float
    lengths_ang: tuple[float, float, float]


class EnergyOfFormation(Arguments):
    """A composition with its formation energy."""

    formula: Text
    formation_energy_ev_per_atom: float = Field(
        ge=-10.0, le=10.0, description="against the elements, eV/atom, on the MP2020 scale"
    )


class HullDistance(Answer):
    """How a compound compares with mixtures of known ones."""

    formula: str
    e_above_hull_ev_per_atom: float
    """Negative for a compound below all that is known."""
    hull_energy_ev_per_atom: float
    decomposition: dict[str, float]
    """The mixture of the hull, atom fractions by formula."""


class NearestKnown(Answer):
    """The most similar known crystal."""

    relation: str
    """``same crystal``, ``same formula`` (another structure) or ``nearest composition``."""
    name: str
    formula: str
    distance: float
    """0 for the same crystal; root mean square of the differences of scaled neighbour distances
    for the same formula; Euclidean in atom fractions for another."""


def crystal_tools(load_reference: LoadReference | None = None) -> list[Tool[Any, Any]]:
    """Compositions, symmetry, hull distances, known crystals.

    Args:
        load_reference: Gives the reference set; called once, on first use; the packaged one by
            default.
    """
    load = cache(load_reference or _packaged)
    # Hulls and known crystals remember what they were asked before, for one thread at a time.
    lock = Lock()

    def hull(asked: EnergyOfFormation) -> HullDistance:
        with lock:
            return _hull(asked, load())

    def nearest(asked: CifText) -> NearestKnown:
        with lock:
            return _nearest(asked, load())

    return [
        Tool(
            "check_composition",
            "Whether a composition has a charge-neutral assignment of oxidation states (SMACT).",
            CompositionText,
            CompositionCheck,
            _check,
        ),
        Tool(
            "describe_crystal",
            "Formula, space group, density and shortest distance of a crystal given as CIF.",
            CifText,
            CrystalSummary,
            _describe,
        ),
        Tool(
            "hull_distance",
            "Energy above the convex hull of known compounds for a composition and its formation "
            "energy, and the mixture it would decompose to.",
            EnergyOfFormation,
            HullDistance,
            hull,
        ),
        Tool(
            "nearest_known_crystal",
            "Whether a crystal given as CIF is known, or which known crystal is nearest to it.",
            CifText,
            NearestKnown,
            nearest,
        ),
    ]


def _packaged() -> ReferenceSet:
    return ReferenceSet.load("packaged")


def _counts(text: str) -> tuple[Formula, dict[int, int]]:
    formula = substance_formula(text)
    if formula.charge:
        raise ToolError(f"{text}: a crystal is neutral, this has a charge of {formula.charge:+d}")
    counts = formula.by_number()
    if sum(counts.values()) > MOST_ATOMS_OF_A_FORMULA:
        raise ToolError(f"{text}: more than {MOST_ATOMS_OF_A_FORMULA} atoms in the smallest unit")
    return formula, counts


def _check(asked: CompositionText) -> CompositionCheck:
    _, counts = _counts(asked.formula)
    valid = smact_valid(counts)
    note = ""
    if not valid:
        note = (
            "mixed valence (magnetite), polyanions (pyrite) and many intermetallics fail this "
            "check and exist nevertheless"
        )
    elif len(counts) == 1:
        note = "elements pass by definition"
    return CompositionCheck(formula=formula_from_counts(counts), charge_neutral=valid, note=note)


def _crystal(cif: str) -> Crystal:
    try:
        crystal = parse_cif(cif)
    except InvalidCrystal as error:
        raise ToolError(f"the CIF holds no crystal: {error}") from error
    if len(crystal) > MOST_ATOMS:
        raise ToolError(f"the cell has {len(crystal)} atoms; at most {MOST_ATOMS} are looked at")
    return crystal


def _describe(asked: CifText) -> CrystalSummary:
    crystal = _crystal(asked.cif)
    symbol, number = space_group(crystal, asked.symprec_ang) or ("", 0)
    a, b, c = crystal.lengths.tolist()
    return CrystalSummary(
        formula=crystal.formula,
        atoms=len(crystal),
        space_group=symbol,
        space_group_number=number,
        density_g_per_cm3=crystal.density,
        volume_ang3=crystal.volume,
        volume_per_atom_ang3=crystal.volume / len(crystal),
        shortest_distance_ang=min_distance(crystal),
        lengths_ang=(a, b, c),
    )


def _hull(asked: EnergyOfFormation, reference: ReferenceSet) -> HullDistance:
    _, counts = _counts(asked.formula)
    try:
        energy = reference.hull.energy(counts)
        mixture = reference.hull.decomposition(counts)
    except MissingElements as error:
        raise ToolError(f"{asked.formula}: {error}") from error
    return HullDistance(
        formula=formula_from_counts(counts),
        e_above_hull_ev_per_atom=asked.formation_energy_ev_per_atom - energy,
        hull_energy_ev_per_atom=energy,
        decomposition=mixture,
    )


def _nearest(asked: CifText, reference: ReferenceSet) -> NearestKnown:
    crystal = _crystal(asked.cif)
    same = reference.find(crystal)
    if same is not None:
        return NearestKnown(
            relation="same crystal", name=same, formula=crystal.formula, distance=0.0
        )
    known = reference.known
    rows = known.rows(crystal.formula)
    if rows:
        own = fingerprint(crystal)
        distances = [
            float(np.sqrt(np.mean((fingerprint(known.crystal(row)) - own) ** 2))) for row in rows
        ]
        least = int(np.argmin(distances))
        return NearestKnown(
            relation="same formula",
            name=known.names[rows[least]],
            formula=crystal.formula,
            distance=distances[least],
        )
    formulas = sorted(known.formulas)
    if not formulas:
        raise ToolError("the reference set holds no crystals")
    target = _fractions(crystal.counts)
    vectors = np.array([_fractions(_counts_of_reduced(formula)) for formula in formulas])
    lengths = np.linalg.norm(vectors - target, axis=1)
    least = int(np.argmin(lengths))
    return NearestKnown(
        relation="nearest composition",
        name=known.names[known.rows(formulas[least])[0]],
        formula=formulas[least],
        distance=float(lengths[least]),
    )


def _counts_of_reduced(formula: str) -> dict[int, int]:
    """Of a reduced formula as crystals have them, which holds neither brackets nor fractions."""
    return {ATOMIC_NUMBERS[s]: int(n or 1) for s, n in _ELEMENT.findall(formula)}


def _fractions(counts: dict[int, int]) -> NDArray[np.float32]:
    vector = np.zeros(119, dtype=np.float32)
    vector[list(counts)] = list(counts.values())
    return np.asarray(vector / vector.sum())
