from __future__ import annotations

from collections import Counter

import pytest

from ray_matdesign.agents.chemistry.hazards import (
    clashes,
    hazards_of,
    statement_texts,
)
from ray_matdesign.agents.chemistry.molecules import element_counts, parse_smiles
from ray_matdesign.agents.chemistry.substances import entries, plain_name, resolve
from ray_matdesign.agents.tools.protocol import ToolError


def test_the_table_agrees_with_itself() -> None:
    names = Counter(
        name for e in entries() for name in {plain_name(n) for n in (e.name, *e.synonyms)}
    )
    assert [name for name, count in names.items() if count > 1] == []
    for entry in entries():
        assert set(entry.hazards) <= set(statement_texts()), entry.name
        if entry.smiles:
            counts = element_counts(parse_smiles(entry.smiles))
            atoms = {"H" if s == "D" else s: n for s, n in entry.formula.counts.items()}
            assert counts == atoms, entry.name


@pytest.mark.parametrize(
    ("text", "name", "read_as"),
    [
        ("baking soda", "sodium hydrogencarbonate", "name"),
        ("  Sulphuric   Acid ", "sulfuric acid", "name"),
        ("aluminum oxide", "aluminium oxide", "name"),
        ("NaHCO3", "sodium hydrogencarbonate", "formula"),
        ("CO", "carbon monoxide", "formula"),
        ("CC(C)=O", "acetone", "smiles"),
        ("O=C(C)C", "acetone", "smiles"),
        ("(NH4)2SO4", "ammonium sulfate", "formula"),
    ],
)
def test_names_formulas_and_smiles_are_told_apart(text: str, name: str, read_as: str) -> None:
    found = resolve(text)
    assert found.entry is not None
    assert (found.entry.name, found.read_as) == (name, read_as)


def test_what_can_be_two_things_says_so() -> None:
    assert "SMILES" in resolve("CO").note
    methanol = resolve("CO", "smiles").entry
    assert methanol is not None
    assert methanol.name == "methanol"


def test_a_formula_with_isomers_names_no_substance() -> None:
    found = resolve("C2H6O")
    assert found.entry is None
    assert found.candidates == ("ethanol",)


def test_what_is_unknown_says_what_was_tried() -> None:
    with pytest.raises(ToolError, match=r"no name known here.*no formula.*no SMILES"):
        resolve("unobtainium")


def codes(text: str) -> set[str]:
    return {statement.code for statement in hazards_of(resolve(text)).statements}


def test_hazards_of_the_regulation() -> None:
    assert codes("methanol") == {"H225", "H301", "H311", "H331", "H370"}
    assert codes("NaCN") >= {"H300", "H310", "H330", "EUH032"}
    assert codes("HCl") == set()  # hydrogen chloride, or hydrochloric acid?
    assert codes("hydrochloric acid") == {"H314", "H335"}


def test_compounds_take_the_hazards_of_their_element() -> None:
    assert hazards_of(resolve("PbTiO3")).basis == "group"
    assert "H360Df" in codes("CsPbI3")
    assert "H330" in codes("Tl2S")
    assert hazards_of(resolve("BaSO4")).statements == ()


def test_unknown_is_not_harmless() -> None:
    found = hazards_of(resolve("YBa2Cu3O7"))
    assert found.basis == "group"
    found = hazards_of(resolve("GaN"))
    assert found.basis == "unknown"
    assert "does not mean" in found.notes[0]
    assert hazards_of(resolve("NaCl")).basis == "substance"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("bleach", "ammonia", "chloramines"),
        ("bleach", "hydrochloric acid", "chlorine"),
        ("NaCN", "acetic acid", "hydrogen cyanide"),
        ("sodium", "water", "violent"),
        ("nitric acid", "ethanol", "fire"),
        ("KMnO4", "glycerol", "fire"),
        ("sodium azide", "Pb(NO3)2", "explode"),
        ("sodium azide", "dichloromethane", "explosive"),
        ("acetone", "hydrogen peroxide", "peroxides"),
        ("sodium", "chloroform", "explosion"),
        ("sulfuric acid", "sodium hydroxide", "heat"),
        ("calcium carbonate", "hydrochloric acid", "carbon dioxide"),
    ],
)
def test_what_must_not_meet(first: str, second: str, words: str) -> None:
    found = clashes([resolve(first), resolve(second)])
    assert any(words in clash.consequence for clash in found)


@pytest.mark.parametrize(
    ("first", "second"),
    [("water", "ethanol"), ("sodium chloride", "water"), ("toluene", "hexane"),
     ("glucose", "water"), ("sodium carbonate", "sodium hydroxide")],
)  # fmt: skip
def test_what_may_meet(first: str, second: str) -> None:
    assert clashes([resolve(first), resolve(second)]) == []
