import pytest

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.stability.build import parse_formula
from ray_matdesign.stability.packaged import mp2020_shift


@pytest.mark.parametrize(
    ("formula", "per_formula"),
    [
        ("CdTe", -0.42),
        ("TeO2", -0.42 + 2 * 0.024),  # two oxygens a tellurium: still within the anions' range
        ("CaTeO3", 3 * 0.024),
        ("NaBr", -0.53),
        ("Na2SO4", 0.66 + 4 * 0.024),
        ("ZnS", 0.165),
        ("NiO", -0.57 + 0.024),
        ("NiAs", 0.0),
        ("Ca(OH)2", 2 * 0.152 + 2 * 0.024),
        ("MgH2", 0.0),
    ],
)
def test_shift_follows_the_role_of_the_element(formula, per_formula):
    counts = parse_formula(formula)
    assert mp2020_shift(counts) * sum(counts.values()) == pytest.approx(per_formula)


def test_untouched_elements_stay():
    assert mp2020_shift({ATOMIC_NUMBERS["Ga"]: 1, ATOMIC_NUMBERS["As"]: 1}) == 0.0
