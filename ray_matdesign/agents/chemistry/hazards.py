"""Hazards: GHS statements of substances, and what must not meet what.

Codes, written down by hand, are the harmonised minimum classification of Annex VI of the CLP
Regulation (EC) 1272/2008, which carries the UN's Globally Harmonised System into European law.
Annex VI covers a small part of all substances, suppliers' sheets often say more, and amounts,
concentration and dust matter: an answer here is where to begin, never a licence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from ray_matdesign.agents.chemistry.molecules import functional_groups, parse_smiles
from ray_matdesign.agents.chemistry.substances import Substance

SOURCE = "UN GHS hazard statements; CLP Regulation (EC) 1272/2008, Annex VI"
STATEMENTS = Path(__file__).parent / "data" / "hazard_statements.tsv"


@dataclass(frozen=True)
class _Group:
    """An entry of Annex VI that stands for all compounds of an element."""

    element: str
    what: str
    codes: tuple[str, ...]
    spared: frozenset[str] = frozenset()


def _group(element: str, what: str, codes: str, *spared: str) -> _Group:
    return _Group(element, what, tuple(codes.split()), frozenset(spared))


_GROUPS = (
    _group("Pb", "lead compounds", "H360Df H332 H302 H373 H400 H410"),
    _group("Cd", "cadmium compounds", "H332 H312 H302 H400 H410"),
    _group("Hg", "inorganic compounds of mercury", "H330 H310 H300 H373 H400 H410", "HgS"),
    _group("As", "arsenic compounds", "H331 H301 H400 H410"),
    _group("Be", "beryllium compounds",
           "H350i H330 H301 H372 H319 H335 H315 H317 H411"),
    _group("Tl", "thallium compounds", "H330 H300 H373 H411"),
    _group("Ba", "barium salts", "H332 H302", "BaO4S"),
    _group("Se", "selenium compounds", "H331 H301 H373 H400 H410"),
    _group("Sb", "antimony compounds", "H332 H302 H411", "O4Sb2", "O5Sb2", "S3Sb2", "S5Sb2"),
    _group("U", "uranium compounds", "H330 H300 H373 H411"),
)  # fmt: skip
"""Compounds of these elements that have no entry of their own."""


@dataclass(frozen=True)
class Hazard:
    """One statement.

    Attributes:
        code: Such as ``H314``.
        text: Its wording.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Hazards:
    """What is known of a substance's hazards.

    Attributes:
        statements: Empty where nothing is known, and where it is known that none is needed.
        basis: ``substance``, ``group`` (compounds of an element) or ``unknown``.
        notes: What to make of them.
    """

    statements: tuple[Hazard, ...]
    basis: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Clash:
    """Two substances that must not meet.

    Attributes:
        first: One of them.
        second: The other.
        consequence: What happens.
        why: The classes that say so.
    """

    first: str
    second: str
    consequence: str
    why: str


def hazards_of(substance: Substance) -> Hazards:
    """Statements of a substance, or of the compounds of its elements."""
    entry = substance.entry
    if entry is not None and entry.classified:
        notes = () if entry.hazards else ("commonly not classified as hazardous",)
        return Hazards(_statements(entry.hazards), "substance", notes)
    groups = [group for group in _GROUPS if _belongs(substance, group)]
    if groups:
        codes = dict.fromkeys(code for group in groups for code in group.codes)
        told = ", ".join(group.what for group in groups)
        return Hazards(
            _statements(tuple(codes)), "group", (f"from the entries for {told}, not its own",)
        )
    return Hazards(
        (), "unknown", ("nothing is on record here, which does not mean that it is harmless",)
    )


def clashes(substances: Sequence[Substance]) -> list[Clash]:
    """Pairs among substances whose classes must not meet."""
    found = []
    for first, second in combinations(substances, 2):
        one, other = classes_of(first), classes_of(second)
        for left, right, consequence in _INCOMPATIBLE:
            if (left in one and right in other) or (right in one and left in other):
                found.append(Clash(first.text, second.text, consequence, f"{left} with {right}"))
    return found


def classes_of(substance: Substance) -> frozenset[str]:
    """What a substance does in mixtures, by the table and by its groups."""
    classes = set(substance.entry.classes) if substance.entry is not None else set()
    if substance.smiles:
        groups = functional_groups(parse_smiles(substance.smiles))
        classes |= {kind for name, kind in _CLASS_OF_GROUP.items() if name in groups}
    symbols = set(substance.formula.counts)
    if len(symbols) > 1:
        classes |= {f"{symbol} salt" for symbol in symbols & _AZIDE_PARTNERS}
    return frozenset(classes)


@cache
def statement_texts() -> Mapping[str, str]:
    """Wording by code."""
    lines = STATEMENTS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def _statements(codes: Sequence[str]) -> tuple[Hazard, ...]:
    return tuple(Hazard(code, statement_texts()[code]) for code in codes)


def _belongs(substance: Substance, group: _Group) -> bool:
    counts = substance.formula.counts
    return (
        len(counts) > 1 and group.element in counts and substance.formula.hill not in group.spared
    )


_AZIDE_PARTNERS = frozenset({"Pb", "Ag", "Cu", "Hg", "Cd"})
_CLASS_OF_GROUP = {
    "carboxylic acid": "acid", "sulfonic acid": "acid", "acyl halide": "acyl-halide",
    "alcohol": "alcohol", "ketone": "ketone", "peroxide": "peroxide", "azide": "azide",
    "primary amine": "amine", "secondary amine": "amine", "tertiary amine": "amine",
    "isocyanate": "acyl-halide", "organometallic bond": "water-reactive",
}  # fmt: skip

_INCOMPATIBLE = (
    ("strong-acid", "strong-base", "violent heat; it may boil and spatter"),
    ("acid", "strong-base", "heat"),
    ("strong-acid", "base", "heat"),
    ("acid", "cyanide", "hydrogen cyanide, a deadly gas"),
    ("acid", "sulfide", "hydrogen sulfide, a deadly gas"),
    ("acid", "hypochlorite", "chlorine, a toxic gas"),
    ("acid", "azide", "hydrazoic acid, toxic and explosive"),
    ("acid", "chlorate", "chlorine dioxide, explosive"),
    ("acid", "nitrite", "nitrogen oxides, toxic gases"),
    ("acid", "sulfite", "sulfur dioxide, a toxic gas"),
    ("acid", "carbonate", "carbon dioxide: foam, and pressure in a closed vessel"),
    ("acid", "metal-powder", "hydrogen, flammable"),
    ("acid", "hydride", "hydrogen, violently"),
    ("acid", "alkali-metal", "hydrogen, violently"),
    ("strong-acid", "permanganate", "unstable manganese heptoxide"),
    ("hypochlorite", "ammonia", "chloramines, toxic gases"),
    ("hypochlorite", "ammonium", "chloramines, toxic gases"),
    ("hypochlorite", "amine", "chloramines, toxic"),
    ("halogen", "ammonia", "unstable nitrogen halides"),
    ("oxidiser", "flammable", "fire or explosion"),
    ("oxidiser", "reducer", "fire or explosion"),
    ("oxidiser", "alcohol", "fire"),
    ("oxidiser", "hydride", "fire or explosion"),
    ("oxidiser", "cyanide", "violent oxidation"),
    ("oxidiser", "sulfide", "fire or explosion"),
    ("peroxide", "ketone", "unstable peroxides"),
    ("chlorate", "ammonium", "unstable ammonium chlorate"),
    ("nitrite", "ammonium", "decomposition with much gas"),
    ("nitrite", "amine", "nitrosamines, carcinogenic"),
    ("water-reactive", "water", "violent reaction, heat and often flammable or toxic gas"),
    ("water-reactive", "alcohol", "violent reaction"),
    ("water-reactive", "acid", "violent reaction"),
    ("acyl-halide", "water", "hydrogen chloride or other toxic gas, heat"),
    ("acyl-halide", "alcohol", "heat and toxic gas"),
    ("acyl-halide", "amine", "violent heat"),
    ("acyl-halide", "strong-base", "violent reaction"),
    ("alkali-metal", "halogenated-solvent", "explosion"),
    ("metal-powder", "halogenated-solvent", "violent reaction"),
    ("strong-base", "halogenated-solvent", "violent reaction"),
    ("strong-base", "metal-powder", "hydrogen, flammable"),
    ("azide", "halogenated-solvent", "explosive organic azides"),
    *(("azide", f"{metal} salt", "azides that explode when touched") for metal in
      sorted(_AZIDE_PARTNERS)),
    ("ammonia", "silver", "residues that explode when dry"),
    ("acetylene", "silver", "acetylides that explode when touched"),
    ("acetylene", "Cu salt", "acetylides that explode when touched"),
    ("pyrophoric", "oxidiser", "fire or explosion"),
)  # fmt: skip
"""Two classes and what comes of them."""
