"""Formulas to learn from: read, made up, altered, held back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.validity import smact_valid
from ray_matdesign.rewards.predictors.formulas import (
    altered,
    formula_of,
    held_back,
    made_up,
    read_formulas,
    read_labelled_formulas,
)

NACL, SRTIO3, NAN = ((11, 1), (17, 1)), ((8, 3), (22, 1), (38, 1)), ((7, 1), (11, 1))


def test_tables_are_read_reduced_and_what_cannot_be_used_is_left_out(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "formula,target\nNa2Cl2,5.0\nSrTiO3,1.9\nNaN,0\nLa0.5Sr0.5MnO3,0\nC2H4,5\nAmO2,1\nNaCl,5.1\n"
    )
    assert read_formulas(path) == {NACL, SRTIO3, NAN}
    assert read_labelled_formulas(path) == [(NACL, 5.0), (SRTIO3, 1.9), (NAN, 0.0), (NACL, 5.1)]


def test_what_is_wrong_with_a_table_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("formula,x\nNaCl,1\n?!,2\n")
    with pytest.raises(ValueError, match=r"t\.csv: row 2: '\?!' is no formula"):
        read_formulas(path)
    with pytest.raises(ValueError, match="no column 'band_gap' or 'target'"):
        read_labelled_formulas(path)
    path.write_text("name\nNaCl\n")
    with pytest.raises(ValueError, match="no column 'formula' among name"):
        read_formulas(path)


@pytest.mark.parametrize("maker", ["made up", "altered"])
def test_invented_formulas_are_new_and_half_are_balanced(maker):
    known = {NACL, SRTIO3, ((12, 1), (8, 1)), ((13, 2), (8, 3)), ((16, 1), (30, 1))}
    known = {tuple(sorted(formula)) for formula in known}

    def draw(seed):
        if maker == "made up":
            return made_up(40, known, seed=seed)
        return altered(40, sorted(known), known, seed=seed)

    found = draw(0)
    assert len(set(found)) == 40
    assert not known & set(found)
    assert sum(smact_valid(dict(formula)) for formula in found) == 20
    assert all(formula == formula_of(dict(formula)) for formula in found)
    assert found == draw(0)
    assert found != draw(1)


@given(
    counts=st.dictionaries(st.integers(1, 94), st.integers(1, 9), min_size=1, max_size=4),
    multiple=st.integers(1, 6),
)
def test_a_formula_is_one_unit_whatever_the_cell(counts, multiple):
    assert formula_of(counts) == formula_of({z: n * multiple for z, n in counts.items()})


def test_a_share_of_the_formulas_is_held_back_for_good():
    formulas = [((z, n), (94, 1)) for z in range(1, 94) for n in range(1, 21)]
    chosen = [held_back(formula, 0.1, seed=0) for formula in formulas]
    assert 0.08 < sum(chosen) / len(chosen) < 0.12
    assert chosen == [held_back(formula, 0.1, seed=0) for formula in formulas]
