"""Drawing atom types, freely or so that the crystal has a given make-up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

import numpy as np
import torch
from torch import Tensor

from ray_matdesign.config.schema import ConstraintSettings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.generators.diffusion.denoiser import N_TYPES


class ConstraintError(ValueError):
    """A make-up that the generator cannot draw."""


class TypeDraw:
    """Draws types within the constraints.

    Args:
        known: Atomic numbers the network was trained on.
        settings: What crystals must be made of.
        max_atoms: Largest cell.

    Raises:
        ConstraintError: The network does not know a wanted element, nothing is left to draw, or
            the formula does not fit into the largest cell.
    """

    def __init__(self, known: Sequence[int], settings: ConstraintSettings, max_atoms: int) -> None:
        self.formula = _formula(settings.composition)
        self.system = frozenset(_numbers(settings, "chemical_system"))
        wanted = self.system | self.formula.keys()
        if unknown := sorted(wanted - set(known)):
            names = ", ".join(SYMBOLS[z] for z in unknown)
            raise ConstraintError(f"generator.constraints: the weights were not trained on {names}")
        if (atoms := sum(self.formula.values())) > max_atoms:
            raise ConstraintError(
                f"generator.constraints.composition: {settings.composition} has {atoms} atoms, "
                f"the generator draws cells of at most {max_atoms}"
            )
        allowed = set(known)
        if settings.allowed_elements:
            allowed &= _numbers(settings, "allowed_elements")
        allowed -= _numbers(settings, "excluded_elements")
        if wanted:
            allowed = set(wanted)
        if not allowed:
            raise ConstraintError("generator.constraints leave no element to draw")
        self.elements = sorted(allowed)
        self._barred = torch.full((N_TYPES,), -torch.inf)
        self._barred[self.elements] = 0.0

    @property
    def free(self) -> bool:
        """Whether each orbit may be drawn without regard to the others."""
        return not (self.system or self.formula)

    def admits(self, multiplicities: tuple[int, ...]) -> bool:
        """Whether orbits of these sizes can be filled."""
        if self.formula:
            units, rest = divmod(sum(multiplicities), sum(self.formula.values()))
            counts = tuple(n * units for n in self.formula.values())
            return rest == 0 and _fillable(tuple(sorted(multiplicities)), counts)
        return len(multiplicities) >= len(self.system)

    def __call__(
        self,
        logits: Tensor,
        types: Tensor,
        chosen: Tensor,
        multiplicity: Tensor,
        rng: torch.Generator,
    ) -> Tensor:
        """Types with the chosen orbits revealed.

        Args:
            logits: Shape ``(batch, orbits, 119)``.
            types: Types now, 0 where hidden, shape ``(batch, orbits)``.
            chosen: True where to reveal, shape ``(batch, orbits)``.
            multiplicity: Atoms of each orbit, 0 in padding, shape ``(batch, orbits)``.
            rng: Source of randomness.
        """
        probabilities = torch.softmax(logits + self._barred, dim=-1)
        if self.free:
            drawn = torch.multinomial(probabilities.flatten(0, 1), 1, generator=rng)
            return torch.where(chosen, drawn.view_as(types), types)
        types = types.clone()
        for row, orbit in chosen.nonzero().tolist():
            open_elements = self._open(types[row].tolist(), multiplicity[row].tolist(), orbit)
            among = probabilities[row, orbit, open_elements] + 1e-12
            types[row, orbit] = open_elements[int(torch.multinomial(among, 1, generator=rng))]
        return types

    def _open(self, types: list[int], sizes: list[int], orbit: int) -> list[int]:
        """Elements this orbit may take so that the others can still complete the crystal."""
        hidden = [n for k, n in enumerate(sizes) if n and types[k] == 0 and k != orbit]
        if not self.formula:
            missing = self.system - set(types)
            return sorted(missing if len(hidden) < len(missing) else self.system)
        units = sum(sizes) // sum(self.formula.values())
        placed = np.bincount(types, weights=sizes, minlength=N_TYPES)
        left = {z: n * units - int(placed[z]) for z, n in self.formula.items()}
        rest = tuple(sorted(hidden))
        return [
            z
            for z in self.formula
            if left[z] >= sizes[orbit]
            and _fillable(rest, tuple(n - sizes[orbit] * (e == z) for e, n in left.items()))
        ]


def _numbers(settings: ConstraintSettings, key: str) -> set[int]:
    """Atomic numbers of the symbols under one key."""
    symbols: tuple[str, ...] = getattr(settings, key)
    if odd := [symbol for symbol in symbols if symbol not in ATOMIC_NUMBERS]:
        raise ConstraintError(f"generator.constraints.{key}: {odd[0]} is no element")
    return {ATOMIC_NUMBERS[symbol] for symbol in symbols}


def _formula(composition: str) -> dict[int, int]:
    """Atoms of each element in one formula unit; empty for an empty string."""
    if not composition:
        return {}
    from pymatgen.core import Composition

    try:
        counts = Composition(composition).get_el_amt_dict()
    except ValueError as error:
        raise ConstraintError(
            f"generator.constraints.composition: {composition!r} is no chemical formula: {error}"
        ) from error
    odd = [symbol for symbol in counts if symbol not in ATOMIC_NUMBERS]
    if odd or any(n != round(n) for n in counts.values()):
        raise ConstraintError(
            f"generator.constraints.composition: {composition!r} is no formula of whole atoms of "
            f"known elements"
        )
    whole = {ATOMIC_NUMBERS[symbol]: round(n) for symbol, n in counts.items()}
    units = gcd(*whole.values())
    return {z: n // units for z, n in whole.items()}


@lru_cache(maxsize=100_000)
def _fillable(sizes: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Whether groups of these sizes, ascending, can be dealt out to make the counts exactly."""
    if not sizes:
        return not any(counts)
    largest = sizes[-1]
    return any(
        _fillable(sizes[:-1], tuple(sorted((*counts[:k], n - largest, *counts[k + 1 :]))))
        for k, n in enumerate(counts)
        if n >= largest
    )
