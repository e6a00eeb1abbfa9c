"""Features of compositions against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.rewards.predictors.composition import (
    HEAVIEST,
    composition_features,
    element_table,
    n_features,
    too_heavy,
)

COUNTS = st.dictionaries(st.integers(1, HEAVIEST), st.integers(1, 12), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def table():
    return element_table()


def test_fractions_and_statistics_of_rutile_by_hand(table):
    (row,) = composition_features([{22: 1, 8: 2}], table)
    assert row[21] == pytest.approx(1 / 3)
    assert row[7] == pytest.approx(2 / 3)
    width = table.shape[1]
    mean, deviation, least, greatest, spread = (
        row[HEAVIEST + k * width : HEAVIEST + (k + 1) * width] for k in range(5)
    )
    values = table[[22, 8, 8]]
    np.testing.assert_allclose(mean, values.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, values.std(axis=0), atol=2e-3)
    np.testing.assert_allclose(least, values.min(axis=0))
    np.testing.assert_allclose(greatest, values.max(axis=0))
    np.testing.assert_allclose(spread, np.ptp(values, axis=0), atol=1e-6)
    elements, log_atoms, second_norm, third_norm, balanced = row[-5:]
    assert (elements, balanced) == (2.0, 1.0)
    assert log_atoms == pytest.approx(np.log(3.0))
    assert second_norm == pytest.approx(np.sqrt(5.0) / 3.0)
    assert third_norm == pytest.approx(9.0 ** (1 / 3) / 3.0)


@settings(max_examples=25, deadline=None)
@given(counts=COUNTS, multiple=st.integers(2, 5))
def test_only_the_reduced_formula_counts(table, counts, multiple):
    larger = {z: n * multiple for z, n in counts.items()}
    one, other = composition_features([counts, larger], table)
    np.testing.assert_array_equal(one, other)
    assert len(one) == n_features(table)
    assert np.isfinite(one).all()


def test_elements_without_features_are_named():
    assert too_heavy({94: 1, 8: 2}) is None
    assert too_heavy({95: 1, 8: 2}).reason == "unknown element: Am"


def test_no_compositions_no_rows(table):
    assert composition_features([], table).shape == (0, n_features(table))
