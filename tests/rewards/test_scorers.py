"""Scorers against pymatgen, hand calculation and exact elasticity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from pymatgen.analysis.cost import CostAnalyzer, CostDBElements
from pymatgen.analysis.hhi import HHIModel
from pymatgen.core import Composition, Structure

from ray_matdesign.config.schema import ObjectiveTerm
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.potentials.protocol import Failed, SinglePoint
from ray_matdesign.rewards.objective import SCORERS, ScorerError, build_scorer
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.bulk_modulus import EV_PER_CUBIC_ANGSTROM_IN_GPA

RAMP = {"kind": "ascending", "min": 0.0, "max": 1.0}


class Solid:
    """A potential with a closed form: Birch and Murnaghan's equation about a known volume."""

    name = "birch-murnaghan"
    elements = frozenset(range(1, 119))

    def __init__(self, volume: float, modulus_gpa: float, derivative: float = 4.0) -> None:
        self._volume, self._derivative = volume, derivative
        self._modulus = modulus_gpa / EV_PER_CUBIC_ANGSTROM_IN_GPA

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint:
        x = (self._volume / crystal.volume) ** (2 / 3)
        shape = (x - 1) ** 3 * self._derivative + (x - 1) ** 2 * (6 - 4 * x)
        energy = 9 / 16 * self._volume * self._modulus * shape / len(crystal)
        moments = np.where(crystal.numbers == 26, -2.2, 0.1)
        forces = np.zeros((len(crystal), 3))
        return SinglePoint(energy - 7.0, forces, np.zeros((3, 3)), moments)


class Broken(Solid):
    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        return [Failed("no such element") for _ in crystals]


def crystal(symbols: str, a: float = 4.2) -> Crystal:
    numbers = [SYMBOLS.index(s) for s in symbols.split()]
    places = np.linspace(0.0, 0.8, len(numbers))[:, None] * np.ones(3)
    return Crystal(np.eye(3) * a, places, numbers)


def score(name: str, structure: Crystal, potential: object = None, **options: object) -> object:
    bench = Bench(potential, None)  # type: ignore[arg-type]
    term = ObjectiveTerm.model_validate({"scorer": name, "transform": RAMP, "options": options})
    return build_scorer(term, bench).score([Specimen(structure, -5.0, -1.5, 0.02)])[0]


FORMULAS = ["Mg O", "Ba Ti O O O", "Li Fe P O O O O", "Cs Au", "Na Cl", "W C", "Ga As"]


@pytest.mark.parametrize("symbols", FORMULAS)
def test_density_is_pymatgens(symbols):
    structure = crystal(symbols)
    expected = Structure(structure.lattice, symbols.split(), structure.frac_coords).density
    assert score("density", structure) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("symbols", FORMULAS)
def test_hhi_is_pymatgens(symbols):
    production, reserve = HHIModel().get_hhi(Composition(symbols))
    assert score("hhi", crystal(symbols)) == pytest.approx(reserve, rel=1e-6)
    assert score("hhi", crystal(symbols), basis="production") == pytest.approx(production, rel=1e-6)


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity:UserWarning")  # for noble gases
@pytest.mark.parametrize("symbols", FORMULAS)
def test_price_is_that_of_pymatgens_cheapest_mixture(symbols):
    expected = CostAnalyzer(CostDBElements()).get_cost_per_kg(Composition(symbols))
    assert score("price", crystal(symbols)) == pytest.approx(expected, rel=1e-5)


def test_abundance_of_silica_by_hand():
    # Mass fractions 28.0855 / 60.0843 and 31.9988 / 60.0843; 282,000 ppm Si and 461,000 ppm O.
    ppm = (28.0855 * 282_000 + 31.9988 * 461_000) / 60.0843
    assert score("abundance", crystal("Si O O")) == pytest.approx(math.log10(ppm), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "symbols", "element"),
    [("hhi", "Li H", "H"), ("price", "U O O", "U"), ("abundance", "Pu O O", "Pu")],
)
def test_an_element_missing_from_a_table_is_named(name, symbols, element):
    result = score(name, crystal(symbols))
    assert isinstance(result, Failed)
    assert result.reason.endswith(f"tabulated for {element}")


def test_formation_energy_is_the_one_already_known():
    assert score("formation_energy", crystal("Mg O"), Solid(1.0, 1.0)) == -1.5


def test_magnetic_density_adds_moduli_of_moments():
    # One Fe at 2.2 and one O at 0.1 Bohr magnetons in 64 cubic Angstrom.
    found = score("magnetic_density", crystal("Fe O", a=4.0), Solid(64.0, 100.0))
    assert found == pytest.approx(2.3 / 64.0)


@pytest.mark.parametrize("modulus", [5.0, 160.0, 443.0])
@pytest.mark.parametrize("derivative", [2.0, 4.0, 6.0])
def test_bulk_modulus_of_a_birch_murnaghan_solid_is_exact(modulus, derivative):
    found = score("bulk_modulus", crystal("C C", a=4.0), Solid(64.0, modulus, derivative))
    assert found == pytest.approx(modulus, rel=1e-6)


def test_bulk_modulus_is_that_of_the_least_energy_not_of_the_volume_given():
    found = score("bulk_modulus", crystal("C C", a=4.0), Solid(66.0, 100.0))
    assert found == pytest.approx(100.0, rel=1e-6)


@pytest.mark.parametrize("solid", [Solid(64.0, -3.0), Solid(90.0, 100.0)])
def test_a_crystal_away_from_any_minimum_has_no_modulus(solid):
    result = score("bulk_modulus", crystal("C C", a=4.0), solid)
    assert isinstance(result, Failed)
    assert "no energy minimum within a range of 11% of the cell lengths" in result.reason


@pytest.mark.slow
def test_bulk_moduli_with_chgnet_are_near_the_measured_ones():
    from ase.build import bulk

    from ray_matdesign.potentials.registry import load_potential
    from ray_matdesign.potentials.relaxation import BatchRelaxer

    # GPa at room temperature, and how far CHGNet may be off. (It makes silicon a quarter too soft.)
    measured = {
        ("C", "diamond", 3.57): (443.0, 60.0),
        ("MgO", "rocksalt", 4.21): (160.0, 20.0),
        ("NaCl", "rocksalt", 5.60): (24.0, 6.0),
        ("Cu", "fcc", 3.60): (140.0, 15.0),
        ("W", "bcc", 3.17): (310.0, 25.0),
    }
    potential = load_potential("chgnet")
    cells = [bulk(name, structure, a) for name, structure, a in measured]
    crystals = [Crystal(c.cell.array, c.get_scaled_positions(), c.numbers) for c in cells]
    relaxed = BatchRelaxer(potential).relax(crystals, fmax_ev_per_ang=0.02, max_steps=200)
    bench = Bench(potential, None)  # type: ignore[arg-type]
    term = ObjectiveTerm.model_validate({"scorer": "bulk_modulus", "transform": RAMP})
    specimens = [Specimen(r.crystal, r.energy_ev_per_atom, 0.0, 0.0) for r in relaxed]
    found = build_scorer(term, bench).score(specimens)
    for value, (expected, tolerance) in zip(found, measured.values(), strict=True):
        assert value == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", ["bulk_modulus", "magnetic_density"])
def test_a_failing_potential_is_a_failed_value(name):
    result = score(name, crystal("C C"), Broken(64.0, 1.0))
    assert isinstance(result, Failed)
    assert "no such element" in result.reason


def test_each_scorer_says_what_its_numbers_are():
    bench = Bench(Solid(64.0, 100.0), None)  # type: ignore[arg-type]
    for name in SCORERS:
        scorer = build_scorer(
            ObjectiveTerm.model_validate({"scorer": name, "transform": RAMP}), bench
        )
        assert scorer.name == name
        assert scorer.source
        assert isinstance(scorer.unit, str)


def test_unknown_options_and_bad_values_are_refused_by_name():
    with pytest.raises(ScorerError, match="'density' refused its options"):
        score("density", crystal("Mg O"), units="kg/m3")
    with pytest.raises(ValueError, match="basis must be reserve or production"):
        score("hhi", crystal("Mg O"), basis="reserves")
    with pytest.raises(ValueError, match="max_strain"):
        score("bulk_modulus", crystal("Mg O"), Solid(1.0, 1.0), max_strain=0.5)
