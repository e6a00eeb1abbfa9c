"""The packaged model of refractive indices against measured ones, and its training."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.rewards.predictors import train_refractive_index as training
from ray_matdesign.rewards.predictors.artifact import PACKAGED, read_predictor
from ray_matdesign.rewards.predictors.refractive_index import (
    FORMAT,
    KIND,
    LARGEST_INDEX,
    clausius_mossotti,
    index_of,
    load_packaged,
)


def counts(formula: str) -> dict[int, int]:
    symbols = formula.split()
    return {ATOMIC_NUMBERS[s]: symbols.count(s) for s in symbols}


@pytest.mark.parametrize(
    ("formula", "measured"),
    [
        ("Mg O", 1.72),
        ("Na Cl", 1.53),
        ("Li F", 1.39),
        ("Ca F F", 1.43),
        ("Al Al O O O", 1.76),
        ("Zn S", 2.27),
        ("Ga P", 3.02),
        ("Ti O O", 2.5),
        ("Si O O", 1.5),
    ],
)
def test_indices_are_near_those_measured_beyond_the_visible(formula, measured):
    assert load_packaged().predict([counts(formula)])[0] == pytest.approx(measured, rel=0.12)


def test_a_multiple_of_the_formula_has_the_same_index():
    single, triple = load_packaged().predict([{12: 1, 8: 1}, {12: 3, 8: 3}])
    assert single == pytest.approx(triple, rel=1e-6)


@given(
    st.dictionaries(st.integers(1, 94), st.integers(1, 12), min_size=1, max_size=5),
)
def test_any_composition_has_a_physical_index(composition):
    (found,) = load_packaged().predict([composition])
    assert 1.0 <= found <= LARGEST_INDEX * (1 + 1e-9)


@given(st.floats(1.0, 20.0))
def test_the_polarizability_density_is_undone_exactly(index):
    assert index_of(clausius_mossotti(index)) == pytest.approx(index, rel=1e-9)


def test_the_packaged_file_is_small_and_says_where_it_comes_from():
    _, card = read_predictor(PACKAGED, kind=KIND, format_version=FORMAT)
    assert "matbench_dielectric" in card["data"]
    assert card["cross_validation_5_folds"]["spearman"] > 0.9
    path = files("ray_matdesign.rewards.predictors") / "weights" / f"{KIND}.safetensors"
    assert len(path.read_bytes()) < 2**20


def test_polymorphs_are_one_row_and_failed_calculations_none(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "formula,target\nMg2O2,1.7\nMgO,1.8\nMgO,9.0\nHe,1.0\nUuo,2\n".replace("Uuo", "Pu")
    )
    compositions, indices = training.read_table(table)
    assert compositions[0] == {8: 1, 12: 1}
    assert indices[0] == pytest.approx(1.8)
    assert len(compositions) == 2


def test_training_learns_a_law_of_the_composition():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.uniform(0, 1, (400, 6)).astype(np.float32))
    targets = 0.2 + 0.5 * features[:, 0] * features[:, 1]
    ensemble = training.train(features, targets)
    with torch.no_grad():
        found = ensemble(features).mean(dim=0)[:, 0]
    assert float((found - targets).abs().mean()) < 0.02
