"""How children come about: pure functions of genomes and random numbers, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.crystals.geometry import Floats
from ray_matdesign.crystals.prototypes import MAX_SITES
from ray_matdesign.generators.genetic.frames import frames
from ray_matdesign.generators.genetic.genomes import Genomes, Ints

MAX_SHIFT = 0.03
"""Largest change of a free coordinate that generations may add up to, fractional."""
_LAWRENCIUM = 103


@dataclass(frozen=True, eq=False)
class Stock:
    """What children may be made of.

    Attributes:
        kinds: Structure types, by their place in :func:`frames`, ascending.
        elements: Atomic numbers, ascending.
        odds: Cumulative chance of each of the elements to replace another, shape
            ``(119, elements)``: rows by atomic number.
    """

    kinds: Ints
    elements: Ints
    odds: Floats

    @classmethod
    def of(cls, kinds: Ints, elements: Ints, similarity: float) -> Stock:
        """The stock in which chances fall exponentially along Mendeleev's scale.

        Args:
            kinds: Structure types.
            elements: Atomic numbers.
            similarity: Length over which chances fall to 1/e, in numbers of the scale.
        """
        scale = mendeleev_numbers()
        away = np.abs(scale[:, None] - scale[elements])
        chances = np.exp(-away / similarity)
        # An element is no substitute for itself, unless there is no other.
        if len(elements) > 1:
            chances[elements, np.arange(len(elements))] = 0.0
        return cls(kinds, elements, np.cumsum(chances / chances.sum(1, keepdims=True), axis=1))

    def substitutes(self, numbers: Ints, rng: np.random.Generator) -> Ints:
        """An element like each of these atomic numbers, shape ``(n,)``."""
        drawn = (rng.random(len(numbers))[:, None] > self.odds[numbers]).sum(axis=1)
        return np.asarray(self.elements[np.minimum(drawn, len(self.elements) - 1)])


@cache
def mendeleev_numbers() -> Floats:
    """Pettifor's chemical scale (J. Phys. C 19, 285 (1986)) by atomic number, as pymatgen has it.

    Neighbours on it replace one another in crystals. The elements beyond lawrencium, which it
    lacks, are put behind all others.
    """
    from pymatgen.core import Element

    scale = np.full(len(SYMBOLS), _LAWRENCIUM + 1.0)
    for z in range(1, _LAWRENCIUM + 1):
        scale[z] = Element.from_Z(z).mendeleev_no
    return scale


def immigrants(n: int, stock: Stock, rng: np.random.Generator) -> Genomes:
    """Random structure types with random elements."""
    kinds = rng.choice(stock.kinds, n)
    elements = rng.choice(stock.elements, (n, MAX_SITES))
    return Genomes.undistorted(kinds, np.where(_has_site(kinds), elements, 0))


def children(
    n: int, parents: Genomes, stock: Stock, settings: GeneticSettings, rng: np.random.Generator
) -> Genomes:
    """Children of a population.

    Args:
        n: How many.
        parents: Best first; at least one.
        stock: What they may be made of.
        settings: How they differ from their parents.
        rng: Source of all chance.
    """
    ways = np.array([settings.substitution, settings.crossover, settings.transfer])
    way = rng.choice(3, n, p=ways / ways.sum())
    own = parents.take(selected(n, len(parents), settings.tournament, rng))
    substituted = substitution(own, stock, rng)
    crossed = crossover(own, parents.take(selected(n, len(parents), settings.tournament, rng)), rng)
    transferred = transfer(own, stock, rng)
    born = Genomes.joined([substituted, crossed, transferred]).take(way * n + np.arange(n))
    return distorted(born, settings, rng)


def selected(n: int, members: int, rounds: int, rng: np.random.Generator) -> Ints:
    """Winners of tournaments among members sorted from the best, shape ``(n,)``."""
    return np.asarray(rng.integers(0, members, (n, rounds)).min(axis=1))


def substitution(parents: Genomes, stock: Stock, rng: np.random.Generator) -> Genomes:
    """One site of each gets an element like the one it had."""
    rows = np.arange(len(parents))
    site = np.floor(rng.random(len(rows)) * _sites()[parents.kinds]).astype(np.int64)
    elements = parents.elements.copy()
    elements[rows, site] = stock.substitutes(elements[rows, site], rng)
    return Genomes(parents.kinds, elements, parents.strains, parents.shifts)


def crossover(first: Genomes, second: Genomes, rng: np.random.Generator) -> Genomes:
    """The structure type of the first; on each site its own element, or one of the second's.

    A second parent with a site of the same number gives the element there, else one of another.
    """
    n = len(first)
    theirs = _sites()[second.kinds][:, None]
    place = np.tile(np.arange(MAX_SITES), (n, 1))
    elsewhere = np.floor(rng.random((n, MAX_SITES)) * theirs).astype(np.int64)
    offered = np.take_along_axis(
        second.elements, np.where(place < theirs, place, elsewhere), axis=1
    )
    mixed = np.where(rng.random((n, MAX_SITES)) < 0.5, first.elements, offered)
    elements = np.where(_has_site(first.kinds), mixed, 0)
    return Genomes(first.kinds, elements, first.strains, first.shifts)


def transfer(parents: Genomes, stock: Stock, rng: np.random.Generator) -> Genomes:
    """The elements in another structure type of as many sites, in any order, undistorted."""
    kinds, sites = parents.kinds.copy(), _sites()
    for count in np.unique(sites[kinds]).tolist():
        rows = sites[parents.kinds] == count
        choices = stock.kinds[sites[stock.kinds] == count]
        if len(choices):
            kinds[rows] = rng.choice(choices, int(rows.sum()))
    # Sites that are not there stay last.
    keys = np.where(_has_site(kinds), rng.random((len(kinds), MAX_SITES)), 2.0)
    elements = np.take_along_axis(parents.elements, keys.argsort(axis=1), axis=1)
    return Genomes.undistorted(kinds, elements)


def distorted(born: Genomes, settings: GeneticSettings, rng: np.random.Generator) -> Genomes:
    """Strained a little more than their parents, atoms displaced a little, symmetry kept."""
    n = len(born)
    strains = born.strains + settings.strain * rng.standard_normal((n, 3))
    strains = strains.clip(-settings.max_strain, settings.max_strain)
    ties = np.array([frame.ties for frame in frames()])[born.kinds]
    shifts = born.shifts + rng.standard_normal((n, MAX_SITES, 3)) * _fraction(born, settings)
    return Genomes(
        born.kinds,
        born.elements,
        np.take_along_axis(strains, ties, axis=1),
        np.where(_movable()[born.kinds], shifts, 0.0).clip(-MAX_SHIFT, MAX_SHIFT),
    )


def _fraction(born: Genomes, settings: GeneticSettings) -> Floats:
    """The displacement in cell lengths, taken for a cube's of 10 cubic Angstrom an atom."""
    atoms = np.array([len(frame.site) for frame in frames()])[born.kinds]
    return np.asarray(settings.displacement_ang / np.cbrt(10.0 * atoms))[:, None, None]


@cache
def _sites() -> Ints:
    return np.array([frame.sites for frame in frames()])


def _has_site(kinds: Ints) -> NDArray[np.bool_]:
    return np.arange(MAX_SITES) < _sites()[kinds][:, None]


@cache
def _movable() -> NDArray[np.bool_]:
    """Which free coordinates there are, shape ``(kinds, MAX_SITES, 3)``."""
    table = np.zeros((len(frames()), MAX_SITES, 3), dtype=bool)
    for kind, frame in enumerate(frames()):
        table[kind, : frame.sites] = frame.movable
    return table
