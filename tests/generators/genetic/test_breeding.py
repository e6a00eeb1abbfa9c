"""What each way of breeding changes, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.prototypes import STRUCTURE_TYPES
from ray_matdesign.generators.genetic.breeding import (
    Stock,
    children,
    crossover,
    mendeleev_numbers,
    selected,
    substitution,
    transfer,
)
from ray_matdesign.generators.genetic.frames import frames
from ray_matdesign.generators.genetic.genomes import Genomes

NAMES = list(STRUCTURE_TYPES)
SYMBOLS = ("Li", "Na", "K", "Mg", "Ca", "Ti", "Zr", "Hf", "Fe", "Co", "O", "F", "Cl")
CHOSEN = np.array(sorted(ATOMIC_NUMBERS[symbol] for symbol in SYMBOLS))
STOCK = Stock.of(np.arange(len(NAMES)), CHOSEN, 4.0)


def copies(n: int, name: str, *elements: int) -> Genomes:
    row = np.zeros((n, 3), dtype=np.int64)
    row[:, : len(elements)] = elements
    return Genomes.undistorted(np.full(n, NAMES.index(name)), row)


def test_substitutes_are_chemical_neighbours() -> None:
    drawn = STOCK.substitutes(np.full(4000, ATOMIC_NUMBERS["Ti"]), np.random.default_rng(0))
    share = {s: float((drawn == ATOMIC_NUMBERS[s]).mean()) for s in ("Zr", "Hf", "Ti", "F")}
    assert share["Ti"] == 0.0
    # Pettifor's numbers: Zr 49, Hf 50, Ti 51; the odds are exp(-2/4) and exp(-1/4).
    assert share["Hf"] / share["Zr"] == pytest.approx(np.exp(0.25), rel=0.15)
    assert share["Hf"] + share["Zr"] > 0.8 > 0.01 > share["F"]


def test_the_scale_is_pettifors() -> None:
    scale = mendeleev_numbers()
    assert [scale[ATOMIC_NUMBERS[s]] for s in ("He", "Cs", "Ti", "C", "H")] == [1, 8, 51, 95, 103]


def test_a_substitution_changes_one_site_and_no_type() -> None:
    parents = copies(200, "perovskite", 20, 22, 8)
    born = substitution(parents, STOCK, np.random.default_rng(1))
    changed = (born.elements != parents.elements).sum(axis=1)
    assert (changed == 1).all()
    assert (born.kinds == parents.kinds).all()
    assert {int(site) for site in (born.elements != parents.elements).argmax(axis=1)} == {0, 1, 2}


def test_a_crossover_mixes_the_elements_over_the_first_parents_type() -> None:
    first, second = copies(200, "perovskite", 20, 22, 8), copies(200, "rock_salt", 3, 9)
    born = crossover(first, second, np.random.default_rng(2))
    assert (born.kinds == first.kinds).all()
    assert set(born.elements[:, 0].tolist()) == {20, 3}
    assert set(born.elements[:, 1].tolist()) == {22, 9}
    assert set(born.elements[:, 2].tolist()) == {8, 3, 9}  # rock salt has no third site


def test_a_transfer_keeps_the_elements() -> None:
    parents = copies(300, "rock_salt", 12, 8)
    born = transfer(parents, STOCK, np.random.default_rng(3))
    assert {frames()[kind].sites for kind in born.kinds.tolist()} == {2}
    assert len(set(born.kinds.tolist())) > 10
    assert (np.sort(born.elements, axis=1) == np.sort(parents.elements, axis=1)).all()
    assert (born.elements[:, 2] == 0).all()


def test_tournaments_favour_the_best_by_the_textbook() -> None:
    drawn = selected(20000, 10, 3, np.random.default_rng(4))
    # The best of ten wins unless all three draws miss it: 1 - 0.9^3.
    assert (drawn == 0).mean() == pytest.approx(0.271, abs=0.015)
    unselected = selected(20000, 10, 1, np.random.default_rng(5))
    assert (unselected == 0).mean() == pytest.approx(0.1, abs=0.01)


def test_strains_of_generations_are_bounded_and_tied() -> None:
    settings = GeneticSettings(strain=0.1, max_strain=0.15, substitution=1, crossover=0, transfer=0)
    rng, family = np.random.default_rng(6), copies(50, "wurtzite", 12, 8)
    for _ in range(10):
        family = children(50, family, STOCK, settings, rng)
    assert np.abs(family.strains).max() == pytest.approx(0.15)
    assert (family.strains[:, 0] == family.strains[:, 1]).all()
    assert (family.strains[:, 0] != family.strains[:, 2]).any()
