"""Words of questions and of names, brought to one form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any, Literal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SHORTEST_STEM = 4

# From the longest; what is left must have four letters.
_ENDINGS = (
    "izations", "isations", "ization", "isation", "ivities", "ivity", "ically", "ations",
    "itions", "ation", "ition", "ators", "ments", "izing", "ising", "ized", "ised", "izes", "ises",
    "ator",
    "ment", "ions", "ings", "ical", "ally", "ance", "ence", "ive", "ize", "ise", "ion", "ing",
    "ies",
    "ers", "ors", "ism", "ic", "al", "ly", "ed", "er", "or", "es", "y", "e", "s",
)  # fmt: skip

_SPELLING = ((re.compile(r"(?<=[a-z]{3})our(?=s|$|[a-z])"), "or"), (re.compile(r"tre$"), "ter"))

STOP = frozenset(
    """a about above all an and any are as at be been both but by can could do does down each every
    for from get gets give given has have having how i if in into is it its just last least let like
    make many me more most much my need no not of off on one only or other our out over own
    same set should so some such take tell than that the their them then there these they this those
    through to too turn up use used user using very want was what when where whether which while
    who whatever whose will with without would you your""".split()  # noqa: SIM905 - read as a text
)
"""Words of questions that tell nothing."""


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """A word without its ending, in American spelling: ``symmetr`` for symmetry and symmetrise."""
    for pattern, replacement in _SPELLING:
        word = pattern.sub(replacement, word)
    if len(word) > 4 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for _ in range(2):  # vibrational, vibration
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
                word = word[: -len(ending)]
                break
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aels":
        word = word[:-1]
    return word


def pieces(name: str) -> list[str]:
    """Parts of a name, in lower case: ``xrd`` and ``calculator`` of ``XRDCalculator``."""
    return [piece.lower() for piece in _PIECES.findall(name)]


def name_words(name: str) -> str:
    """A dotted name as words to be found by: its parts whole, and what they are made of."""
    words: list[str] = []
    for part in name.split("."):
        split = pieces(part)
        words += [stem(one) for one in split]
        if len(split) > 1:
            words += [part.lower(), "".join(split)]
    return " ".join(words)


def text_words(text: str) -> str:
    """A text as words to be found by, names within it whole and split."""
    words: list[str] = []
    for name in re.findall(r"[A-Za-z0-9_]+", text):
        split = pieces(name)
        words += [stem(one) for one in split]
        if len(split) > 1 and _NAME.fullmatch(name):
            words.append(name.lower())
    return " ".join(words)


@dataclass(frozen=True)
class Concept:
    """Something that a question asks for.

    Attributes:
        word: Stem that was asked for.
        others: Stems that may be written for it.
        origin: Whether it was ``asked`` for, or is two words of the question ``joined`` into one,
            or what several of its words together ``meant``.
    """

    word: str
    others: tuple[str, ...] = ()
    origin: Literal["asked", "joined", "meant"] = "asked"


def question_words(question: str) -> list[Concept]:
    """What a question asks for, in its order; what it implies comes last."""
    tokens: list[str] = []
    for name in re.findall(r"[A-Za-z0-9_.]+", question):
        tokens += pieces(name)
        tokens += [part.lower() for part in name.split(".") if len(pieces(part)) > 1]
    kept = [token for token in tokens if token not in STOP and (len(token) > 1 or token.isdigit())]
    concepts = {one: Concept(one, synonyms().get(one, ())) for one in map(stem, kept)}
    said = {stem(token) for token in tokens}
    for phrase, also in phrases():
        if phrase <= said:
            concepts.setdefault(also[0], Concept(also[0], also[1:], "meant"))
    for first, second in pairwise(kept):
        if first.isalpha() and second.isalpha():
            concepts.setdefault(first + second, Concept(first + second, (), "joined"))
    return list(concepts.values())


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """Stems by stem, of the field's vocabulary."""
    found: dict[str, tuple[str, ...]] = {}
    for group in _thesaurus()["words"]:
        stems = list(dict.fromkeys(stem(word.lower()) for word in group))
        for one in stems:
            others = [other for other in stems if other != one]
            found[one] = tuple(dict.fromkeys([*found.get(one, ()), *others]))
    return found


@cache
def phrases() -> tuple[tuple[frozenset[str], tuple[str, ...]], ...]:
    """What is meant where several words come together: their stems, and stems to look for."""
    return tuple(
        (
            frozenset(map(stem, pieces(entry["asked"]))),
            tuple(stem(word.lower()) for word in entry["also"]),
        )
        for entry in _thesaurus()["phrases"]
    )


@cache
def _thesaurus() -> dict[str, Any]:
    import yaml

    text = resources.files(__package__).joinpath("thesaurus.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
