"""Known quantities of a batch of crystals, found together and once: what expressions start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from math import gcd, pi

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.objectives.language import ElementProperty, StructureProperty, Weights
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import (
    ATOMIC_MASSES_AMU,
    ATOMIC_NUMBERS,
    COVALENT_RADII_ANG,
    ELECTRONEGATIVITIES,
    SYMBOLS,
)
from ray_matdesign.crystals.geometry import min_distance, nearest_contacts, nearest_distances
from ray_matdesign.crystals.symmetry import space_group
from ray_matdesign.potentials.protocol import Failed

Floats = NDArray[np.float64]

SYMPREC_ANG = 0.01
NEIGHBOURS = 24
SHELL = 1.15
"""Atoms within this many times the closest are of the first shell; bcc's second is at 1.155."""


@dataclass(frozen=True)
class Batch:
    """Crystals, with what registered scorers said of them.

    Attributes:
        crystals: Any number.
        properties: Values by name of the scorer, each as long as ``crystals``.
    """

    crystals: tuple[Crystal, ...]
    properties: Mapping[str, tuple[float | Failed, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.crystals)

    def take(self, order: Sequence[int]) -> Batch:
        """Some of the crystals, in an order."""
        properties = {
            name: tuple(values[i] for i in order) for name, values in self.properties.items()
        }
        return Batch(tuple(self.crystals[i] for i in order), properties)

    def replaced(self, crystals: Sequence[Crystal]) -> Batch:
        """Other crystals with the same properties."""
        return Batch(tuple(crystals), self.properties)


@dataclass(frozen=True)
class Column:
    """One number a crystal, or a reason why there is none.

    Attributes:
        values: Shape ``(n,)``; NaN where there is a reason.
        reasons: By place.
    """

    values: Floats
    reasons: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Sequence[float | Failed]) -> Column:
        """From values and failures."""
        reasons = {i: one.reason for i, one in enumerate(outcomes) if isinstance(one, Failed)}
        numbers = [np.nan if isinstance(one, Failed) else float(one) for one in outcomes]
        return cls(np.array(numbers, dtype=np.float64), reasons)

    def outcomes(self) -> list[float | Failed]:
        """Back to values and failures."""
        return [
            Failed(self.reasons[i]) if i in self.reasons else float(value)
            for i, value in enumerate(self.values)
        ]


class Features:
    """What can be known of a batch, found when it is asked for.

    Args:
        batch: The crystals.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    @cached_property
    def counts(self) -> Floats:
        """Atoms of each element in each cell, shape ``(n, 119)``, by atomic number."""
        counts = np.zeros((len(self.batch), len(SYMBOLS)))
        for row, crystal in zip(counts, self.batch.crystals, strict=True):
            np.add.at(row, crystal.numbers, 1.0)
        return counts

    @cached_property
    def atom_fractions(self) -> Floats:
        """Atomic fractions, shape ``(n, 119)``; rows sum to one."""
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True))

    @cached_property
    def mass_fractions(self) -> Floats:
        """Mass fractions, shape ``(n, 119)``; rows sum to one."""
        masses = self.counts * ATOMIC_MASSES_AMU
        return np.asarray(masses / masses.sum(axis=1, keepdims=True))

    def fractions(self, weights: Weights) -> Floats:
        """Atomic or mass fractions."""
        return self.atom_fractions if weights == "atoms" else self.mass_fractions

    def element(self, name: ElementProperty, statistic: str, weights: Weights) -> Column:
        """A statistic of an element property; fails where it is not tabulated for an element."""
        table = element_table(name)
        present = self.counts > 0
        lacking = present & np.isnan(table)
        reasons = {
            int(i): f"no {name} tabulated for {', '.join(SYMBOLS[z] for z in np.flatnonzero(row))}"
            for i, row in enumerate(lacking)
            if row.any()
        }
        filled = np.nan_to_num(table)
        low = np.where(present, filled, np.inf).min(axis=1)
        high = np.where(present, filled, -np.inf).max(axis=1)
        share = self.fractions(weights)
        mean = share @ filled
        # Of one element the spread is exactly nothing, which rounding would hide.
        spread = np.sqrt((share * (filled - mean[:, None]) ** 2).sum(axis=1)) * (high > low)
        found = {"mean": mean, "std": spread, "min": low, "max": high, "range": high - low}
        values = found[statistic]
        values[list(reasons)] = np.nan
        return Column(values, reasons)

    def share(self, numbers: frozenset[int], weights: Weights) -> Column:
        """Share of atoms or mass that elements have."""
        return Column(self.fractions(weights)[:, sorted(numbers)].sum(axis=1))

    def count(self, of: str) -> Column:
        """Elements, or atoms of the reduced formula."""
        if of == "elements":
            return Column((self.counts > 0).sum(axis=1).astype(np.float64))
        divisors = [gcd(*crystal.counts.values()) for crystal in self.batch.crystals]
        return Column(self.counts.sum(axis=1) / np.array(divisors, dtype=np.float64))

    def composition_distance(self, fractions: Mapping[int, float]) -> Column:
        """Half the L1 distance between atomic fractions, 0 to 1."""
        goal = np.zeros(len(SYMBOLS))
        goal[list(fractions)] = list(fractions.values())
        return Column(0.5 * np.abs(self.atom_fractions - goal).sum(axis=1))

    def diversity(self) -> Column:
        """Mean composition distance of all pairs, shape ``(1,)``; fails for fewer than two."""
        n = len(self.batch)
        if n < 2:
            return Column(np.array([np.nan]), {0: "diversity needs at least two crystals"})
        # Sorted along an element, the sum of all differences is a weighted sum of the values.
        ordered = np.sort(self.atom_fractions, axis=0)
        weights = 2.0 * np.arange(n) - (n - 1)
        return Column(np.array([float((weights @ ordered).sum()) / (n * (n - 1))]))

    def structure(self, name: StructureProperty) -> Column:
        """A number of each structure."""
        return Column.of([_STRUCTURE[name](crystal) for crystal in self.batch.crystals])

    def scored(self, scorer: str) -> Column:
        """Values of a registered scorer; all fail if it was not asked."""
        values = self.batch.properties.get(scorer)
        if values is None:
            return Column.of([Failed(f"scorer {scorer} was not asked")] * len(self.batch))
        return Column.of(values)


@cache
def element_table(name: ElementProperty) -> Floats:
    """An element property by atomic number, shape ``(119,)``; NaN where there is none."""
    numbers = np.arange(len(SYMBOLS), dtype=np.float64)
    match name:
        case "atomic_number":
            return numbers
        case "atomic_mass":
            return ATOMIC_MASSES_AMU.astype(np.float64)
        case "electronegativity":
            return np.where(ELECTRONEGATIVITIES > 0, ELECTRONEGATIVITIES, np.nan)
        case "covalent_radius":
            padding = np.full(len(SYMBOLS) - len(COVALENT_RADII_ANG), np.nan)
            return np.concatenate([COVALENT_RADII_ANG, padding])
    pairs = _TABLES[name]()
    table = np.full(len(SYMBOLS), np.nan)
    table[list(pairs)] = list(pairs.values())
    return table


def _abundances() -> dict[int, float]:
    from ray_matdesign.rewards.scorers.abundance import crustal_abundances_ppm

    return {ATOMIC_NUMBERS[s]: ppm for s, ppm in crustal_abundances_ppm().items()}


def _prices() -> dict[int, float]:
    from ray_matdesign.rewards.scorers.price import element_prices_usd_per_kg

    return element_prices_usd_per_kg()


def _indices(basis: str) -> dict[int, float]:
    from ray_matdesign.rewards.scorers.hhi import indices

    return indices("production" if basis == "production" else "reserve")


def _periodic(attribute: str) -> dict[int, float]:
    import warnings

    from pymatgen.core.periodic_table import Element

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns of each element that has no such value
        for z, symbol in enumerate(SYMBOLS[1:], start=1):
            value = getattr(Element(symbol), attribute)
            if value is not None:
                found[z] = float(value)
    return found


_TABLES: Mapping[str, Callable[[], dict[int, float]]] = {
    "period": partial(_periodic, "row"),
    "group": partial(_periodic, "group"),
    "melting_point": partial(_periodic, "melting_point"),
    "hhi_reserve": partial(_indices, "reserve"),
    "hhi_production": partial(_indices, "production"),
    "price": _prices,
    "abundance": _abundances,
}


def _finite(value: float, why: str) -> float | Failed:
    return float(value) if np.isfinite(value) else Failed(why)


def _closest(crystal: Crystal) -> float | Failed:
    return float(nearest_distances(crystal, 1)[0].mean())


def _coordination(crystal: Crystal) -> float | Failed:
    distances, _ = nearest_distances(crystal, NEIGHBOURS)
    return float((distances <= SHELL * distances[:, :1]).sum(axis=1).mean())


def _packing(crystal: Crystal) -> float | Failed:
    radii = element_table("covalent_radius")[crystal.numbers]
    filled = float((4.0 / 3.0 * pi * radii**3).sum()) / crystal.volume
    return _finite(filled, "an element without a covalent radius")


def _symmetry(crystal: Crystal) -> float | Failed:
    found = space_group(crystal, SYMPREC_ANG)
    return Failed("spglib finds no symmetry") if found is None else float(found[1])


_STRUCTURE: Mapping[StructureProperty, Callable[[Crystal], float | Failed]] = {
    "volume_per_atom": lambda crystal: crystal.volume / len(crystal),
    "density": lambda crystal: crystal.density,
    "number_density": lambda crystal: len(crystal) / crystal.volume,
    "nearest_distance_min": min_distance,
    "nearest_distance_mean": _closest,
    "nearest_contact_min": lambda crystal: _finite(
        float(nearest_contacts(crystal).min()), "an element without a covalent radius"
    ),
    "coordination_mean": _coordination,
    "packing_fraction": _packing,
    "space_group": _symmetry,
}
