from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.embeddings import Embedded, fused
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.config.documentation import DocumentationSettings


class Trigrams:
    """Counts of three letters in a row, folded into 512 numbers."""

    name = "tri/grams 1"

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), 512), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for k in range(len(text) - 2):
                row[zlib.crc32(text[k : k + 3].lower().encode()) % 512] += 1.0
        self.texts += len(texts)
        return vectors


def test_vectors_find_what_words_do_not(settings: DocumentationSettings) -> None:
    path = build_index(settings)
    embedding = Trigrams()
    plain, embedded = DocumentationIndex(path), DocumentationIndex(path, Embedded(path, embedding))
    misspelt = "wiscosity vogelfulchertamman"
    assert not plain.search(misspelt)
    assert embedded.search(misspelt)[0].record.name == "glasses.Melt.viscosity"
    made = embedding.texts
    Embedded(path, embedding)
    assert embedding.texts == made  # vectors are kept beside the index
    assert Path(path).with_suffix(".tri_grams_1.npz").exists()


def test_two_rankings_become_one() -> None:
    both = fused([(1, 9.0), (2, 5.0)], [(2, 0.9), (3, 0.1)])
    assert [number for number, _ in both] == [2, 1, 3]
    assert both[0][1] == pytest.approx(1 / 62 + 1 / 61)
