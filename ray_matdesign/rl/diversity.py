"""The diversity filter: a formula found often earns less, and in the end nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_matdesign.config.schema import DiversitySettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS


@dataclass(frozen=True)
class Penalised:
    """Rewards after the filter.

    Attributes:
        rewards: Same order as given.
        purge: Keys that the replay buffer should forget.
    """

    rewards: list[float]
    purge: frozenset[str]


def diversity_key(crystal: Crystal, settings: DiversitySettings) -> str:
    """What counts as the same find: the reduced formula, or the set of elements (``Li-Mn-O``)."""
    if settings.key == "formula":
        return crystal.formula
    return "-".join(sorted(SYMBOLS[z] for z in crystal.elements))


def diversity_factor(occurrences: int, settings: DiversitySettings) -> float:
    """Share of the reward that a key keeps after so many occurrences, the present ones included.

    1 up to the tolerance, 0 from the buffer on, linear between: the form in MatInvent's code; its
    paper's Eq. 12 prints the complement.
    """
    span = settings.buffer - settings.tolerance
    return min(1.0, max(0.0, (settings.buffer - occurrences) / span))


def penalise(
    keys: Sequence[str],
    rewards: Sequence[float],
    occurrences: Mapping[str, int],
    settings: DiversitySettings,
) -> Penalised:
    """Applies the filter to one loop's rewards.

    Args:
        keys: Diversity key of each crystal.
        rewards: Unpenalised, same order; left as they are.
        occurrences: How often each key has been evaluated in the run, this loop included.
        settings: Tolerance and buffer.
    """
    factors = {key: diversity_factor(occurrences[key], settings) for key in set(keys)}
    return Penalised(
        rewards=[reward * factors[key] for key, reward in zip(keys, rewards, strict=True)],
        purge=frozenset(key for key, factor in factors.items() if factor == 0.0),
    )
