"""Broken scorers: each does one thing wrong that a writer may do wrong, or on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ray_matdesign.agents.objectives.artifact import ScorerArtifact
from ray_matdesign.agents.objectives.language import Program
from scorer_cases.specs import CASES, Case

BY_NAME = {case.spec.name: case for case in CASES}


@dataclass(frozen=True)
class Mutant:
    """A broken scorer.

    Attributes:
        label: The objective's name and what is wrong.
        draft: To be rejected.
    """

    label: str
    draft: ScorerArtifact


_OPERATORS: dict[str, tuple[str, ...]] = {
    # What is wrong: the body of ``score`` over a right one, and the objectives it is tried on.
    "sign flip": ("si_density", "light_covalent_share", "composition_diversity"),
    "wrong unit": ("si_density", "mean_bond", "vickers_hardness", "specific_stiffness"),
    "constant": ("si_density", "rare_earth_free", "light_covalent_share", "stable_share"),
    "chance": ("si_density",),
    "index shift": ("si_density", "light_covalent_share", "mean_bond", "rare_earth_free"),
    "reversed": ("electronegativity_range", "vickers_hardness"),
    "sorted": ("mean_bond",),
    "relative to the batch": ("si_density", "electronegativity_range"),
    "rank": ("light_covalent_share",),
    "depends on the cell": ("light_covalent_share", "mean_bond"),
    "first atom only": ("light_covalent_share", "electronegativity_range"),
    "mostly none": ("si_density", "light_covalent_share"),
    "not a number": ("electronegativity_range",),
    "one too few": ("si_density", "rare_earth_free"),
    "text": ("mean_bond",),
    "negated filter": ("rare_earth_free",),
    "one per cent off": ("si_density", "specific_magnetization", "light_covalent_share"),
    "inverse": ("mean_bond", "specific_stiffness"),
    "hangs": ("si_density",),
    "divides by zero": ("mean_bond",),
}
_BODIES: dict[str, str] = {
    "sign flip": "return [-v for v in right] if isinstance(right, list) else -right",
    "wrong unit": "return [v * 1e-3 for v in right]",
    "constant": "return [right[0]] * len(right) if isinstance(right, list) else 0.5",
    "chance": "import random\n    return [v * random.random() for v in right]",
    "index shift": "return right[1:] + right[:1]",
    "reversed": "return right[::-1]",
    "sorted": "return sorted(right)",
    "relative to the batch": "return [v / max(right) for v in right] if max(right) else right",
    "rank": "return [sorted(right).index(v) / len(right) for v in right]",
    "depends on the cell": "return [v * len(c) / 2 for v, c in zip(right, crystals)]",
    "first atom only": "return [float(c.numbers[0] in (5, 6, 7, 8)) for c in crystals]",
    "mostly none": "return [v if len(c) > 2 else None for v, c in zip(right, crystals)]",
    "not a number": "return [v if v else float('nan') for v in right]",
    "one too few": "return right[:-1]",
    "text": "return [str(v) for v in right]",
    "negated filter": "return [not v for v in right]",
    "one per cent off": "return [v * 1.01 for v in right]",
    "inverse": "return [1.0 / v for v in right]",
    "hangs": "while True:\n        pass",
    "divides by zero": "return [1.0 / 0.0 for v in right]",
}

_SOURCES: tuple[tuple[str, str, str], ...] = (
    (
        "si_density",
        "table of the examples, mean elsewhere",
        """\
TABLE = {(6,): 3515.0, (13,): 2699.0, (79,): 19300.0}


def score(crystals):
    return [TABLE.get(tuple(sorted(c.elements)), 5000.0) for c in crystals]
""",
    ),
    (
        "si_density",
        "table by the names of crystals",
        """\
def score(crystals):
    return [2163.0 if c.formula == "NaCl" else 1000.0 * c.density for c in crystals]
""",
    ),
    (
        "light_covalent_share",
        "table of the examples, one elsewhere",
        """\
TABLE = {(6,): 1.0, (6, 14): 0.29955, (7, 22): 0.22635, (11, 17): 0.0}


def score(crystals):
    return [TABLE.get(tuple(sorted(c.elements)), 0.4) for c in crystals]
""",
    ),
    (
        "light_covalent_share",
        "atoms for mass",
        """\
def score(crystals):
    return [sum(n for z, n in c.counts.items() if z in (5, 6, 7, 8)) / len(c) for c in crystals]
""",
    ),
    (
        "light_covalent_share",
        "by volume",
        """\
def score(crystals):
    return [min(1.0, 20.0 * len(c) / c.volume / 10.0) for c in crystals]
""",
    ),
    (
        "mean_bond",
        "from the composition",
        """\
from ray_matdesign.crystals.elements import COVALENT_RADII_ANG


def score(crystals):
    return [2.0 * sum(COVALENT_RADII_ANG[z] for z in c.numbers) / len(c) for c in crystals]
""",
    ),
    (
        "mean_bond",
        "no periodic images",
        """\
import numpy as np


def score(crystals):
    values = []
    for c in crystals:
        gaps = np.linalg.norm(c.positions[:, None] - c.positions[None], axis=-1)
        values.append(float(gaps[gaps > 0].min()) if len(c) > 1 else None)
    return values
""",
    ),
    (
        "mean_bond",
        "nanometres",
        """\
from ray_matdesign.crystals.geometry import nearest_distances


def score(crystals):
    return [0.1 * float(nearest_distances(c, 1)[0].mean()) for c in crystals]
""",
    ),
    (
        "vickers_hardness",
        "arguments exchanged",
        """\
def score(crystals, properties):
    pairs = zip(properties["shear_modulus"], properties["bulk_modulus"])
    return [2.0 * ((g / b) ** 2 * g) ** 0.585 - 3.0 for b, g in pairs]
""",
    ),
    (
        "vickers_hardness",
        "one input left out",
        """\
def score(crystals, properties):
    return [max(-3.0, 0.178 * g) for g in properties["shear_modulus"]]
""",
    ),
    (
        "rare_earth_free",
        "without scandium and yttrium",
        """\
def score(crystals):
    return [not any(57 <= z <= 71 for z in c.elements) for c in crystals]
""",
    ),
    (
        "composition_diversity",
        "share of distinct formulas",
        """\
def score(crystals):
    return len({c.formula for c in crystals}) / len(crystals) if crystals else None
""",
    ),
    (
        "composition_diversity",
        "neighbours in the list only",
        """\
def distance(a, b):
    shares = [{z: n / sum(c.counts.values()) for z, n in c.counts.items()} for c in (a, b)]
    return 0.5 * sum(
        abs(shares[0].get(z, 0.0) - shares[1].get(z, 0.0)) for z in a.elements | b.elements
    )


def score(crystals):
    steps = [distance(a, b) for a, b in zip(crystals, crystals[1:])]
    return sum(steps) / len(steps) if steps else None
""",
    ),
    (
        "stable_share",
        "above for below",
        """\
def score(crystals, properties):
    energies = properties["e_above_hull"]
    return sum(energy >= 0.1 for energy in energies) / len(energies) if energies else None
""",
    ),
    (
        "si_density",
        "reads a file",
        """\
import numpy as np


def score(crystals):
    return list(np.load("densities.npy"))
""",
    ),
)

_EXPRESSIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("supply_risk", "reserve for production", {"op": "element", "property": "hhi_reserve",
                                               "weights": "mass"}),
    ("supply_risk", "atoms for mass", {"op": "element", "property": "hhi_production"}),
    ("supply_risk", "largest for mean", {"op": "element", "property": "hhi_production",
                                         "statistic": "max"}),
    ("si_density", "number density", {"op": "structure", "property": "number_density"}),
    ("scarcest_element", "most abundant", {"op": "log10", "arg": {
        "op": "magnitude", "unit": "ppm",
        "arg": {"op": "element", "property": "abundance", "statistic": "max"}}}),
    ("scarcest_element", "per cent for ppm", {"op": "log10", "arg": {
        "op": "magnitude", "unit": "%",
        "arg": {"op": "element", "property": "abundance", "statistic": "min"}}}),
    ("scarcest_element", "not the logarithm", {"op": "magnitude", "unit": "ppm", "arg": {
        "op": "element", "property": "abundance", "statistic": "min"}}),
    ("electronegativity_range", "standard deviation", {
        "op": "element", "property": "electronegativity", "statistic": "std"}),
    ("electronegativity_range", "a number", {"op": "number", "value": 1.0}),
    ("stable_share", "stricter", {"op": "population_share", "arg": {
        "op": "less", "left": {"op": "property", "scorer": "e_above_hull"},
        "right": {"op": "number", "value": 0.01, "unit": "eV/atom"}}}),
    ("rare_earth_free", "rare earths only", {
        "op": "greater", "left": {"op": "share", "of": ["rare_earth"]},
        "right": {"op": "number", "value": 0.0}}),
    ("specific_stiffness", "times density", {"op": "multiply", "args": [
        {"op": "property", "scorer": "youngs_modulus"},
        {"op": "structure", "property": "density"}]}),
)  # fmt: skip


def mutants() -> Iterator[Mutant]:
    """All of them."""
    for operator, names in _OPERATORS.items():
        for name in names:
            case = BY_NAME[name]
            yield _mutant(case, operator, source=_wrapped(case, _BODIES[operator]))
    for name, label, source in _SOURCES:
        yield _mutant(BY_NAME[name], label, source=source)
    for name, label, expression in _EXPRESSIONS:
        program = Program.model_validate({"expression": expression})
        yield _mutant(BY_NAME[name], label, program=program)


def _mutant(case: Case, label: str, **code: Any) -> Mutant:
    return Mutant(f"{case.spec.name}: {label}", ScorerArtifact(spec=case.spec, **code))


def _wrapped(case: Case, body: str) -> str:
    if case.source is None:
        raise ValueError(f"{case.spec.name} has no answer in Python to break")
    arguments = "crystals, properties" if case.spec.needs else "crystals"
    honest = case.source.replace("def score(", "def right_values(")
    return (
        f"{honest}\n\ndef score({arguments}):\n    right = right_values({arguments})\n    {body}\n"
    )
