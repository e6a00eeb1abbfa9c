import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.config.schema import PrefilterSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.validity import check, check_all, smact_valid, unwanted
from tests.crystals.examples import crystals, perovskite, rock_salt

SETTINGS = PrefilterSettings()


def counts(**atoms):
    return {ATOMIC_NUMBERS[symbol]: n for symbol, n in atoms.items()}


def test_reasons_name_what_is_wrong():
    overlapping = Crystal(4 * np.eye(3), [[0, 0, 0], [0.05, 0, 0]], [11, 17])
    long = Crystal(np.diag([4.0, 4.0, 26.0]), [[0, 0, 0]], [26])
    odd = rock_salt(cation=56, anion=9)
    assert check(perovskite(), SETTINGS) is None
    assert "atoms overlap: 0.20 A" in check(overlapping, SETTINGS)
    assert "26.0 A is not below 25" in check(long, SETTINGS)
    assert "SMACT" in check(odd, SETTINGS)
    assert check(odd, PrefilterSettings(smact=False)) is None
    assert [reason is None for reason in check_all([overlapping, perovskite()], SETTINGS)] == [
        False,
        True,
    ]


def test_guards_name_what_they_object_to():
    platinum = Crystal(2.8 * np.eye(3), [[0, 0, 0]], [78])
    assert unwanted(perovskite(), SETTINGS) is None
    assert unwanted(platinum, SETTINGS) == "fewer than 2 elements"
    assert unwanted(platinum, PrefilterSettings(min_elements=1)) is None
    assert unwanted(perovskite(), PrefilterSettings(min_elements=4)) == "fewer than 4 elements"
    assert unwanted(rock_salt(cation=92, anion=54), SETTINGS) == "forbidden elements Xe, U"
    assert unwanted(rock_salt(cation=92), PrefilterSettings(forbidden_elements=())) is None
    lead = PrefilterSettings(forbidden_elements=("Pb", "Co"))
    assert unwanted(rock_salt(cation=82, anion=16), lead) == "forbidden element Pb"


def test_guards_leave_validity_alone():
    assert check(Crystal(2.8 * np.eye(3), [[0, 0, 0]], [78]), SETTINGS) is None
    assert check(rock_salt(cation=92, anion=8), PrefilterSettings(smact=False)) is None


@given(crystals(), st.integers(1, 5), st.sets(st.sampled_from(SYMBOLS[1:])))
def test_guards_look_at_elements_alone(crystal, least, forbidden):
    settings = PrefilterSettings(min_elements=least, forbidden_elements=tuple(forbidden))
    present = {SYMBOLS[z] for z in crystal.elements}
    objects = bool(present & forbidden) or len(present) < least
    assert (unwanted(crystal, settings) is not None) == objects


def test_known_compositions():
    assert smact_valid(counts(Na=1, Cl=1))
    assert smact_valid(counts(Ba=1, Ti=1, O=3))
    assert smact_valid(counts(Fe=3, Ni=1)), "alloys are valid by convention"
    assert smact_valid(counts(Si=8)), "elements are valid by convention"
    assert not smact_valid(counts(Na=3, Cl=1))
    assert not smact_valid(counts(Ar=1, O=1))


def test_agrees_with_smact_on_random_compositions():
    from smact.screening import smact_validity

    rng = np.random.default_rng(0)
    for _ in range(400):
        numbers = rng.choice(np.arange(1, 95), size=rng.integers(1, 5), replace=False)
        amounts = {int(z): int(n) for z, n in zip(numbers, rng.integers(1, 7, 4), strict=False)}
        formula = "".join(f"{SYMBOLS[z]}{n}" for z, n in amounts.items())
        expected = smact_validity(formula, oxidation_states_set="smact14")
        assert smact_valid(amounts) == expected, formula


def test_real_crystals_pass(shared_data):
    dataset = load_dataset(shared_data / "crystals_le20.csv.gz", limit=300)
    reasons = check_all(dataset.crystals, PrefilterSettings(smact=False, max_length_ang=100.0))
    assert reasons == [None] * 300
    # DiffCSP reports 90.8% of MP-20 valid by the same rules.
    valid = [smact_valid(crystal.counts) for crystal in dataset.crystals]
    assert np.mean(valid) == pytest.approx(0.9, abs=0.05)
