"""What a language model is asked when a scorer is to be written."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ray_matdesign.agents.llm.protocol import Message, Request
from ray_matdesign.agents.objectives.groups import GROUPS
from ray_matdesign.agents.objectives.language import schema
from ray_matdesign.agents.objectives.matching import Entry
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.objectives.static_check import MODULES
from ray_matdesign.config.settings import Settings

VERSION = "1"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_LANGUAGE = f"""\
You write scorers for inorganic crystals as a JSON expression. An expression is an object with "op":
number {{value, unit}}; element {{property, statistic, weights}}; share {{of, weights}}: share
of atoms or mass that elements have; count {{of}}; composition_distance {{formula}}; structure
{{property}}; property {{scorer}}: value of a registered scorer; add, multiply, minimum, maximum
{{args}}; subtract, divide {{left, right}}; power {{arg, exponent}}; sqrt, log, log10, exp,
absolute, negate {{arg}}; clip {{arg, low, high}}; magnitude {{arg, unit}}: number of a quantity
in a unit; quantity {{arg, unit}}: number given a unit; less, at_most, greater, at_least, equal
{{left, right}}; all, any {{args}}; not {{arg}}; where {{condition, then, otherwise}};
population_mean, population_std, population_min, population_max {{arg}}; population_share
{{arg}}: share that a condition holds for; population_diversity {{}}.
Units are checked: only like is added to like or compared, logarithms take pure numbers, and the
result must be in the objective's unit. A filter is a condition. A population objective is one value
for all crystals.
Groups of elements: {", ".join(GROUPS)}; symbols of elements work as well.
Registered scorers: {", ".join(f"{n} [{one.unit or '1'}]" for n, one in REGISTERED.items())}.
Answer with the JSON object {{"version": 1, "expression": ...}} alone."""

_PYTHON = f"""\
You write scorers for inorganic crystals in Python. Define one function SIGNATURE that RETURNS, and
that gives None where a crystal has no meaningful value. It must not depend on the order of
crystals or atoms, on chance, time or files, and a supercell must score as its cell does.
A crystal has: lattice (3x3 array, rows, Angstrom), frac_coords (n x 3), positions (n x 3,
Angstrom), numbers (n atomic numbers), counts (dict atomic number -> atoms in the cell),
elements (frozenset of atomic numbers), formula, volume (Angstrom^3), density (g/cm3),
len(crystal).
You may import only: {", ".join(sorted(MODULES))}.
ray_matdesign.crystals.elements has SYMBOLS, ATOMIC_NUMBERS (by symbol), and by atomic number
ATOMIC_MASSES_AMU, ELECTRONEGATIVITIES (0 where there is none), COVALENT_RADII_ANG.
ray_matdesign.crystals.geometry has min_distance(crystal), nearest_contacts(crystal) and
nearest_distances(crystal, k).
Only imports, constants and functions may stand at the top of the module; no classes, no names or
attributes that start with an underscore. Answer with one ```python block and nothing else."""

_MATCH = """\
You compare an objective with a list of scorers. Name the scorer that computes the same physical
quantity, or none if no scorer does. A similar quantity is not the same quantity.
Answer with the JSON object {"scorer": "NAME"} or {"scorer": null} alone."""


class MatchAnswer(Settings):
    """A match, as a model proposes."""

    scorer: str | None
    """Name of an entry, or none."""


def declarative_request(spec: ObjectiveSpec, seed: int = 0) -> Request:
    """Asks for a program of the scorer language."""
    return _request("implementer.declarative", _LANGUAGE, _described(spec), schema(), 1024, seed)


def python_request(spec: ObjectiveSpec, seed: int = 0) -> Request:
    """Asks for a scorer in Python, as text that holds a block of it."""
    arguments = "crystals, properties" if spec.needs else "crystals"
    returns = {
        "candidate": "returns a list of one number for each crystal",
        "filter": "returns a list of True or False for each crystal",
        "population": "returns one number for all crystals together",
    }[spec.kind]
    system = _PYTHON.replace("SIGNATURE", f"score({arguments})").replace("RETURNS", returns)
    if spec.needs:
        system += f"\nproperties is a dict of lists, one number a crystal: {', '.join(spec.needs)}."
    return _request("implementer.python", system, _described(spec), None, 2048, seed)


def match_request(spec: ObjectiveSpec, entries: Sequence[Entry], seed: int = 0) -> Request:
    """Asks which entry, if any, is the same quantity."""
    listed = "\n".join(f"- {e.name}: {e.spec.quantity} [{e.spec.unit or '1'}]" for e in entries)
    user = f"Objective:\n{_described(spec)}\n\nScorers:\n{listed}"
    answer = MatchAnswer.model_json_schema()
    return _request("matcher", _MATCH, user, answer, 128, seed)


def _described(spec: ObjectiveSpec) -> str:
    told = spec.model_dump(
        mode="json",
        include={
            "name", "description", "kind", "direction", "quantity", "unit", "range", "method",
            "inputs", "intensive",
        },
    )  # fmt: skip
    told["examples"] = [one.model_dump(mode="json") for one in spec.shown]
    return json.dumps(told, indent=1)


def _request(
    purpose: str, system: str, user: str, answer: dict[str, object] | None, tokens: int, seed: int
) -> Request:
    messages = (Message("system", system), Message("user", user))
    return Request(purpose, VERSION, messages, answer, max_tokens=tokens, seed=seed)
