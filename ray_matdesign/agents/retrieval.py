"""Which of many texts a question may want, by words alone.

Names and texts are taken apart into words the way scientific Python writes them
(``BulkModulus``, ``bulk_modulus``, ``bulk modulus``); endings that carry no meaning are cut off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_STOP = """
a about all an and answer any are as assigns at be by calculate can compute computed crystal
determine do each every find folder following for from function get give given has have how if in
into is it its list material named need not numpy object of on one or out plain please program
python report return single string such than that the then there these this to two type types unit
use used using value variable want we what when where which with without you your
"""
_STOP_WORDS = frozenset(_STOP.split())
_LONGEST_QUESTION = 4000

LEAST_WORDS = 2
"""Words that a question must share with a text, unless it has fewer."""

LEAST_RELEVANCE = 0.1
"""Share of a question's weight that must be found in a skill to offer it."""


def words(text: str) -> list[str]:
    """The words of a text that carry meaning, in order, in one form for all their spellings."""
    found = [part.lower() for part in _PART.findall(text[:_LONGEST_QUESTION])]
    return [
        _stem(word)
        for word in found
        if word not in _STOP_WORDS and not word.isdecimal() and len(word) > 1
    ]


def relevance(
    question: Collection[str], text: Collection[str], rarity: Mapping[str, float]
) -> float:
    """Share of a question's words that a text has, rare words counting more; 0 to 1.

    Args:
        question: From :func:`words`.
        text: Likewise.
        rarity: Weight of each word of the question; see :func:`rarities`.
    """
    asked = set(question)
    shared = asked & set(text)
    if len(shared) < min(LEAST_WORDS, len(asked)):
        return 0.0
    whole = sum(rarity[word] for word in asked)
    return sum(rarity[word] for word in shared) / whole if whole else 0.0


def rarities(question: Collection[str], texts: Sequence[Collection[str]]) -> dict[str, float]:
    """Weights of words: the logarithm of how many texts there are to one that has it.

    Smoothed (Robertson and Spärck Jones), so that a word that all texts have still counts.
    """
    n = len(texts)
    held = {word: sum(word in text for text in texts) for word in set(question)}
    return {word: math.log(1.0 + (n + 0.5) / (count + 0.5)) for word, count in held.items()}


def match_expression(question: Collection[str]) -> str:
    """An expression of FTS5 that finds what has any of the words; empty without words."""
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(question))


def _stem(word: str) -> str:
    """Cuts plurals, ``ing``, ``ed`` and a last ``e``, in the same way for all forms of a word."""
    if word.endswith("ies") and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("s") and len(word) > 3 and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word.removesuffix("e") if len(word) > 4 else word
