"""Stable, unique, novel: the three flags of generated crystals, and their shares.

As in MatterGen (Zeni et al., Nature 639, 624 (2025)) and MatInvent (arXiv:2511.03112): uniqueness
within the batch, novelty against the reference set, never against earlier batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.stability.reference import ReferenceSet


@dataclass(frozen=True)
class SunFlags:
    """The verdict on one relaxed crystal."""

    stable: bool
    unique: bool
    novel: bool

    @property
    def sun(self) -> bool:
        """All three."""
        return self.stable and self.unique and self.novel

    def satisfies(self, requirements: Sequence[str]) -> bool:
        """Whether the crystal is everything in ``StabilitySettings.require``."""
        return all(getattr(self, requirement) for requirement in requirements)


@dataclass(frozen=True)
class SunShares:
    """Shares of a batch; the denominator is what was generated, failures included."""

    stable: float
    unique: float
    novel: float
    sun: float


def sun_flags(
    crystals: Sequence[Crystal],
    e_above_hull_ev_per_atom: Sequence[float],
    reference: ReferenceSet,
    settings: StabilitySettings,
) -> list[SunFlags]:
    """Judges a batch of relaxed crystals.

    Args:
        crystals: Relaxed.
        e_above_hull_ev_per_atom: Of each crystal; negative below the hull.
        reference: What novelty is judged against.
        settings: Threshold and tolerances.

    Returns:
        One verdict for each crystal, in order.
    """
    unique = unique_mask(crystals, settings)
    novel = reference.novel_mask(crystals)
    limit = settings.max_e_above_hull_ev_per_atom
    return [
        SunFlags(stable=energy <= limit, unique=u, novel=n)
        for energy, u, n in zip(e_above_hull_ev_per_atom, unique, novel, strict=True)
    ]


def sun_shares(flags: Sequence[SunFlags], generated: int) -> SunShares:
    """Shares of stable, unique, novel and S.U.N. crystals.

    Args:
        flags: Of the crystals that reached judgement.
        generated: How many were generated; those that never got that far count as none of these.

    Raises:
        ValueError: Fewer were generated than judged, or none.
    """
    if generated < max(1, len(flags)):
        raise ValueError(f"{len(flags)} crystals judged of {generated} generated")
    return SunShares(
        stable=sum(f.stable for f in flags) / generated,
        unique=sum(f.unique for f in flags) / generated,
        novel=sum(f.novel for f in flags) / generated,
        sun=sum(f.sun for f in flags) / generated,
    )
