"""Whether an objective is computed already, by what it is and not by what it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ray_matdesign.agents.objectives.artifact import ScorerArtifact
from ray_matdesign.agents.objectives.canonical import (
    canonical_formula,
    canonical_quantity,
    canonical_unit,
    quantity_words,
)
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.language import Property
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.samples import sample
from ray_matdesign.agents.objectives.scorer import path_of
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.agents.objectives.units import Unit
from ray_matdesign.potentials.protocol import Failed

RELATED_FROM = 0.5
"""Share of words two quantities must have in common, of the words either has."""
PROPOSAL_EXAMPLES = 2
"""Examples with a value that a proposed match has to meet, as it rests on no definition."""

Measure = Callable[[str, Batch], Sequence[float | Failed]]
"""Values of a registered scorer, by its name."""
Proposer = Callable[[ObjectiveSpec, Sequence["Entry"]], str | None]
"""Picks the name of an entry that may be the same quantity in other words, or none."""


class Relation(StrEnum):
    """How an objective stands to the scorers there are."""

    REUSE = "reuse"
    RELATED = "related"
    NEW = "new"


@dataclass(frozen=True)
class Entry:
    """A scorer that objectives may be matched with.

    Attributes:
        name: Unique.
        spec: What it computes.
        scorer: What a term of an objective names: an entry of ``SCORERS`` or an import path.
        options: Of that term.
        either_way: Whether the spec's direction is no part of the scorer, as for a property of
            the package; a written scorer belongs to the direction it was written for.
    """

    name: str
    spec: ObjectiveSpec
    scorer: str
    options: tuple[tuple[str, Any], ...] = ()
    either_way: bool = False


@dataclass(frozen=True)
class Match:
    """What was found.

    Attributes:
        relation: What may be done with the entry.
        entry: The scorer to reuse, or the nearest relative; ``None`` for what is new.
        reason: In one line.
    """

    relation: Relation
    entry: Entry | None
    reason: str


def builtin_entries() -> list[Entry]:
    """The package's own scorers."""
    return [Entry(name, _builtin(name), name, either_way=True) for name in REGISTERED]


def written_entry(artifact: ScorerArtifact, path: Path) -> Entry:
    """A scorer that was written and registered."""
    options = (("artifact", str(path)),)
    return Entry(
        f"{artifact.spec.name}-{artifact.hash[:16]}",
        artifact.spec,
        path_of(artifact.spec.name),
        options,
    )


def match(
    spec: ObjectiveSpec,
    entries: Sequence[Entry],
    proposer: Proposer | None = None,
    measure: Measure | None = None,
) -> Match:
    """Looks for a scorer of an objective: by hash, then by structure, then by proposal.

    Args:
        spec: The objective.
        entries: The scorers there are; of several that fit, the first is taken.
        proposer: Asked where nothing fits, a language model for one. It proposes only: the entry
            must agree in kind, direction, unit and inputs, and meet the objective's examples.
        measure: To meet the examples with; without it, no proposal is taken.
    """
    found = [(compare(spec, entry), entry) for entry in entries]
    for (relation, reason), entry in found:
        if relation is Relation.REUSE:
            return Match(relation, entry, reason)
    if proposer is not None and measure is not None:
        proposed = _proposal(spec, entries, proposer, measure)
        if proposed is not None:
            return proposed
    for (relation, reason), entry in found:
        if relation is Relation.RELATED:
            return Match(relation, entry, reason)
    return Match(Relation.NEW, None, "no scorer of this quantity")


def compare(spec: ObjectiveSpec, entry: Entry) -> tuple[Relation, str]:
    """How an objective stands to one scorer, with the reason."""
    other = entry.spec
    same = _same_quantity(spec, other) or (entry.either_way and _names(spec) == entry.scorer)
    differences = _differences(spec, entry)
    if same and not differences:
        by_hash = spec.hash == other.hash
        return Relation.REUSE, "the same definition" if by_hash else "the same in other words"
    if same or _kindred(spec, other):
        # A unit apart, a direction apart: near, and yet wrong to use.
        return Relation.RELATED, "; ".join(differences) or "a kindred quantity"
    return Relation.NEW, "another quantity"


def _same_quantity(spec: ObjectiveSpec, other: ObjectiveSpec) -> bool:
    if spec.formula is not None and other.formula is not None:
        return bool(canonical_formula(spec.formula) == canonical_formula(other.formula))
    if (spec.formula is None) != (other.formula is None):
        # Words against a formula: they may or may not mean it.
        return False
    mine, theirs = spec.definition, other.definition
    return bool(mine["quantity"] == theirs["quantity"] and mine["numbers"] == theirs["numbers"])


def _differences(spec: ObjectiveSpec, entry: Entry) -> list[str]:
    other = entry.spec
    found = []
    if spec.kind != other.kind:
        found.append(f"a {other.kind}, and a {spec.kind} is wanted")
    elif spec.direction != other.direction and not entry.either_way:
        found.append(f"it is to {other.direction}, and the objective to {spec.direction}")
    if canonical_unit(spec.unit) != canonical_unit(other.unit):
        found.append(f"its unit is {other.unit or 'none'}, not {spec.unit or 'none'}")
    if not _inputs_agree(spec, entry):
        found.append(f"it depends on {', '.join(other.inputs)}, not {', '.join(spec.inputs)}")
    if spec.intensive != other.intensive:
        found.append("one is intensive, the other is not")
    return found


def _inputs_agree(spec: ObjectiveSpec, entry: Entry) -> bool:
    mine, theirs = set(spec.inputs), set(entry.spec.inputs)
    if entry.either_way:
        # A property of the package may be named as its own input, and whoever says structure of it
        # means the atoms as well.
        return mine in (theirs, {entry.scorer}, theirs - {"composition"})
    return mine == theirs


def _kindred(spec: ObjectiveSpec, other: ObjectiveSpec) -> bool:
    if canonical_quantity(spec.quantity) == canonical_quantity(other.quantity):
        return True
    mine, theirs = quantity_words(spec.quantity), quantity_words(other.quantity)
    alike = len(mine & theirs) / len(mine | theirs) >= RELATED_FROM
    return alike and Unit.parse(spec.unit).like(Unit.parse(other.unit))


def _proposal(
    spec: ObjectiveSpec, entries: Sequence[Entry], proposer: Proposer, measure: Measure
) -> Match | None:
    fit = [entry for entry in entries if not _differences(spec, entry) and entry.either_way]
    examples = [example for example in spec.examples if example.value is not None]
    if not fit or len(examples) < PROPOSAL_EXAMPLES or spec.kind != "candidate":
        return None
    name = proposer(spec, fit)
    entry = next((one for one in fit if one.name == name), None)
    if entry is None:
        return None
    batch = Batch(tuple(sample(example.crystals[0]) for example in examples))
    for example, value in zip(examples, measure(entry.scorer, batch), strict=True):
        if isinstance(value, Failed) or abs(value - (example.value or 0.0)) > example.tolerance:
            return None
    return Match(Relation.REUSE, entry, f"proposed, and it meets {len(examples)} examples")


def _builtin(name: str) -> ObjectiveSpec:
    one = REGISTERED[name]
    return ObjectiveSpec(
        name=name,
        description=f"The package's own {name.replace('_', ' ')}.",
        kind="candidate",
        direction="maximize",
        quantity=name.replace("_", " "),
        unit=one.unit,
        inputs=one.inputs,
    )


def _names(spec: ObjectiveSpec) -> str | None:
    """The registered scorer that a formula does nothing but name."""
    return spec.formula.scorer if isinstance(spec.formula, Property) else None
