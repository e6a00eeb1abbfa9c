from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.documentation.words import (
    name_words,
    pieces,
    question_words,
    stem,
    text_words,
)


@pytest.mark.parametrize(
    "family",
    [
        ("symmetry", "symmetric", "symmetrize", "symmetrise"),
        ("decompose", "decomposes", "decomposition", "decomposed"),
        ("relax", "relaxation", "relaxed", "relaxing"),
        ("displacement", "displacements", "displaced"),
        ("neighbour", "neighbor", "neighbors"),
        ("vibration", "vibrations", "vibrational"),
    ],
)
def test_a_family_of_words_has_one_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("get_e_above_hull", ["get", "e", "above", "hull"]),
        ("XRDCalculator", ["xrd", "calculator"]),
        ("fcc111", ["fcc", "111"]),
        ("VoronoiNN", ["voronoi", "nn"]),
        ("MaterialsProject2020Compatibility", ["materials", "project", "2020", "compatibility"]),
    ],
)
def test_names_fall_into_their_words(name: str, parts: list[str]) -> None:
    assert pieces(name) == parts


def test_a_name_is_found_whole_and_by_its_words() -> None:
    words = name_words("pymatgen.core.StructureMatcher").split()
    assert {"structurematcher", stem("structure"), stem("matcher"), "pymatgen"} <= set(words)


def test_two_words_may_be_written_as_one() -> None:
    concepts = question_words("the space group of a cell")
    assert "spacegroup" in {one.word for one in concepts if one.origin == "joined"}
    assert not {"the", "of", "a"} & {one.word for one in concepts}


def test_what_words_mean_together_is_looked_for() -> None:
    concepts = question_words("powder X-ray diffraction pattern")
    assert "xrd" in {one.word for one in concepts if one.origin == "meant"}


@given(st.from_regex(r"[a-z]{2,8}(_[a-z]{2,8}){1,3}", fullmatch=True))
def test_snake_case_in_texts_is_found_by_each_part(name: str) -> None:
    words = text_words(f"use {name} here").split()
    assert name in words
    assert {stem(part) for part in name.split("_")} <= set(words)


@given(st.text(max_size=60))
def test_no_question_is_too_strange(question: str) -> None:
    for concept in question_words(question):
        assert concept.word
        assert '"' not in concept.word
