"""The convex hull of formation energies over composition.

The hull's energy at a composition is the least a mixture of known compounds of that composition
can have: a small linear programme over the compounds that hold no element besides the ones asked
for. A general phase-diagram code builds every facet first, which takes minutes for a table of
95,000 compounds; this takes less than a millisecond.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.crystals.elements import SYMBOLS, formula_from_counts

Counts = Mapping[int, int]
"""Atoms of each element by atomic number."""

_MAX_CACHED_SUBSPACES = 4096
_MIN_FRACTION = 1e-6
_PIVOT = 1e-10
_STEEPEST_PIVOTS = 200
_MAX_PIVOTS = 5000


class MissingElements(ValueError):
    """A composition holds elements the hull knows nothing about; the message names them."""


@dataclass(frozen=True)
class _Subspace:
    """The compounds within one set of elements, as the programme needs them."""

    fractions: NDArray[np.float64]
    energies: NDArray[np.float64]
    formulas: tuple[str, ...]


class CompositionHull:
    """Lowest formation energies by composition, and the hull below them."""

    def __init__(
        self,
        compositions: Sequence[Counts],
        formation_energies_ev_per_atom: ArrayLike,
        elements: frozenset[int] | None = None,
    ) -> None:
        """Takes a table of compounds.

        Args:
            compositions: Of each compound, reduced or not; repeats are allowed.
            formation_energies_ev_per_atom: Shape ``(n,)``, against the elements, which are at 0.
            elements: Atomic numbers the hull answers for; those of the compounds by default.
                Compounds of others are left out.
        """
        energies = np.asarray(formation_energies_ev_per_atom, dtype=np.float64)
        if energies.shape != (len(compositions),):
            raise ValueError(
                f"{len(compositions)} compositions but energies of shape {energies.shape}"
            )
        if not np.isfinite(energies).all():
            raise ValueError("a formation energy is not finite")
        known = frozenset(itertools.chain.from_iterable(compositions))
        self.elements = known if elements is None else elements
        self._compositions = [dict(composition) for composition in compositions]
        self._energies = energies
        self._by_elements: dict[frozenset[int], list[int]] = {}
        for index, composition in enumerate(self._compositions):
            key = frozenset(composition)
            if key <= self.elements:
                self._by_elements.setdefault(key, []).append(index)
        self._subspaces: dict[tuple[int, ...], _Subspace] = {}
        self._solved: dict[tuple[tuple[int, int], ...], tuple[float, dict[str, float]]] = {}

    def __len__(self) -> int:
        return len(self._compositions)

    @property
    def entries(self) -> Iterator[tuple[dict[int, int], float]]:
        """Composition and formation energy (eV/atom) of each compound."""
        return zip(self._compositions, self._energies.tolist(), strict=True)

    def energy(self, counts: Counts) -> float:
        """Energy of the hull at a composition, eV/atom.

        Raises:
            MissingElements: The hull does not know an element.
        """
        return self._solve(counts)[0]

    def e_above_hull(self, counts: Counts, formation_energy_ev_per_atom: float) -> float:
        """Formation energy minus the hull's, eV/atom.

        The candidate itself is not part of the hull, so one below it gets a negative value. A
        compound of the same composition in the table is: a polymorph is measured against the
        best known one.

        Raises:
            MissingElements: The hull does not know an element.
        """
        return formation_energy_ev_per_atom - self.energy(counts)

    def decomposition(self, counts: Counts) -> dict[str, float]:
        """The mixture the hull is made of at a composition: atom fractions by formula.

        Raises:
            MissingElements: The hull does not know an element.
        """
        return dict(self._solve(counts)[1])

    def _solve(self, counts: Counts) -> tuple[float, dict[str, float]]:
        missing = sorted(set(counts) - self.elements)
        if missing:
            raise MissingElements(
                f"the reference hull does not cover {', '.join(SYMBOLS[z] for z in missing)}"
            )
        divisor = reduce(gcd, counts.values())
        key = tuple(sorted((z, n // divisor) for z, n in counts.items()))
        if key not in self._solved:
            self._solved[key] = self._minimum(dict(key))
        return self._solved[key]

    def _minimum(self, counts: Counts) -> tuple[float, dict[str, float]]:
        elements = tuple(sorted(counts))
        space = self._subspace(elements)
        target = np.array([counts[z] for z in elements], dtype=np.float64)
        basis, shares = lowest_mixture(space.fractions, space.energies, target / target.sum())
        mixture = {
            space.formulas[i]: float(share)
            for i, share in zip(basis, shares, strict=True)
            if share > _MIN_FRACTION
        }
        return float(space.energies[basis] @ shares), mixture

    def _subspace(self, elements: tuple[int, ...]) -> _Subspace:
        if elements not in self._subspaces:
            if len(self._subspaces) >= _MAX_CACHED_SUBSPACES:
                self._subspaces.clear()
            self._subspaces[elements] = self._build_subspace(elements)
        return self._subspaces[elements]

    def _build_subspace(self, elements: tuple[int, ...]) -> _Subspace:
        column = {z: i for i, z in enumerate(elements)}
        # A compound that costs energy to form from its elements is never part of the hull.
        members = [i for i in self._within(frozenset(elements)) if self._energies[i] < 0]
        fractions = np.zeros((len(elements) + len(members), len(elements)))
        fractions[: len(elements)] = np.eye(len(elements))
        for row, index in enumerate(members, start=len(elements)):
            for z, n in self._compositions[index].items():
                fractions[row, column[z]] = n
        fractions /= fractions.sum(axis=1, keepdims=True)
        energies = np.concatenate([np.zeros(len(elements)), self._energies[members]])
        formulas = [SYMBOLS[z] for z in elements]
        formulas += [formula_from_counts(self._compositions[i]) for i in members]
        return _Subspace(fractions, energies, tuple(formulas))

    def _within(self, elements: frozenset[int]) -> list[int]:
        """Indices of the compounds made of these elements only."""
        if 2 ** len(elements) <= len(self._by_elements):
            subsets = (
                frozenset(subset)
                for size in range(1, len(elements) + 1)
                for subset in itertools.combinations(elements, size)
            )
            keys = [subset for subset in subsets if subset in self._by_elements]
        else:
            keys = [key for key in self._by_elements if key <= elements]
        return sorted(itertools.chain.from_iterable(self._by_elements[key] for key in keys))


def lowest_mixture(
    fractions: NDArray[np.float64], energies: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Mixes compounds to a composition at the lowest energy.

    The revised simplex method: minimise ``energies @ w`` over ``w >= 0`` with
    ``fractions.T @ w = target``. With a handful of elements it takes some ten pivots, a hundredth
    of what a general solver spends on its set-up.

    Args:
        fractions: Atom fractions of each compound, shape ``(n, n_elements)``; the first
            ``n_elements`` rows are the elements themselves, in order.
        energies: Shape ``(n,)``, eV/atom.
        target: Atom fractions wanted, shape ``(n_elements,)``.

    Returns:
        Indices of ``n_elements`` compounds and the share of each in the mixture; some may be zero.
    """
    n_elements = len(target)
    basis = np.arange(n_elements)
    shares = target.copy()
    for step in range(_MAX_PIVOTS):
        matrix = fractions[basis].T
        potentials = np.linalg.solve(matrix.T, energies[basis])
        gains = energies - fractions @ potentials
        # Ties can make the steepest choice cycle; the first improving one never does (Bland).
        entering = int(gains.argmin() if step < _STEEPEST_PIVOTS else (gains < -_PIVOT).argmax())
        if gains[entering] >= -_PIVOT:
            return basis, shares
        direction = np.linalg.solve(matrix, fractions[entering])
        limits = np.full(n_elements, np.inf)
        falling = direction > _PIVOT
        limits[falling] = shares[falling] / direction[falling]
        ties = np.flatnonzero(limits <= limits.min() + _PIVOT)
        leaving = int(ties[basis[ties].argmin()])
        basis[leaving] = entering
        shares = np.maximum(np.linalg.solve(fractions[basis].T, target), 0.0)
    raise RuntimeError(f"hull of {n_elements} elements did not settle in {_MAX_PIVOTS} pivots")
