"""Optional vectors beside the words. No model comes with this package: bring one."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.atomic import write_atomic

_AT_ONCE = 256
_MOST_TEXT = 1000
_RANK_OFFSET = 60.0


class Embedding(Protocol):
    """A model that turns texts into vectors, such as one behind an endpoint."""

    @property
    def name(self) -> str:
        """Of the model and its version; part of the file name of its vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (texts, dimensions), in the order of the texts."""
        ...


class Embedded:
    """Vectors of the public symbols of an index, made once and kept beside it.

    Args:
        index: File of the index.
        embedding: The model; asked for the question at every search.
    """

    def __init__(self, index: Path, embedding: Embedding) -> None:
        self._embedding = embedding
        path = index.with_suffix(f".{_plain(embedding.name)}.npz")
        if not path.exists():
            _embed(index, embedding, path)
        with np.load(path, allow_pickle=False) as stored:
            self._ids: NDArray[np.int64] = stored["ids"]
            self._vectors: NDArray[np.float32] = stored["vectors"]

    def nearest(self, question: str, limit: int = 100) -> list[tuple[int, float]]:
        """Ids of the symbols whose vectors are closest, with cosines, the closest first."""
        (vector,) = _unit(self._embedding.embed([question]))
        cosines = self._vectors @ vector
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [(int(self._ids[one]), float(cosines[one])) for one in best]


def fused(
    by_words: Sequence[tuple[int, float]], by_vectors: Sequence[tuple[int, float]]
) -> list[tuple[int, float]]:
    """One ranking of two, by the reciprocals of the ranks.

    Cormack, Clarke and Buettcher, SIGIR 2009, with their constant of 60.
    """
    scores: dict[int, float] = {}
    for ranking in (by_words, by_vectors):
        for rank, (number, _) in enumerate(ranking, start=1):
            scores[number] = scores.get(number, 0.0) + 1.0 / (_RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def _embed(index: Path, embedding: Embedding, path: Path) -> None:
    with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT id, public, signature, summary FROM symbols "
            "WHERE public IS NOT NULL AND summary != '' ORDER BY id"
        ).fetchall()
    texts = [f"{public}\n{signature}\n{told}"[:_MOST_TEXT] for _, public, signature, told in rows]
    parts = [embedding.embed(texts[k : k + _AT_ONCE]) for k in range(0, len(texts), _AT_ONCE)]
    buffer = io.BytesIO()
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    np.savez(buffer, ids=ids, vectors=_unit(np.concatenate(parts)))
    write_atomic(path, buffer.getvalue())


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
