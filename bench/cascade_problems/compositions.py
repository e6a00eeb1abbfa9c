"""Analysis: what may be said of a formula alone."""

from __future__ import annotations

from random import Random
from typing import Any

from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("analysis")


def _ternary(rng: Random) -> str:
    first = rng.choice(("Li", "Na", "K", "Ca", "Sr", "Ba", "Mg"))
    second = rng.choice(("Ti", "Zr", "Al", "Ga", "V", "Mn", "Fe", "Sn", "Nb"))
    return f"{first}-{second}-{rng.choice(('O', 'S', 'N', 'F', 'Cl'))}"


@BOOK.problem(
    "neutral-compositions",
    functions="With `smact.screening.smact_filter(elements, threshold={threshold}, "
    "species_unique=False, oxidation_states_set='icsd24')`, count the formulas that each of the "
    "systems {systems} allows, and list the three numbers.",
    goal="How many stoichiometries of each of the chemical systems {systems}, every element "
    "present with 1 to {threshold} atoms in the formula unit, pass SMACT's charge-neutrality and "
    "electronegativity tests with its icsd24 oxidation states? Count each stoichiometry once, "
    "whatever the charges, and list the three numbers.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("smact",),
    draw=lambda rng: {
        "systems": ", ".join(_ternary(rng) for _ in range(3)),
        "threshold": rng.randint(3, 5),
    },
)
def neutral_compositions(systems: str, threshold: int) -> list[int]:
    """Numbers of stoichiometries."""
    import smact
    from smact.screening import smact_filter

    found = [
        smact_filter(
            [smact.Element(symbol) for symbol in system.split("-")],
            threshold=threshold,
            species_unique=False,
            oxidation_states_set="icsd24",
        )
        for system in systems.split(", ")
    ]
    return [len(set(formulas)) for formulas in found]


_SITES = (
    (("Sr", 2), ("Ti", 4), ("O", -2)), (("Ca", 2), ("Ti", 4), ("O", -2)),
    (("Ba", 2), ("Zr", 4), ("O", -2)), (("La", 3), ("Al", 3), ("O", -2)),
    (("Ba", 2), ("Sn", 4), ("O", -2)), (("Sr", 2), ("Zr", 4), ("O", -2)),
    (("K", 1), ("Nb", 5), ("O", -2)), (("La", 3), ("Ga", 3), ("O", -2)),
    (("Cs", 1), ("Pb", 2), ("I", -1)), (("Cs", 1), ("Pb", 2), ("Br", -1)),
    (("Cs", 1), ("Sn", 2), ("Br", -1)), (("K", 1), ("Mg", 2), ("F", -1)),
)  # fmt: skip


def _perovskite(rng: Random) -> dict[str, Any]:
    a, b, x = rng.choice(_SITES)
    words = [f"{s}{abs(z)}{'+' if z > 0 else '-'}" for s, z in (a, b, x)]
    return {"a": list(a), "b": list(b), "x": list(x), "ions": ", ".join(words)}


@BOOK.problem(
    "tolerance-factor",
    functions="With pymatgen's `Species.get_shannon_radius`, compute Goldschmidt's tolerance "
    "factor (r_A + r_X) / (sqrt(2) (r_B + r_X)) of the perovskite ABX3 with the ions A, B, X = "
    "{ions}, from ionic radii for the coordinations XII, VI and VI.",
    goal="Compute Goldschmidt's tolerance factor of the perovskite ABX3 whose ions A, B and X are "
    "{ions}, from Shannon's ionic radii: A in twelvefold, B and X in sixfold coordination.",
    answer_type="number",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pymatgen",),
    draw=_perovskite,
)
def tolerance_factor(a: list[Any], b: list[Any], x: list[Any], ions: str) -> float:
    """Goldschmidt's factor."""
    from pymatgen.core import Species

    radii = [
        float(Species(*ion).get_shannon_radius(coordination, radius_type="ionic"))
        for ion, coordination in ((a, "XII"), (b, "VI"), (x, "VI"))
    ]
    return (radii[0] + radii[2]) / (2**0.5 * (radii[1] + radii[2]))


_FORMULAS = [
    "LiFePO4",
    "Fe3O4",
    "Mn3O4",
    "BaTiO3",
    "KNbO3",
    "Li4Ti5O12",
    "NaCoO2",
    "La2CuO4",
    "Cu2ZnSnS4",
    "MgAl2O4",
    "CaWO4",
    "YVO4",
    "ZnFe2O4",
    "Li2MnO3",
    "Na3V2P3O12",
    "FeS2",
    "Sb2S3",
    "Bi2WO6",
    "CoAl2O4",
    "CuFeS2",
]


@BOOK.problem(
    "likely-charges",
    functions="With pymatgen's `Composition({formula!r}).oxi_state_guesses()`, take the first "
    "guess: a dictionary of mean oxidation states by symbol.",
    goal="Which charges do the ions of {formula} most probably have, by pymatgen's statistics of "
    "known compounds? Answer with a dictionary by symbol of the mean oxidation state of each "
    "element.",
    answer_type="object",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pymatgen",),
    draw=lambda rng: {"formula": rng.choice(_FORMULAS)},
)
def likely_charges(formula: str) -> dict[str, float]:
    """Mean oxidation state by symbol."""
    from pymatgen.core import Composition

    best = Composition(formula).oxi_state_guesses()[0]
    return {str(symbol): float(charge) for symbol, charge in best.items()}


def _alloy(rng: Random) -> dict[str, Any]:
    elements = rng.sample(
        ["Co", "Cr", "Fe", "Ni", "Mn", "Al", "Ti", "V", "Cu", "Mo", "Nb", "Zr"], rng.randint(4, 5)
    )
    return {"formula": "".join(f"{e}{rng.randint(1, 9)}" for e in elements)}


@BOOK.problem(
    "radius-mismatch",
    functions="With pymatgen's `Composition` and `Element.atomic_radius_calculated`, compute the "
    "mismatch of the alloy {formula}: 100 sqrt(sum of c_i (1 - r_i / r)^2), r the mean radius "
    "weighted by the atomic fractions c_i.",
    goal="How large is the atomic-size mismatch of the alloy {formula}, in percent? It is the "
    "root of the mean, by atomic fractions, of the squared relative deviations of the radii from "
    "their mean; take the calculated atomic radii of pymatgen's table.",
    answer_type="number",
    unit="%",
    tolerance=Tolerance(absolute=0.01),
    packages=("pymatgen",),
    draw=_alloy,
)
def radius_mismatch(formula: str) -> float:
    """Mismatch in percent."""
    from pymatgen.core import Composition

    shares = Composition(formula).fractional_composition
    radii = {element: float(element.atomic_radius_calculated) for element in shares}
    mean = sum(shares[element] * radius for element, radius in radii.items())
    spread = sum(shares[element] * (1 - radius / mean) ** 2 for element, radius in radii.items())
    return float(100 * spread**0.5)
