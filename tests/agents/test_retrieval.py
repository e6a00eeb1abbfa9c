from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.retrieval import match_expression, rarities, relevance, words

SPELLINGS = (
    "BulkModulus",
    "bulk_modulus",
    "bulk modulus",
    "the bulk-modulus of it",
    "bulk.modulus()",
)


def test_spellings_of_a_symbol_are_one() -> None:
    assert {tuple(words(text)) for text in SPELLINGS} == {("bulk", "modulus")}
    assert words("XRDCalculator") == ["xrd", "calculator"]
    assert words("NaCl at 300 K") == ["na", "cl"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("energies", "energy"),
        ("lattices", "lattice"),
        ("relaxed", "relaxing"),
        ("spaces", "spacing"),
        ("masses", "mass"),
        ("phases", "phase"),
    ],
)
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert words(one) == words(other)


def test_endings_that_belong_to_a_word_stay() -> None:
    assert words("gas radius basis stress") == ["gas", "radius", "basis", "stress"]


@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=5))
def test_relevance_is_a_share(question: str, texts: list[str]) -> None:
    asked, held = words(question), [set(words(text)) for text in texts]
    rarity = rarities(asked, held)
    for text in held:
        assert 0.0 <= relevance(asked, text, rarity) <= 1.0 + 1e-12
    if asked:
        assert relevance(asked, asked, rarity) == pytest.approx(1.0)
    assert match_expression(asked).count('"') == 2 * len(set(asked))


def test_rare_words_count_more() -> None:
    texts = [{"bulk", "modulus"}, {"shear", "modulus"}, {"band", "gap"}]
    rarity = rarities(["shear", "modulus", "tensor"], texts)
    assert rarity["tensor"] > rarity["shear"] > rarity["modulus"] > 0.0


def test_one_word_in_common_is_not_enough() -> None:
    rarity = {"modulus": 1.0, "shear": 1.0}
    assert relevance(["shear", "modulus"], {"bulk", "modulus"}, rarity) == 0.0
    assert relevance(["modulus"], {"bulk", "modulus"}, rarity) == 1.0
