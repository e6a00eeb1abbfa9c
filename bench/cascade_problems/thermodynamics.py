"""Analysis: energies of compounds against each other."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("analysis")

_SYSTEMS = (
    ("Li", "Mn", "O", ("Li2O", "MnO", "MnO2", "Mn2O3", "LiMnO2", "Li2MnO3")),
    ("Ba", "Ti", "O", ("BaO", "TiO2", "Ti2O3", "BaTiO3", "Ba2TiO4", "BaTi2O5")),
    ("Na", "Fe", "S", ("Na2S", "FeS", "FeS2", "NaFeS2", "Na3FeS3", "Na2FeS2")),
    ("Ca", "Al", "O", ("CaO", "Al2O3", "CaAl2O4", "Ca3Al2O6", "CaAl4O7", "Ca5Al6O14")),
    ("Y", "Cu", "O", ("Y2O3", "CuO", "Cu2O", "YCuO2", "Y2Cu2O5", "Y2CuO4")),
)
"""Elements and compounds of ternary systems; their energies are drawn."""


def _system(rng: Random) -> dict[str, Any]:
    *elements, compounds = rng.choice(_SYSTEMS)
    energies = {element: round(rng.uniform(-6.0, -1.5), 3) for element in elements}
    from_elements = {name: round(rng.uniform(-2.6, -1.2), 3) for name in compounds}
    target = rng.choice(compounds[3:])
    # The compound asked about is above the hull in most draws.
    from_elements[target] = round(max(from_elements.values()) + rng.uniform(0.1, 0.6), 3)
    return {"target": target, "elements": energies, "formation": from_elements}


def _entries(elements: dict[str, float], formation: dict[str, float]) -> dict[str, float]:
    """Energy of each phase in eV an atom."""
    from pymatgen.core import Composition

    phases = dict(elements)
    for formula, energy in formation.items():
        shares = Composition(formula).fractional_composition
        phases[formula] = round(
            energy + sum(elements[str(element)] * x for element, x in shares.items()), 5
        )
    return phases


def _entries_file(
    elements: dict[str, float], formation: dict[str, float], **_: Any
) -> dict[str, str]:
    return {"entries.json": json.dumps(_entries(elements, formation), indent=1)}


def _diagram(elements: dict[str, float], formation: dict[str, float]) -> tuple[Any, dict[str, Any]]:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    entries = {}
    for formula, energy in _entries(elements, formation).items():
        composition = Composition(formula)
        entries[formula] = PDEntry(composition, energy * composition.num_atoms)
    return PhaseDiagram(list(entries.values())), entries


@BOOK.problem(
    "hull-distance",
    functions="entries.json holds energies in eV per atom by formula. With pymatgen's `PDEntry` "
    "and `PhaseDiagram.get_e_above_hull`, compute how far {target} is above the hull.",
    goal="entries.json holds the energies, in eV per atom, of the phases of a chemical system. "
    "By how much is {target} unstable against decomposition into other phases (0 if it is stable)?",
    answer_type="number",
    unit="eV/atom",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pymatgen",),
    draw=_system,
    files=_entries_file,
)
def hull_distance(target: str, elements: dict[str, float], formation: dict[str, float]) -> float:
    """Energy above the hull in eV an atom."""
    diagram, entries = _diagram(elements, formation)
    return float(diagram.get_e_above_hull(entries[target]))


@BOOK.problem(
    "decomposition",
    functions="entries.json holds energies in eV per atom by formula. With pymatgen's "
    "`PhaseDiagram.get_decomposition`, decompose the composition {target}: a dictionary by reduced "
    "formula of the fractions of atoms.",
    goal="entries.json holds the energies, in eV per atom, of all phases of a chemical system. "
    "Into which of them does the composition {target} separate in equilibrium? Answer with a "
    "dictionary by reduced formula of the fraction of all atoms that each holds.",
    answer_type="object",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pymatgen",),
    draw=_system,
    files=_entries_file,
)
def decomposition(
    target: str, elements: dict[str, float], formation: dict[str, float]
) -> dict[str, float]:
    """Fractions of atoms by reduced formula."""
    from pymatgen.core import Composition

    diagram, _ = _diagram(elements, formation)
    parts = diagram.get_decomposition(Composition(target))
    return {entry.composition.reduced_formula: float(share) for entry, share in parts.items()}


@BOOK.problem(
    "stable-phases",
    functions="entries.json holds energies in eV per atom by formula. With pymatgen's "
    "`PhaseDiagram`, list the formulas of its `stable_entries`, elements included, as a sorted "
    "list of reduced formulas.",
    goal="entries.json holds the energies, in eV per atom, of all phases of a chemical system, its "
    "elements among them. Which are stable at zero temperature? Answer with their reduced "
    "formulas, elements as plain symbols (O, not O2), sorted as Python sorts strings.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_system,
    files=_entries_file,
)
def stable_phases(
    target: str, elements: dict[str, float], formation: dict[str, float]
) -> list[str]:
    """Reduced formulas of stable phases."""
    diagram, _ = _diagram(elements, formation)
    return sorted(_plain_formula(entry.composition) for entry in diagram.stable_entries)


def _plain_formula(composition: Any) -> str:
    element = composition.is_element
    return str(composition.elements[0]) if element else str(composition.reduced_formula)


_CATHODES = (("Li", "CoO2", 4), ("Li", "FePO4", 4), ("Na", "MnO2", 2), ("Li", "Mn2O4", 2),
             ("Na", "FeO2", 3), ("Li", "NiO2", 6), ("Mg", "V2O5", 2))  # fmt: skip


def _cell(rng: Random) -> dict[str, Any]:
    ion, host, units = rng.choice(_CATHODES)
    metal = round(rng.uniform(-2.2, -1.2), 4)
    empty = round(-rng.uniform(16, 28) * units, 4)
    volts = rng.uniform(1.8, 4.6) * (2 if ion == "Mg" else 1)
    full = round(empty + units * (metal - volts), 4)
    return {"ion": ion, "host": host, "units": units, "metal": metal, "empty": empty, "full": full}


@BOOK.problem(
    "average-voltage",
    functions="With pymatgen's `ComputedEntry` and `InsertionElectrode.from_entries` "
    "(`get_average_voltage`), compute the average voltage of a cathode against {ion} metal. Total "
    "energies: {empty} eV for {units} formula units of {host}, {full} eV for the same cell with "
    "one {ion} for each formula unit, and {metal} eV per atom of {ion} metal.",
    goal="A cell of {units} formula units of the host {host} has the energy {empty} eV; with one "
    "{ion} inserted for each formula unit it has {full} eV, and {ion} metal has {metal} eV per "
    "atom. What is the average voltage of insertion against {ion} metal?",
    answer_type="number",
    unit="V",
    tolerance=Tolerance(absolute=2e-3),
    packages=("pymatgen",),
    draw=_cell,
)
def average_voltage(
    ion: str, host: str, units: int, metal: float, empty: float, full: float
) -> float:
    """Voltage by the difference of energies for each electron."""
    from pymatgen.core import Element

    electrons = units * max(Element(ion).common_oxidation_states)
    return -(full - empty - units * metal) / electrons


_REACTIONS = (
    (("BaCO3", "TiO2"), ("BaTiO3", "CO2")),
    (("Li2CO3", "Co3O4", "O2"), ("LiCoO2", "CO2")),
    (("La2O3", "Li2CO3", "ZrO2"), ("Li7La3Zr2O12", "CO2")),
    (("Fe2O3", "C"), ("Fe", "CO2")),
    (("Y2O3", "BaCO3", "CuO", "O2"), ("YBa2Cu3O7", "CO2")),
    (("NH4H2PO4", "Li2CO3", "FeC2O4"), ("LiFePO4", "NH3", "CO2", "CO", "H2O")),
    (("Na2CO3", "MnO2"), ("Na2MnO3", "CO2")),
    (("SrCO3", "Fe2O3", "MoO3"), ("Sr2FeMoO6", "CO2", "O2")),
    (("CaCO3", "Al2O3"), ("Ca3Al2O6", "CO2")),
    (("KMnO4", "HCl"), ("KCl", "MnCl2", "H2O", "Cl2")),
    (("Al", "Fe3O4"), ("Al2O3", "Fe")),
    (("C6H12O6", "O2"), ("CO2", "H2O")),
)


def _reaction(rng: Random) -> dict[str, Any]:
    reactants, products = rng.choice(_REACTIONS)
    return {
        "reactants": " + ".join(reactants),
        "products": " + ".join(products),
        "first": products[0],
        "amount": rng.randint(1, 9),
    }


@BOOK.problem(
    "reaction-balance",
    functions="With pymatgen's `Reaction`, balance {reactants} -> {products} and give the "
    "amounts for {amount} of {first} (`normalize_to`), as a dictionary by formula as written "
    "here, reactants negative.",
    goal="Balance {reactants} -> {products} such that {amount} formula units of {first} form. "
    "Answer with a dictionary of the amounts by formula as written here: negative for what is "
    "used up, positive for what forms.",
    answer_type="object",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pymatgen",),
    draw=_reaction,
)
def reaction_balance(reactants: str, products: str, first: str, amount: int) -> dict[str, float]:
    """Amounts by formula."""
    from pymatgen.analysis.reaction_calculator import Reaction
    from pymatgen.core import Composition

    used, made = reactants.split(" + "), products.split(" + ")
    reaction = Reaction([Composition(f) for f in used], [Composition(f) for f in made])
    reaction.normalize_to(Composition(first), amount)
    return {formula: float(reaction.get_coeff(Composition(formula))) for formula in used + made}
