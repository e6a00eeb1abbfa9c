"""How often the documentation index finds what a materials scientist asks for.

The questions of ``documentation.yaml`` name no symbol. A third of them, drawn by the digest of the
question, is held back: nothing but its totals is ever shown. The baseline is SQLite's full-text
search as it comes (porter stems, BM25) over the docstrings of the same symbols.

    python bench/documentation.py                 # misses among the others, for whoever tunes
    python bench/documentation.py --record        # totals of both parts, written to results/
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from record import figure, write_results

from ray_matdesign.agents.documentation import words
from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.config.documentation import DocumentationSettings

QUESTIONS = Path(__file__).with_suffix(".yaml")
DEPTHS = (1, 5)
Searcher = Callable[[str], list[int]]


def pairs() -> list[dict[str, Any]]:
    """All questions with their answers."""
    return list(yaml.safe_load(QUESTIONS.read_text(encoding="utf-8")))


def split(
    asked: Sequence[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two thirds to tune on, and the third that is held back."""
    drawn = sorted(asked, key=lambda pair: hashlib.sha256(pair["q"].encode()).digest())
    third = len(drawn) // 3
    return drawn[third:], drawn[:third]


def answers(index: DocumentationIndex, pair: dict[str, Any]) -> set[int]:
    """Ids of the symbols that answer a question.

    Raises:
        SystemExit: A name leads nowhere.
    """
    found = {name: index.lookup(name) for name in pair["a"]}
    if not any(found.values()):
        raise SystemExit(f"{QUESTIONS.name}: {pair['q']}: no such name: {', '.join(found)}")
    return {record.id for record in found.values() if record is not None}


def plain(path: Path) -> Searcher:
    """Full-text search as it comes, over the docstrings alone."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE docs USING fts5 (docstring, tokenize='porter')")
    with closing(sqlite3.connect(path)) as index:
        rows = index.execute("SELECT id, docstring FROM symbols WHERE docstring != ''")
        connection.executemany("INSERT INTO docs (rowid, docstring) VALUES (?, ?)", rows)

    def search(question: str) -> list[int]:
        terms = "".join(c if c.isalnum() else " " for c in question).split()
        rows = connection.execute(
            "SELECT rowid FROM docs WHERE docs MATCH ? ORDER BY rank LIMIT 5",
            (" OR ".join(f'"{term}"' for term in terms),),
        )
        return [number for (number,) in rows]

    return search


def recalls(
    index: DocumentationIndex, asked: Sequence[dict[str, Any]], search: Searcher
) -> tuple[list[float], list[dict[str, Any]]]:
    """Shares of questions with an answer among the first 1 and 5, and those without."""
    ranks, missed = [], []
    for pair in asked:
        right = answers(index, pair)
        found = search(pair["q"])
        rank = next((k for k, number in enumerate(found, start=1) if number in right), 0)
        ranks.append(rank)
        if not 0 < rank <= max(DEPTHS):
            missed.append(pair)
    return [sum(0 < r <= depth for r in ranks) / len(ranks) for depth in DEPTHS], missed


def without_thesaurus(index: DocumentationIndex) -> Searcher:
    """Our search with no synonyms: they were written by the author of the questions."""

    def search(question: str) -> list[int]:
        synonyms, phrases = words.synonyms, words.phrases
        words.synonyms, words.phrases = dict, tuple  # type: ignore[assignment]
        try:
            return [hit.record.id for hit in index.search(question)]
        finally:
            words.synonyms, words.phrases = synonyms, phrases

    return search


def main() -> None:
    """Builds the index if need be, asks, and prints or records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="both parts, to results/")
    options = parser.parse_args()
    start = time.perf_counter()
    with Box(best_tier()) as box:
        path = build_index(DocumentationSettings(), box, lambda what, *_: print(what, flush=True))
    built_s = time.perf_counter() - start
    index = DocumentationIndex(path)
    tuned, held = split(pairs())
    methods: dict[str, Searcher] = {
        "plain full text": plain(path),
        "ours": lambda question: [hit.record.id for hit in index.search(question)],
        "ours, no thesaurus": without_thesaurus(index),
    }
    print(f"{index.size} symbols, {path.stat().st_size / 2**20:.0f} MiB, {built_s:.1f} s")
    if not options.record:
        for name, search in methods.items():
            shares, _ = recalls(index, tuned, search)
            print(f"{name}: recall@1 {shares[0]:.3f}, recall@5 {shares[1]:.3f}")
        for pair in recalls(index, tuned, methods["ours"])[1]:
            print(f"\n{pair['q']}\n   wanted {', '.join(pair['a'])}")
            for hit in index.search(pair["q"]):
                print(f"   {hit.score:6.2f} {hit.record.name}: {hit.record.summary[:70]}")
        return
    figures = []
    for part, asked in (("held back", held), ("tuned on", tuned)):
        base = recalls(index, asked, methods["plain full text"])[0]
        for name, search in methods.items():
            shares = recalls(index, asked, search)[0]
            for depth, share, plain_share in zip(DEPTHS, shares, base, strict=True):
                against = None if name == "plain full text" else plain_share
                title = f"recall@{depth}, {part} ({len(asked)}): {name}"
                figures.append(figure(title, share, "1", against))
                print(f"{title}: {share:.3f}")
    seconds = []
    for pair in held + tuned:
        start = time.perf_counter()
        index.search(pair["q"])
        seconds.append(time.perf_counter() - start)
    figures.append(figure("median time of a search", statistics.median(seconds), "s"))
    figures.append(figure("symbols", float(index.size), "symbols"))
    print(f"written to {write_results('documentation', figures)}")


if __name__ == "__main__":
    main()
