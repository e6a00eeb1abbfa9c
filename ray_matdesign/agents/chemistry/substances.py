"""Substances by name, formula or SMILES, from a packaged table of common ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ray_matdesign.agents.chemistry.formulas import (
    NONMETALS,
    Formula,
    InvalidFormula,
    parse_formula,
)
from ray_matdesign.agents.chemistry.molecules import (
    InvalidMolecule,
    canonical_smiles,
    element_counts,
    parse_smiles,
)
from ray_matdesign.agents.chemistry.refusals import screen_formula, screen_molecule, screen_text
from ray_matdesign.agents.tools.protocol import ToolError

TABLE = Path(__file__).parent / "data" / "substances.tsv"
NOT_CLASSIFIED = "none"
"""In the table's column of hazards: commonly not classified as hazardous."""

Kind = Literal["auto", "name", "formula", "smiles"]
_COLUMNS = ("name", "synonyms", "formula", "smiles", "hazards", "classes")


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        name: The first of its names.
        synonyms: The others.
        formula: As parsed.
        smiles: Canonical where RDKit is there to say so; empty where the table has none.
        hazards: Codes of hazard statements.
        classified: Whether its hazards, none of them perhaps, are known.
        classes: What it does in mixtures, such as ``acid`` or ``oxidiser``.
    """

    name: str
    synonyms: tuple[str, ...]
    formula: Formula
    smiles: str
    hazards: tuple[str, ...]
    classified: bool
    classes: frozenset[str]


@dataclass(frozen=True)
class Substance:
    """What a text was taken for.

    Attributes:
        text: As given.
        read_as: ``name``, ``formula`` or ``smiles``.
        formula: Its atoms.
        smiles: Canonical; empty where unknown.
        entry: Its row; ``None`` for what the table does not hold.
        candidates: Names of the table's substances with the same formula, where a formula alone
            does not say which it is.
        note: What else the text could mean.
    """

    text: str
    read_as: str
    formula: Formula
    smiles: str
    entry: Entry | None
    candidates: tuple[str, ...] = ()
    note: str = ""


def resolve(text: str, kind: Kind = "auto") -> Substance:
    """Finds out what a text stands for; names first, then formulas, then SMILES.

    Args:
        text: ``baking soda``, ``NaHCO3`` or ``CC(=O)O``.
        kind: What it is, where the order would guess wrong: ``CO`` is carbon monoxide as a formula
            and methanol as a SMILES.

    Raises:
        Refused: It is a chemical weapon or an explosive.
        ToolError: It is nothing of the kind.
    """
    screen_text(text)
    if kind in {"auto", "name"} and (entry := _by_name().get(plain_name(text))):
        return Substance(text, "name", entry.formula, _canonical(entry.smiles), entry)
    if kind == "name":
        raise ToolError(
            f"{text!r} is not among the {len(entries())} substances known by name: give its "
            "formula or SMILES"
        )
    if kind in {"auto", "formula"}:
        try:
            return _of_formula(text, also_smiles=kind == "auto" and _is_smiles(text))
        except InvalidFormula as error:
            if kind == "formula":
                raise
            not_a_formula = str(error)
    try:
        return _of_smiles(text)
    except InvalidMolecule as error:
        if kind == "smiles":
            raise
        raise ToolError(f"{text!r} is no name known here; {not_a_formula}; {error}") from error


def substance_formula(text: str) -> Formula:
    """The formula of what is known by name, or a formula itself.

    Raises:
        Refused: It is a chemical weapon or an explosive.
        InvalidFormula: It is neither.
    """
    screen_text(text)
    if entry := _by_name().get(plain_name(text)):
        return entry.formula
    formula = parse_formula(text)
    screen_formula(formula)
    return formula


@cache
def entries() -> tuple[Entry, ...]:
    """The table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    if tuple(lines[0].split("\t")) != _COLUMNS:
        raise ValueError(f"{TABLE}: expected the columns {', '.join(_COLUMNS)}")
    return tuple(_entry(line) for line in lines[1:])


def plain_name(text: str) -> str:
    """Lower case, one space between words, the American spellings of a few elements."""
    words = re.sub(r"\s+", " ", text.strip().lower()).replace("sulph", "sulf")
    return words.replace("aluminum", "aluminium").replace("cesium", "caesium")


def _entry(line: str) -> Entry:
    name, synonyms, formula, smiles, hazards, classes = line.split("\t")
    return Entry(
        name=name,
        synonyms=tuple(synonym for synonym in synonyms.split(";") if synonym),
        formula=parse_formula(formula),
        smiles=smiles,
        hazards=() if hazards == NOT_CLASSIFIED else tuple(hazards.split()),
        classified=bool(hazards),
        classes=frozenset(classes.split()),
    )


@cache
def _by_name() -> Mapping[str, Entry]:
    return {plain_name(name): e for e in entries() for name in (*e.synonyms, e.name)}


@cache
def _by_smiles() -> Mapping[str, Entry]:
    return {_canonical(entry.smiles): entry for entry in reversed(entries()) if entry.smiles}


def _canonical(smiles: str) -> str:
    return canonical_smiles(parse_smiles(smiles)) if smiles else ""


def _of_formula(text: str, *, also_smiles: bool) -> Substance:
    formula = parse_formula(text)
    screen_formula(formula)
    same = [entry for entry in entries() if entry.formula.key == formula.key]
    note = ""
    if also_smiles:
        note = f"read as a formula; as a SMILES it would be {canonical_smiles(parse_smiles(text))}"
    # A formula with carbon and hydrogen and no metal has isomers that the table does not hold.
    isomers = {"C", "H"} <= set(formula.counts) <= NONMETALS
    if len(same) == 1 and not isomers:
        only = same[0]
        return Substance(text, "formula", formula, _canonical(only.smiles), only, note=note)
    names = tuple(entry.name for entry in same)
    return Substance(text, "formula", formula, "", None, names, note)


def _is_smiles(text: str) -> bool:
    try:
        parse_smiles(text)
    except ToolError:
        return False
    return True


def _of_smiles(text: str) -> Substance:
    molecule = parse_smiles(text)
    screen_molecule(molecule)
    smiles = canonical_smiles(molecule)
    charge = sum(atom.GetFormalCharge() for atom in molecule.GetAtoms())
    body = "".join(f"{symbol}{n}" for symbol, n in element_counts(molecule).items())
    formula = parse_formula(f"{body}^{abs(charge)}{'+' if charge > 0 else '-'}" if charge else body)
    return Substance(text, "smiles", formula, smiles, _by_smiles().get(smiles))
