import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.crystals.matching import fingerprint, match, structure_key, unique_mask
from tests.crystals.examples import crystals, perovskite, rock_salt, rotated, supercell, zinc_blende


@settings(max_examples=30, deadline=None)
@given(crystals(), st.integers(0, 10**6))
def test_fingerprint_knows_no_cell_order_origin_or_orientation(crystal, seed):
    rng = np.random.default_rng(seed)
    expected = fingerprint(crystal)
    shifted = crystal.with_cell(crystal.lattice, crystal.frac_coords + rng.normal(size=3))
    for same in (
        shifted,
        crystal.permuted(rng.permutation(len(crystal)).tolist()),
        rotated(crystal, seed),
        supercell(crystal, [[2, 1, 0], [0, 1, 0], [0, 1, 1]]),
        crystal.with_cell(1.3 * crystal.lattice, crystal.frac_coords),
    ):
        assert fingerprint(same) == pytest.approx(expected, abs=1e-6)


def test_copies_share_a_key_and_other_crystals_do_not():
    large = rotated(supercell(perovskite(), [[2, 0, 0], [0, 1, 0], [1, 0, 1]]), 3)
    assert structure_key(large) == structure_key(perovskite())
    assert structure_key(rock_salt(30, 16)) != structure_key(zinc_blende(30, 16))
    assert structure_key(rock_salt(11, 17)).startswith("NaCl-")


def test_match():
    distorted = perovskite()
    moved = distorted.frac_coords + np.random.default_rng(0).normal(0, 0.01, (5, 3))
    assert match(perovskite(), distorted.with_cell(1.1 * distorted.lattice, moved))
    assert match(perovskite(), rotated(supercell(perovskite(), np.diag([2, 1, 1]).tolist()), 1))
    assert not match(rock_salt(30, 16), zinc_blende(30, 16))
    assert not match(rock_salt(11, 17), rock_salt(19, 17))
    strict = StabilitySettings(matcher_stol=0.001)
    assert not match(perovskite(), distorted.with_cell(distorted.lattice, moved), strict)


def test_only_the_first_of_each_kind_is_unique():
    batch = [rock_salt(), perovskite(), supercell(rock_salt(), [[2, 0, 0], [0, 1, 0], [0, 0, 1]])]
    assert unique_mask([*batch, zinc_blende(11, 17), rotated(zinc_blende(11, 17), 2)]) == [
        True, True, False, True, False,
    ]  # fmt: skip
    assert unique_mask([]) == []


def test_a_cell_of_extreme_shape_still_compares():
    needle = Crystal(np.diag([0.6, 0.6, 24.0]), [[0, 0, 0], [0, 0, 0.5]], [26, 26])
    assert match(needle, needle)


def test_agrees_with_the_plain_structure_matcher(shared_data):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    judge = StructureMatcher(0.2, 0.3, 5, primitive_cell=True, scale=True)
    known = load_dataset(shared_data / "crystals_le20.csv.gz", limit=2500).crystals
    by_formula: dict[str, list[Crystal]] = {}
    for crystal in known:
        by_formula.setdefault(crystal.formula, []).append(crystal)
    pairs = [(same[0], same[1]) for same in by_formula.values() if len(same) > 1][:40]
    assert len(pairs) >= 20
    for first, second in pairs:
        assert match(first, second) == judge.fit(to_pymatgen(first), to_pymatgen(second))
