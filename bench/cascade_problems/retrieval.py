"""Retrieval: numbers and words from the tables that packages bring along."""

from __future__ import annotations

from random import Random
from typing import Any

from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("retrieval")

_IONS = (
    ("Na", 1, "VI"), ("Mg", 2, "VI"), ("Ti", 4, "VI"), ("Zr", 4, "VIII"), ("La", 3, "XII"),
    ("Al", 3, "IV"), ("Ca", 2, "VIII"), ("Sr", 2, "XII"), ("K", 1, "XII"), ("Ce", 4, "VIII"),
    ("Zn", 2, "IV"), ("Y", 3, "VIII"), ("Ba", 2, "XII"), ("Li", 1, "IV"), ("Ga", 3, "VI"),
)  # fmt: skip

_METALS = ("Al", "Cu", "Fe", "Ti", "Ni", "W", "Zr", "Mo", "Cr", "V", "Mg", "Ag", "Au", "Pt", "Sn")

_VARIABLE = (
    "Mn", "Fe", "Co", "Ni", "V", "Cr", "Mo", "W", "Ti", "Cu", "Nb", "Re", "Ru", "Sb", "S",
    "N", "P", "Ce", "U", "I", "Pd", "Au",
)  # fmt: skip

_GROUPS = (
    "Fd-3m", "Pnma", "P6_3/mmc", "I4/mmm", "R-3m", "P2_1/c", "F-43m", "Pm-3m", "Ia-3d",
    "P4_2/mnm", "C2/c", "Cmcm", "R-3c", "Immm", "P6_3mc", "I-42d", "Fddd", "Pbca",
)  # fmt: skip

_TRADED = (
    "LiFePO4", "LiCoO2", "Bi2Te3", "CdTe", "CuInSe2", "NdFe5", "BaTiO3", "Cu2ZnSnS4", "PbTe",
    "Li7La3Zr2O12", "NaCoO2", "MgB2", "YBa2Cu3O7", "SmCo5", "GaAs",
)  # fmt: skip

_ANIONS = (
    "oxide", "peroxide", "superoxide", "S", "F", "Cl", "Br", "I", "N", "Se", "Si", "Sb", "Te",
    "H",
)  # fmt: skip

_ATOMS = (
    "C", "N", "O", "Si", "P", "S", "Fe", "Co", "Ni", "V", "Ti", "Al", "B", "Cl", "Mn", "Zr",
)  # fmt: skip


def _ion(rng: Random) -> dict[str, Any]:
    element, charge, coordination = rng.choice(_IONS)
    return {"element": element, "charge": charge, "coordination": coordination}


@BOOK.problem(
    "shannon-radius",
    functions="With pymatgen's `Species.get_shannon_radius`, look up the ionic radius of "
    "{element}{charge}+ in coordination {coordination}.",
    goal="What is Shannon's ionic radius (not the crystal radius) of the {charge}+ ion of "
    "{element} where its coordination number, in Roman numerals, is {coordination}?",
    answer_type="number",
    unit="A",
    tolerance=Tolerance(absolute=0.002),
    packages=("pymatgen",),
    draw=_ion,
)
def shannon_radius(element: str, charge: int, coordination: str) -> float:
    """Ionic radius in Angstrom."""
    from pymatgen.core import Species

    return float(Species(element, charge).get_shannon_radius(coordination, radius_type="ionic"))


@BOOK.problem(
    "electronegativities",
    functions="With pymatgen's `Element.X`, give the Pauling electronegativities of {elements}, as "
    "a dictionary by symbol.",
    goal="Collect the Pauling electronegativities of {elements} in a dictionary whose keys are the "
    "chemical symbols.",
    answer_type="object",
    tolerance=Tolerance(absolute=0.005),
    packages=("pymatgen",),
    draw=lambda rng: {"elements": ", ".join(rng.sample([*_METALS, "O", "S", "Cl", "Si", "P"], 4))},
)
def electronegativities(elements: str) -> dict[str, float]:
    """Pauling electronegativity by symbol."""
    from pymatgen.core import Element

    return {symbol: float(Element(symbol).X) for symbol in elements.split(", ")}


@BOOK.problem(
    "oxidation-states",
    functions="With SMACT's `smact.Element(...).oxidation_states_icsd24`, list the oxidation "
    "states of {element} in rising order.",
    goal="Which oxidation states does SMACT's list from the 2024 version of the ICSD (`icsd24`) "
    "have for {element}? List them in rising order.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("smact",),
    draw=lambda rng: {"element": rng.choice(_VARIABLE)},
)
def oxidation_states(element: str) -> list[int]:
    """States of SMACT's list, in rising order."""
    import smact

    states = smact.Element(element).oxidation_states_icsd24
    return sorted(int(state) for state in states or [])


@BOOK.problem(
    "space-group",
    functions="With pymatgen's `SpaceGroup`, describe the space group {symbol}: a dictionary with "
    "`number` (`int_number`), `point_group`, and `operations` (`order`).",
    goal="Describe the space group with the Hermann-Mauguin symbol {symbol} by a dictionary: its "
    "`number` in the International Tables, its `point_group` as a Hermann-Mauguin symbol, and "
    "`operations`, the number of symmetry operations of its conventional cell, centring included.",
    answer_type="object",
    tolerance=Tolerance(text="normalised"),
    packages=("pymatgen",),
    draw=lambda rng: {"symbol": rng.choice(_GROUPS)},
)
def space_group(symbol: str) -> dict[str, Any]:
    """Number, point group and order of the conventional cell."""
    from pymatgen.symmetry.groups import SpaceGroup

    group = SpaceGroup(symbol)
    return {
        "number": int(group.int_number),
        "point_group": str(group.point_group),
        "operations": int(group.order),
    }


@BOOK.problem(
    "hall-number",
    functions="With `spglib.get_spacegroup_type`, look up Hall number {hall}: a dictionary with "
    "`number` and `schoenflies`.",
    goal="Which space group has the Hall number {hall} in spglib's count from 1 to 530? Answer "
    "with a dictionary of its `number` and its `schoenflies` symbol as spglib writes it.",
    answer_type="object",
    tolerance=Tolerance(),
    packages=("spglib",),
    draw=lambda rng: {"hall": rng.randint(1, 530)},
)
def hall_number(hall: int) -> dict[str, Any]:
    """Number and Schoenflies symbol."""
    import spglib

    kind = spglib.get_spacegroup_type(hall)
    return {"number": int(kind.number), "schoenflies": str(kind.schoenflies)}


@BOOK.problem(
    "melting-order",
    functions="With pymatgen's `Element.melting_point`, sort {elements} from the lowest to the "
    "highest melting point.",
    goal="Sort these elements from the one that melts first to the one that melts last, as a list "
    "of symbols: {elements}.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=lambda rng: {"elements": ", ".join(rng.sample(_METALS, 6))},
)
def melting_order(elements: str) -> list[str]:
    """Symbols by melting point."""
    from pymatgen.core import Element

    return sorted(elements.split(", "), key=lambda symbol: float(Element(symbol).melting_point))


@BOOK.problem(
    "supply-risk",
    functions="With pymatgen's `HHIModel.get_hhi_production`, compute the Herfindahl-Hirschman "
    "index of production of {formula}.",
    goal="How concentrated is the production of the elements of {formula}? Give the "
    "Herfindahl-Hirschman index of production, averaged over the elements by weight, from the "
    "table that pymatgen carries.",
    answer_type="number",
    tolerance=Tolerance(absolute=1.0),
    packages=("pymatgen",),
    draw=lambda rng: {"formula": rng.choice(_TRADED)},
)
def supply_risk(formula: str) -> float:
    """Index of production."""
    from pymatgen.analysis.hhi import HHIModel

    return float(HHIModel().get_hhi_production(formula))


@BOOK.problem(
    "mp2020-correction",
    functions="With `comp_correction` of pymatgen's `MaterialsProject2020Compatibility`, look up "
    "the correction for the anion type `{anion}`.",
    goal="By which energy does the Materials Project's correction scheme of 2020 (MP2020) shift "
    "each anion of the type `{anion}`? The scheme's table comes with pymatgen.",
    answer_type="number",
    unit="eV/atom",
    tolerance=Tolerance(absolute=5e-4),
    packages=("pymatgen",),
    draw=lambda rng: {"anion": rng.choice(_ANIONS)},
)
def mp2020_correction(anion: str) -> float:
    """Correction in eV for each atom of the anion."""
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return float(MaterialsProject2020Compatibility().comp_correction[anion])


@BOOK.problem(
    "reference-state",
    functions="With `ase.data.reference_states`, look up the reference crystals of {first} and "
    "{second}: a dictionary by symbol of [`symmetry`, `a`].",
    goal="In which crystal structure, and with which lattice constant a, does ASE's table of "
    "reference states list {first} and {second}? Answer with a dictionary by symbol of lists "
    "[structure, a in Angstrom], the structure named as in the table.",
    answer_type="object",
    tolerance=Tolerance(absolute=0.005),
    packages=("ase",),
    draw=lambda rng: dict(zip(("first", "second"), rng.sample(_METALS[:-1], 2), strict=True)),
)
def reference_state(first: str, second: str) -> dict[str, Any]:
    """Structure and lattice constant by symbol."""
    from ase.data import atomic_numbers, reference_states

    rows = {symbol: reference_states[atomic_numbers[symbol]] for symbol in (first, second)}
    return {symbol: [str(row["symmetry"]), float(row["a"])] for symbol, row in rows.items()}


@BOOK.problem(
    "ground-state-term",
    functions="With pymatgen's `Element.ground_state_term_symbol`, look up the terms of "
    "{elements}, as a list of strings.",
    goal="Give the term symbols of the ground states of the free atoms {elements}, as a list of "
    "strings such as '3P2.0' in which J is written with one decimal.",
    answer_type="list",
    tolerance=Tolerance(text="normalised"),
    packages=("pymatgen",),
    draw=lambda rng: {"elements": ", ".join(rng.sample(_ATOMS, 3))},
)
def ground_state_term(elements: str) -> list[str]:
    """Term symbols."""
    from pymatgen.core import Element

    return [str(Element(symbol).ground_state_term_symbol) for symbol in elements.split(", ")]


@BOOK.problem(
    "ionization-energy",
    functions="With pymatgen's `Element.ionization_energies`, sum the energies that take the first "
    "{count} electrons off an atom of {element}.",
    goal="How much energy does it take, in all, to take {count} electrons off a free atom of "
    "{element}, one after the other?",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(absolute=0.02),
    packages=("pymatgen",),
    draw=lambda rng: {"element": rng.choice(_METALS), "count": rng.randint(2, 6)},
)
def ionization_energy(element: str, count: int) -> float:
    """Sum of the first ionization energies in eV."""
    from pymatgen.core import Element

    return float(sum(Element(element).ionization_energies[:count]))
