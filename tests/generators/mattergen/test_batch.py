"""Crystals to MatterGen's batches and back, and the sampler's options."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_mattergen  # noqa: F401  (skips this module without MatterGen)
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ray_matdesign.config.schema import ConstraintSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.constraints import ConstraintError
from ray_matdesign.generators.mattergen.batch import MASK_TYPE, to_batch, to_crystals
from ray_matdesign.generators.mattergen.options import check_condition, elements_left
from ray_matdesign.generators.mattergen.sampler import draw_sizes, element_mask

real = st.floats(-4.0, 4.0, width=32)


@st.composite
def crystals(draw):
    lattice = draw(arrays(np.float64, (3, 3), elements=real)) + 6.0 * np.eye(3)
    assume(abs(np.linalg.det(lattice)) > 20.0)
    n = draw(st.integers(1, 4))
    frac = draw(arrays(np.float64, (n, 3), elements=real))
    return Crystal(lattice, frac, draw(st.lists(st.integers(1, 100), min_size=n, max_size=n)))


@settings(max_examples=30, deadline=None)
@given(st.lists(crystals(), min_size=1, max_size=3))
def test_cells_become_symmetric_and_keep_their_metric(drawn):
    batch = to_batch(drawn)
    back = to_crystals(batch)
    for crystal, cell, again in zip(drawn, batch["cell"].double(), back, strict=True):
        assert cell.allclose(cell.T, atol=1e-4)
        assert float(torch.linalg.eigvalsh(cell).min()) > 0
        metric = crystal.lattice @ crystal.lattice.T
        np.testing.assert_allclose((cell @ cell.T).numpy(), metric, atol=1e-4 * metric.max())
        assert again.numbers.tolist() == crystal.numbers.tolist()
        shift = again.frac_coords - crystal.frac_coords
        np.testing.assert_allclose(shift, np.rint(shift), atol=1e-5)
    assert batch["num_atoms"].tolist() == [len(crystal) for crystal in drawn]


def test_what_is_no_crystal_is_none_and_the_others_stay(rocksalt, perovskite):
    batch = to_batch([rocksalt, perovskite, rocksalt, rocksalt])
    types = batch["atomic_numbers"].clone()
    types[-1] = MASK_TYPE
    cell = batch["cell"].clone()
    cell[0] = torch.nan
    back = to_crystals(batch.replace(cell=cell, atomic_numbers=types))
    assert [c and c.formula for c in back] == [None, "BaTiO3", "MgO", None]


def test_labels_travel_with_their_crystals(rocksalt, perovskite):
    batch = to_batch([rocksalt, perovskite], {"dft_band_gap": [4.5, float("nan")]})
    assert batch["dft_band_gap"].dtype == torch.float32
    assert batch["dft_band_gap"][0] == 4.5
    assert batch["dft_band_gap"][1].isnan()


def test_masked_elements_have_no_chance():
    mask = element_mask([3, 8, 26])
    chances = torch.softmax(mask(50.0 * torch.randn(64, MASK_TYPE)), -1)
    assert chances[:, [2, 7, 25]].sum(-1).allclose(torch.ones(64))


def test_sizes_follow_the_frequencies_asked_for():
    rng = torch.Generator().manual_seed(0)
    assert draw_sizes(7, 3, rng) == [7, 7, 7]
    drawn = np.array(draw_sizes({2: 1.0, 5: 3.0}, 4000, rng))
    assert set(drawn) == {2, 5}
    assert np.mean(drawn == 5) == pytest.approx(0.75, abs=0.03)
    # Alex-MP-20: every sixth cell has four atoms, none more than twenty.
    drawn = np.array(draw_sizes(None, 4000, rng))
    assert drawn.min() >= 1
    assert drawn.max() <= 20
    assert np.mean(drawn == 4) == pytest.approx(0.1636, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(
    allowed=st.sets(st.sampled_from(["Li", "Fe", "O", "Pb", "Co"])),
    excluded=st.sets(st.sampled_from(["Li", "Fe", "O", "Pb", "Co"])),
)
def test_what_is_left_is_allowed_and_not_excluded(allowed, excluded):
    numbers = {"Li": 3, "Fe": 26, "O": 8, "Pb": 82, "Co": 27}
    supported = {*numbers.values(), 14}
    constraints = ConstraintSettings(
        allowed_elements=tuple(allowed), excluded_elements=tuple(excluded)
    )
    expected = {numbers[s] for s in allowed} or supported
    expected = expected - {numbers[s] for s in excluded}
    if expected:
        assert elements_left(constraints, supported) == tuple(sorted(expected))
    else:
        with pytest.raises(ConstraintError, match="leave no element to draw"):
            elements_left(constraints, supported)


@pytest.mark.parametrize(
    ("constraints", "complaint"),
    [
        ({"composition": "Li2O"}, "cannot hold them to a composition"),
        ({"allowed_elements": ("Xx",)}, "Xx is no element"),
        ({"allowed_elements": ("U", "O", "He")}, "MatterGen never makes He, U"),
        ({"chemical_system": ("U", "O")}, "MatterGen never makes U"),
    ],
)
def test_constraints_that_cannot_be_kept_are_refused(constraints, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        elements_left(ConstraintSettings(**constraints), [8])


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ({"band_gap": 3.0}, r"it has chemical_system, dft_band_gap, space_group\)"),
        ({"dft_band_gap": "wide"}, "expected a finite number, got 'wide'"),
        ({"dft_band_gap": float("inf")}, "expected a finite number"),
        ({"space_group": 231}, "expected a number in 1..230"),
        ({"space_group": 1.5}, "expected a number in 1..230"),
        ({"chemical_system": 3.0}, "expected symbols such as 'Li-Fe-O'"),
        ({"chemical_system": "Li-Q"}, "expected symbols such as 'Li-Fe-O'"),
        ({"chemical_system": "Li-Co"}, "Co may not be drawn"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(condition, complaint):
    known = ("chemical_system", "dft_band_gap", "space_group")
    with pytest.raises(ConstraintError, match=complaint):
        check_condition(condition, known, (3, 8))


def test_a_checkpoint_without_conditions_says_so():
    with pytest.raises(ConstraintError, match=r"it has none\)"):
        check_condition({"dft_band_gap": 3.0}, (), (3, 8))
    assert check_condition({}, (), (3, 8)) == {}
