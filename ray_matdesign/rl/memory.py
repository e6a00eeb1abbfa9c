"""Long-term memory: every property evaluation ever paid for, and what the run learned by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

BURDEN_NEEDS_HITS = 100
"""Hits below which MatInvent does not report a burden."""

DIVERSITY_UP_TO_EVALUATIONS = 3000
"""Evaluations after which MatInvent no longer reports a diversity ratio."""


@dataclass(frozen=True)
class Evaluated:
    """One paid evaluation.

    Attributes:
        key: Of the candidate.
        loop: In which it was paid.
        formula: Reduced formula.
        diversity_key: What the diversity filter counts.
        reward: Unpenalised; ``None`` where the evaluation failed (it is billed all the same).
    """

    key: str
    loop: int
    formula: str
    diversity_key: str
    reward: float | None


class LongTermMemory:
    """Append-only record of evaluations, in the order they were made."""

    def __init__(self) -> None:
        self._records: dict[str, Evaluated] = {}

    def __len__(self) -> int:
        """Evaluations paid for, failed ones included."""
        return len(self._records)

    def append(self, records: Iterable[Evaluated]) -> None:
        """Adds evaluations; a key that is already known changes nothing."""
        for record in records:
            self._records.setdefault(record.key, record)

    def occurrences(self) -> Counter[str]:
        """Successful evaluations by diversity key."""
        return Counter(r.diversity_key for r in self._records.values() if r.reward is not None)

    def unique_formulas(self) -> int:
        """Distinct formulas evaluated successfully."""
        return len({r.formula for r in self._records.values() if r.reward is not None})

    def unique_hits(self, threshold: float) -> int:
        """Distinct formulas with a reward above the threshold."""
        return len(
            {
                r.formula
                for r in self._records.values()
                if r.reward is not None and r.reward > threshold
            }
        )

    def burden(self, threshold: float) -> float | None:
        """Evaluations per unique hit; ``None`` before the hundredth hit."""
        hits = self.unique_hits(threshold)
        return len(self) / hits if hits >= BURDEN_NEEDS_HITS else None

    def diversity_ratio(self) -> float | None:
        """Unique formulas per evaluation; ``None`` before the first evaluation and beyond 3,000."""
        if not 0 < len(self) <= DIVERSITY_UP_TO_EVALUATIONS:
            return None
        return self.unique_formulas() / len(self)

    def baseline(self, loops: int = 3) -> float | None:
        """Mean reward of the last loops that evaluated anything; ``None`` before the first.

        MatInvent computes it and does not use it; neither is it used here, but reported.
        """
        scored = [r for r in self._records.values() if r.reward is not None]
        recent = set(sorted({r.loop for r in scored})[-loops:])
        rewards = [r.reward for r in scored if r.reward is not None and r.loop in recent]
        return sum(rewards) / len(rewards) if rewards else None

    def state_dict(self) -> dict[str, Any]:
        """The records as plain values."""
        return {"records": [asdict(record) for record in self._records.values()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the contents by a saved state."""
        self._records = {}
        self.append(Evaluated(**record) for record in state["records"])
