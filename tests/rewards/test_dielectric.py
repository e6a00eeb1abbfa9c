"""The dielectric estimate and the figure of merit against measured constants and closed forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pytest

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.polarity import ELEMENTARY_CHARGE_OVER_EPSILON0
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.notebook import Notebook
from ray_matdesign.rewards.objective import build_objective
from ray_matdesign.rewards.predictors.refractive_index import load_packaged
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers import band_gap, dielectric, figure_of_merit
from tests.potentials.springs import Springs, rock_salt, simple_cubic

MGO_GAP_EV = 4.4


def specimen(crystal: Crystal) -> Specimen:
    return Specimen(crystal, -3.0, 0.0, 0.0)


def estimate(crystals: list[Crystal], gaps: list[float | Failed], stiffness: float = 3.0) -> list:
    scorer = dielectric.make(Bench(Springs(stiffness), None))  # type: ignore[arg-type]
    return scorer.beside_gaps([specimen(crystal) for crystal in crystals], gaps)


def of(formula: str) -> Crystal:
    numbers = [ATOMIC_NUMBERS[symbol] for symbol in formula.split()]
    return Crystal(
        np.eye(3) * 5.0, np.linspace(0, 0.8, len(numbers))[:, None] * np.ones(3), numbers
    )


def test_springs_between_charges_add_the_closed_form_to_the_squared_index():
    (found,) = estimate([rock_salt(12, 8)], [MGO_GAP_EV])
    index = load_packaged().predict([{12: 1, 8: 1}])[0]
    ionic = ELEMENTARY_CHARGE_OVER_EPSILON0 * 2.0**2 / (6 * 3.0 * 16.0)
    assert found == pytest.approx(index**2 + ionic, rel=1e-6)


def test_one_kind_of_atom_has_no_ionic_part():
    (found,) = estimate([simple_cubic(14)], [0.6])
    assert found == pytest.approx(load_packaged().predict([{14: 1}])[0] ** 2)


def test_metals_unbalanced_and_unstable_crystals_fail_by_name():
    crystals = [of("Mg O"), of("Mg Cu Cu"), of("Mg O"), rock_salt(12, 8)]
    results = estimate(crystals, [0.02, 1.0, Failed("too many atoms"), 4.4], stiffness=-3.0)
    assert [result.reason for result in results] == [
        "a metal: its gap is 0.02 eV by the band_gap scorer",
        "no oxidation states balance in MgCu2",
        "no band gap: too many atoms",
        "3 of 3 optical modes at Gamma are softer than 0.5 THz or imaginary, the lowest at "
        "-21.35 THz",
    ]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Mg O", {"Mg": 2, "O": -2}),
        ("Ba Ti O O O", {"Ba": 2, "Ti": 4, "O": -2}),
        ("Fe Fe Fe O O O O", {"Fe": 8 / 3, "O": -2}),
        ("Ga As", {"Ga": 2, "As": -2}),
        ("Si C", {"Si": 2, "C": -2}),
        ("Ge", {"Ge": 0}),
    ],
)
def test_charges_are_mean_oxidation_states_with_no_anion_beyond_two(formula, expected):
    found = dielectric.formal_charges(of(formula))
    assert found == pytest.approx({ATOMIC_NUMBERS[s]: z for s, z in expected.items()})


def test_magnesia_and_rock_salt_with_chgnet_are_near_the_measured_constants():
    scorer = dielectric.make(Bench(ChgnetPotential(), None))  # type: ignore[arg-type]
    half = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    crystals = [
        Crystal(4.21 * half, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8]),
        Crystal(5.64 * half, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]),
    ]
    magnesia, salt = scorer.beside_gaps([specimen(c) for c in crystals], [4.4, 5.0])
    assert magnesia == pytest.approx(9.65, rel=0.3)
    assert salt == pytest.approx(5.9, rel=0.3)


def test_the_figure_of_merit_is_gap_times_constant():
    bench = Bench(ChgnetPotential(), None)  # type: ignore[arg-type]
    half = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    magnesia = specimen(Crystal(4.21 * half, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8]))
    copper = specimen(Crystal(3.6 * half, [[0, 0, 0]], [29]))
    merit = figure_of_merit.make(bench)
    found = merit.score([copper, magnesia])
    constant = dielectric.make(bench)
    assert isinstance(found[0], Failed)
    (gap,) = constant.gap.score([magnesia])
    assert found[1] == pytest.approx(gap * constant.score([magnesia])[0], rel=1e-4)


class Ledger(Notebook):
    """A notebook that counts what had to be measured."""

    def __init__(self) -> None:
        super().__init__()
        self.measured: Counter[Hashable] = Counter()

    def look_up(
        self, instrument: Hashable, crystals: Sequence[Crystal], measure: Callable[..., Any]
    ) -> list[Any]:
        def counted(fresh: Sequence[Crystal]) -> Any:
            self.measured[instrument] += len(fresh)
            return measure(fresh)

        return super().look_up(instrument, crystals, counted)


def test_the_recipe_measures_each_crystal_once_for_three_scorers():
    ledger = Ledger()
    bench = Bench(Springs(3.0), None, ledger)  # type: ignore[arg-type]
    objective = build_objective(load_run_config("high-kappa").objective, bench)
    (found,) = objective.evaluate([specimen(rock_salt(12, 8))])
    assert set(found.computed) == {"figure_of_merit", "band_gap", "dielectric"}
    assert ledger.measured == {("band gap", "packaged"): 1, "phonons at Gamma": 1}
    values = found.values
    assert values["figure_of_merit"] == pytest.approx(values["band_gap"] * values["dielectric"])


def test_a_cautious_figure_of_merit_multiplies_the_cautious_gap():
    bench = Bench(Springs(3.0), None)  # type: ignore[arg-type]
    magnesia = specimen(rock_salt(12, 8))
    (gap,) = band_gap.make(bench, caution=2.0).score([magnesia])
    (constant,) = dielectric.make(bench).score([magnesia])
    (merit,) = figure_of_merit.make(bench, caution=2.0).score([magnesia])
    assert merit == pytest.approx(gap * constant)


def test_every_source_says_estimate():
    bench = Bench(Springs(3.0), None)  # type: ignore[arg-type]
    assert dielectric.make(bench).source.startswith("estimate")
    assert figure_of_merit.make(bench).source.startswith("estimate")


def test_options_that_make_no_sense_are_named():
    with pytest.raises(ValueError, match="softest_thz must be positive"):
        dielectric.make(Bench(Springs(3.0), None), softest_thz=0.0)  # type: ignore[arg-type]
