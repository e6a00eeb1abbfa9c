"""Scorers against pymatgen and hand calculation."""

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

RAMP = {"kind": "ascending", "min": 0.0, "max": 1.0}


class Magnet:
    """A potential of known moments: 2.2 Bohr magnetons on iron, 0.1 on everything else."""

    name = "magnet"
    elements = frozenset(range(1, 119))

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint:
        moments = np.where(crystal.numbers == 26, -2.2, 0.1)
        return SinglePoint(-7.0, np.zeros((len(crystal), 3)), np.zeros((3, 3)), moments)


class Broken(Magnet):
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


def test_abundance_of_sulphides_niobium_and_lutetium_is_the_crusts():
    # The CRC Handbook: S 350, Fe 56,300, Nb 20, Lu 0.80, Ru 0.001 ppm by mass.
    pyrite = (55.845 * 56_300 + 2 * 32.065 * 350) / (55.845 + 2 * 32.065)
    assert score("abundance", crystal("Fe S S")) == pytest.approx(math.log10(pyrite), abs=1e-4)
    for symbol, ppm in {"S": 350.0, "Nb": 20.0, "Lu": 0.80, "Ru": 0.001}.items():
        assert score("abundance", crystal(symbol)) == pytest.approx(math.log10(ppm), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "symbols", "element"),
    [("hhi", "Li H", "H"), ("price", "U O O", "U"), ("abundance", "Pu O O", "Pu")],
)
def test_an_element_missing_from_a_table_is_named(name, symbols, element):
    result = score(name, crystal(symbols))
    assert isinstance(result, Failed)
    assert result.reason.endswith(f"tabulated for {element}")


@pytest.mark.parametrize(("name", "value"), [("formation_energy", -1.5), ("e_above_hull", 0.02)])
def test_energies_are_those_already_known(name, value):
    assert score(name, crystal("Mg O"), Magnet()) == value


def test_magnetic_density_adds_moduli_of_moments():
    # One Fe at 2.2 and one O at 0.1 Bohr magnetons in 64 cubic Angstrom.
    found = score("magnetic_density", crystal("Fe O", a=4.0), Magnet())
    assert found == pytest.approx(2.3 / 64.0)


def test_a_failing_potential_is_a_failed_value():
    result = score("magnetic_density", crystal("C C"), Broken())
    assert isinstance(result, Failed)
    assert "no such element" in result.reason


def test_each_scorer_says_what_its_numbers_are():
    bench = Bench(Magnet(), None)  # type: ignore[arg-type]
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
