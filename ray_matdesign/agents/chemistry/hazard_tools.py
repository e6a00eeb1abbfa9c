"""Tools for hazards of substances and mixtures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ray_matdesign.agents.chemistry.arguments import Answer, Arguments, Text
from ray_matdesign.agents.chemistry.hazards import SOURCE, clashes, hazards_of
from ray_matdesign.agents.chemistry.substances import resolve
from ray_matdesign.agents.tools.protocol import Tool


class Substances(Arguments):
    """Substances to look up."""

    substances: list[Text] = Field(
        min_length=1, max_length=20, description="common names, formulas or SMILES"
    )


class Statement(Answer):
    """A hazard statement of the GHS."""

    code: str
    text: str


class SubstanceHazards(Answer):
    """What is known of a substance's hazards."""

    substance: str
    known_as: str
    """Name in the packaged table; empty where it has none."""
    statements: tuple[Statement, ...]
    basis: str
    """``substance``, ``group`` or ``unknown``; unknown does not mean harmless."""
    notes: tuple[str, ...]


class HazardList(Answer):
    """Hazards of each substance."""

    hazards: tuple[SubstanceHazards, ...]
    source: str


class Incompatibility(Answer):
    """Two substances that must not meet."""

    first: str
    second: str
    consequence: str
    why: str


class Incompatibilities(Answer):
    """Pairs that must not meet."""

    found: tuple[Incompatibility, ...]
    unclassified: tuple[str, ...]
    """Substances about which nothing is known here: an empty list says nothing of them."""


def hazard_tools() -> list[Tool[Any, Any]]:
    """Hazard statements and incompatibilities."""
    return [
        Tool(
            "substance_hazards",
            "GHS hazard statements of substances from a packaged table (the harmonised minimum "
            "classification; a safety data sheet may say more).",
            Substances,
            HazardList,
            _hazards,
        ),
        Tool(
            "check_incompatibilities",
            "Which of several substances must not be mixed or stored together, and what would "
            "happen.",
            Substances,
            Incompatibilities,
            _clashes,
        ),
    ]


def _hazards(asked: Substances) -> HazardList:
    told = []
    for text in asked.substances:
        substance = resolve(text)
        hazards = hazards_of(substance)
        notes = hazards.notes
        if substance.candidates:
            names = ", ".join(substance.candidates)
            notes += (f"a formula alone does not say which substance it is; known: {names}",)
        told.append(
            SubstanceHazards(
                substance=text,
                known_as=substance.entry.name if substance.entry else "",
                statements=tuple(Statement(code=h.code, text=h.text) for h in hazards.statements),
                basis=hazards.basis,
                notes=notes,
            )
        )
    return HazardList(hazards=tuple(told), source=SOURCE)


def _clashes(asked: Substances) -> Incompatibilities:
    substances = [resolve(text) for text in asked.substances]
    return Incompatibilities(
        found=tuple(
            Incompatibility(first=c.first, second=c.second, consequence=c.consequence, why=c.why)
            for c in clashes(substances)
        ),
        unclassified=tuple(s.text for s in substances if s.entry is None and not s.smiles),
    )
