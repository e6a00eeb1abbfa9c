"""What uses of a skill say about it.

Each use either solved its task or did not. With no opinion beforehand, the chance of success after
``s`` successes and ``f`` failures is distributed as Beta(1 + s, 1 + f) (Bayes's rule with a uniform
prior); its quantiles are the bounds that skills are ranked and retired by.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""Of one-sided bounds."""


def lower_bound(successes: int, failures: int, confidence: float = CONFIDENCE) -> float:
    """What the chance of success exceeds with the given confidence; 0.05 of a skill never used."""
    return _quantile(successes, failures, 1.0 - confidence)


def upper_bound(successes: int, failures: int, confidence: float = CONFIDENCE) -> float:
    """What the chance of success stays below with the given confidence."""
    return _quantile(successes, failures, confidence)


@dataclass(frozen=True)
class Attribution:
    """Tasks tried twice, with a skill and without it, all else being equal.

    Attributes:
        both: Solved either way.
        gained: Solved with the skill only.
        lost: Solved without it only.
        neither: Not solved.
    """

    both: int = 0
    gained: int = 0
    lost: int = 0
    neither: int = 0

    @property
    def pairs(self) -> int:
        """How many tasks."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def solved_with(self) -> int:
        """Tasks solved with the skill."""
        return self.both + self.gained

    @property
    def baseline(self) -> float | None:
        """Share of the tasks solved without the skill; none without pairs."""
        return (self.both + self.lost) / self.pairs if self.pairs else None

    def harmful(self, confidence: float = CONFIDENCE) -> bool:
        """Whether it loses more tasks than it gains.

        Only the pairs that differ tell (McNemar's test, here with Beta(1 + gained, 1 + lost)).
        """
        return upper_bound(self.gained, self.lost, confidence) < 0.5


def _quantile(successes: int, failures: int, probability: float) -> float:
    if successes < 0 or failures < 0:
        raise ValueError(f"{successes} successes and {failures} failures: neither can be negative")
    from scipy.special import betaincinv

    return float(betaincinv(1.0 + successes, 1.0 + failures, probability))
