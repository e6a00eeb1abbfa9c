"""Which symbols answer a question: BM25F, then what makes a name worth telling.

BM25F is that of Robertson, Zaragoza and Taylor, CIKM 2004: frequencies are weighted and normalised
field by field before they saturate, so that a long docstring does not drown a name.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.documentation.words import Concept, pieces, question_words, stem

FIELDS = (
    "name", "path", "summary", "context", "parameters", "docstring", "examples", "members",
)  # fmt: skip
"""What is searched of a symbol, in this order in the index."""

_MOST_JUDGED = 400
_SAID_OF_NOTHING = frozenset(
    map(stem, ("get", "set", "run", "make", "calculate", "compute", "from", "to", "is", "do"))
)
"""Words of names that do not tell one symbol from another."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """What counts how much; fitted on two thirds of the questions of ``bench/documentation.yaml``.

    Attributes:
        fields: Of a word in each field.
        lengths: From 0 to 1: how much a field's length takes from its words.
        saturation: How often a word must occur to count for half of what it can.
        synonym: Of a match by a synonym, compared with one by the word asked for.
        joined: Of two words of the question found as one, ``spacegroup`` for space group.
        meant: Of what words mean together, ``xrd`` for x-ray diffraction.
        coverage: Power of the share of the question that is matched.
        uses: Of the logarithm of how many modules and tests use a symbol.
        depth: Lost for each part of a name beyond three.
        named: Gained if every word of the symbol's name is asked for.
        kinds: Factors by kind.
        deprecated: Factor of what should no longer be used.
        of_a_class: Most symbols of one class, itself included.
    """

    fields: tuple[float, ...] = (6.0, 2.0, 5.0, 1.5, 0.7, 1.0, 0.3, 1.0)
    lengths: tuple[float, ...] = (0.3, 0.3, 0.3, 0.3, 0.3, 0.7, 0.7, 0.7)
    saturation: float = 6.9
    synonym: float = 0.5
    joined: float = 0.38
    meant: float = 1.0
    coverage: float = 0.95
    uses: float = 0.19
    depth: float = 0.13
    named: float = 0.39
    kinds: Mapping[str, float] = field(
        default_factory=lambda: {
            "module": 0.7, "class": 1.0, "function": 0.88, "method": 0.95, "property": 0.8,
            "attribute": 0.5, "constant": 0.5,
        }
    )  # fmt: skip
    deprecated: float = 0.77
    of_a_class: int = 2


FITTED = Weights()


@dataclass(frozen=True)
class _Facts:
    public: str
    kind: str
    twin: tuple[str, str]
    deprecated: bool
    uses: int
    distribution: str
    home: str
    words: frozenset[str]


class Ranking:
    """Ranks the symbols of one index; holds what every question needs, and is never changed.

    Args:
        connection: Of the index.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(f"SELECT symbol, {', '.join(FIELDS)} FROM lengths").fetchall()
        size = 1 + max((row[0] for row in rows), default=0)
        self._lengths = np.zeros((size, len(FIELDS)))
        for number, *lengths in rows:
            self._lengths[number] = lengths
        self._n = len(rows)
        self._mean = np.maximum(self._lengths.sum(axis=0) / max(1, len(rows)), 1e-9)
        self._facts = dict(_facts(connection))

    def ranked(
        self,
        connection: sqlite3.Connection,
        question: str,
        weights: Weights = FITTED,
        only: str | None = None,
    ) -> list[tuple[int, float]]:
        """Ids of symbols with their scores, the best first.

        Args:
            connection: Of the index, for the calling thread.
            question: In words, names among them or not.
            weights: See the class.
            only: Name of a package or distribution; the others are left out.
        """
        scores = np.zeros(len(self._lengths))
        matched = np.zeros_like(scores)
        asked, said = 0.0, set[str]()
        for concept in question_words(question):
            found, rarity = self._matches(connection, concept, weights)
            said |= {concept.word, *concept.others}
            if concept.origin == "asked":
                scores += found
                matched += rarity * (found > 0.0)
                asked += rarity
            else:
                scores += (weights.joined if concept.origin == "joined" else weights.meant) * found
        if not scores.any():
            return []
        # What is only meant or joined is no more than half a word of the question.
        share = np.maximum(matched, 0.5) / max(asked, 0.5)
        first = scores * share**weights.coverage
        judged = [
            (float(first[one]) * self._worth(one, said, weights), one)
            for one in self._candidates(first, weights, only)
        ]
        return list(self._told(judged, weights))

    def _matches(
        self, connection: sqlite3.Connection, concept: Concept, weights: Weights
    ) -> tuple[Floats, float]:
        """Scores by id, and how rare the word is: by its word, or less by another for it."""
        found, rarity = self._bm25f(connection, concept.word, weights)
        for other in concept.others:
            scores, _ = self._bm25f(connection, other, weights)
            found = np.maximum(found, weights.synonym * scores)
        return found, rarity

    def _bm25f(
        self, connection: sqlite3.Connection, word: str, weights: Weights
    ) -> tuple[Floats, float]:
        scores = np.zeros(len(self._lengths))
        rows = connection.execute(
            "SELECT doc, col, COUNT(*) FROM symbol_postings WHERE term = ? GROUP BY doc, col",
            (word,),
        ).fetchall()
        if not rows:
            return scores, math.log1p(self._n)
        column = {name: k for k, name in enumerate(FIELDS)}
        documents, places = np.unique([row[0] for row in rows], return_inverse=True)
        counts = np.zeros((len(documents), len(FIELDS)))
        counts[places, [column[row[1]] for row in rows]] = [row[2] for row in rows]
        b = np.array(weights.lengths)
        normal = counts / (1.0 - b + b * self._lengths[documents] / self._mean)
        weighted = normal @ np.array(weights.fields)
        n = len(documents)
        rarity = math.log1p((self._n - n + 0.5) / (n + 0.5))
        scores[documents] = rarity * weighted / (weights.saturation + weighted)
        return scores, math.log1p(self._n / (n + 0.5))

    def _candidates(self, scores: Floats, weights: Weights, only: str | None) -> Iterator[int]:
        """The best by words and by what is known before the question, as far as they are wanted."""
        order = np.argsort(-scores, kind="stable")
        kept = 0
        for one in order[: 4 * _MOST_JUDGED if only is None else len(order)]:
            number = int(one)
            if scores[number] <= 0.0 or kept == 2 * _MOST_JUDGED:
                return
            facts = self._facts[number]
            if only is None or only in (facts.distribution, facts.public.partition(".")[0]):
                kept += 1
                yield number

    def _worth(self, number: int, said: set[str], weights: Weights) -> float:
        """Factor of a symbol, for all that is known of it beside its words."""
        facts = self._facts[number]
        worth = weights.kinds[facts.kind] * (1.0 + weights.uses * math.log1p(facts.uses))
        worth *= max(0.1, 1.0 - weights.depth * max(0, facts.public.count(".") - 2))
        worth *= 1.0 + weights.named * len(facts.words & said) / max(1, len(facts.words))
        return worth * (weights.deprecated if facts.deprecated else 1.0)

    def _told(
        self, judged: Sequence[tuple[float, int]], weights: Weights
    ) -> Iterator[tuple[int, float]]:
        """The best first; of twins in several classes the best alone, and few of one class."""
        seen: set[tuple[str, str]] = set()
        of_class: Counter[str] = Counter()
        for score, number in sorted(judged, key=lambda pair: (-pair[0], pair[1])):
            facts = self._facts[number]
            if (facts.twin[1] and facts.twin in seen) or (
                of_class[facts.home] >= weights.of_a_class
            ):
                continue
            seen.add(facts.twin)
            of_class[facts.home] += 1
            yield number, score


def _facts(connection: sqlite3.Connection) -> Iterator[tuple[int, _Facts]]:
    rows = connection.execute(
        "SELECT id, public, kind, leaf, summary, deprecated, uses, distribution, owner, qualname "
        "FROM symbols WHERE public IS NOT NULL"
    )
    for number, public, kind, leaf, told, deprecated, uses, distribution, owner, qualname in rows:
        words = frozenset(map(stem, pieces(leaf)))
        yield (
            number,
            _Facts(
                public,
                kind,
                (leaf, told),
                bool(deprecated),
                uses,
                distribution,
                owner or qualname,
                words - _SAID_OF_NOTHING or words,
            ),
        )
