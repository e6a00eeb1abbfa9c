"""Herfindahl-Hirschman index: how few countries an element comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.composition import mass_weighted_mean

Basis = Literal["reserve", "production"]


class HHI:
    """Mass-weighted mean index of the elements; 10,000 is a monopoly, below 1,500 is low.

    Elements without an index (H, the noble gases but He, Tc, and from Po on) make a failure.
    """

    name = "hhi"
    unit = ""
    version = "1"
    cost = CostClass.CHEAP

    def __init__(self, table: Mapping[int, float], basis: Basis) -> None:
        self.source = (
            f"{basis} index of Gaultois et al., Chem. Mater. 25, 2911 (2013), as in pymatgen"
        )
        self._table = table

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Index of each specimen, 0 to 10,000."""
        return [mass_weighted_mean(s.crystal, self._table, "HHI") for s in specimens]


def make(bench: Bench, basis: Basis = "reserve") -> HHI:
    """Builds the scorer from pymatgen's table.

    Args:
        bench: Not used.
        basis: ``reserve`` (MatInvent's) or ``production``.

    Raises:
        ValueError: Another basis.
    """
    if basis not in get_args(Basis):
        raise ValueError(f"hhi: basis must be reserve or production, got {basis!r}")
    return HHI(indices(basis), basis)


def indices(basis: Basis) -> dict[int, float]:
    """Index of each element that has one, by atomic number, from pymatgen's table."""
    from pymatgen.analysis import hhi

    tables: Any = hhi  # untyped
    column = 0 if basis == "production" else 1
    pairs = tables.HHIModel().symbol_hhip_hhir.items()
    return {ATOMIC_NUMBERS[symbol]: float(pair[column]) for symbol, pair in pairs}
