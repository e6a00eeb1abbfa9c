"""Long-term memory: every property evaluation ever paid for, and what the run learned by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rl.spending import Spending

BURDEN_NEEDS_HITS = 100
"""Hits below which MatInvent does not report a burden."""

DIVERSITY_UP_TO_EVALUATIONS = 3000
"""Evaluations after which MatInvent no longer reports a diversity ratio."""


@dataclass(frozen=True)
class Rested:
    """A relaxed crystal and its energies, as plain values.

    Attributes:
        crystal: Encoded.
        energy_ev_per_atom: The potential's.
        formation_energy_ev_per_atom: Against the reference's elements.
        e_above_hull_ev_per_atom: Against the reference's hull.
    """

    crystal: bytes
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float
    e_above_hull_ev_per_atom: float

    @classmethod
    def of(cls, specimen: Specimen) -> Self:
        """The plain values of a specimen."""
        return cls(
            encode_crystals([specimen.crystal]),
            specimen.energy_ev_per_atom,
            specimen.formation_energy_ev_per_atom,
            specimen.e_above_hull_ev_per_atom,
        )

    @property
    def specimen(self) -> Specimen:
        """What the scorers saw."""
        (crystal,) = decode_crystals(self.crystal)
        return Specimen(
            crystal,
            self.energy_ev_per_atom,
            self.formation_energy_ev_per_atom,
            self.e_above_hull_ev_per_atom,
        )


@dataclass(frozen=True)
class Evaluated:
    """One paid evaluation.

    Attributes:
        key: Of the candidate.
        loop: In which it was paid.
        formula: Reduced formula.
        diversity_key: What the diversity filter counts.
        reward: Unpenalised; ``None`` where the evaluation failed (it is billed all the same).
        values: Property by scorer, in the scorer's unit; those that were obtained.
        rested: The crystal at rest; ``None`` in runs begun by versions that did not remember it.
        generated: The crystal as generated, encoded; ``None`` likewise.
    """

    key: str
    loop: int
    formula: str
    diversity_key: str
    reward: float | None
    values: Mapping[str, float] = field(default_factory=dict)
    rested: Rested | None = None
    generated: bytes | None = None


class LongTermMemory:
    """Append-only record of evaluations, in the order they were made.

    Attributes:
        spending: How often each scorer was asked.
    """

    def __init__(self) -> None:
        self.spending = Spending()
        self._records: dict[str, Evaluated] = {}

    def __len__(self) -> int:
        """Evaluations paid for, failed ones included."""
        return len(self._records)

    def append(self, records: Iterable[Evaluated]) -> None:
        """Adds evaluations; a key that is already known changes nothing."""
        for record in records:
            self._records.setdefault(record.key, record)

    def up_to(self, loop: int) -> LongTermMemory:
        """The evaluations of the loops up to this one, without what they cost."""
        earlier = LongTermMemory()
        earlier.append(record for record in self._records.values() if record.loop <= loop)
        return earlier

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
        return self._per_hit(len(self), threshold)

    def burden_by_cost(self, threshold: float) -> dict[str, float | None]:
        """Computed values of each cost class per unique hit, likewise."""
        counts = self.spending.computed_by_cost()
        return {cost: self._per_hit(count, threshold) for cost, count in counts.items()}

    def _per_hit(self, count: int, threshold: float) -> float | None:
        hits = self.unique_hits(threshold)
        return count / hits if hits >= BURDEN_NEEDS_HITS else None

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

    @property
    def records(self) -> list[Evaluated]:
        """Every evaluation, in the order they were made."""
        return list(self._records.values())

    def state_dict(self) -> dict[str, Any]:
        """The records and counts as plain values."""
        return {
            "records": [asdict(record) for record in self._records.values()],
            "spending": self.spending.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the contents by a saved state."""
        self._records = {}
        self.append(_evaluated(record) for record in state["records"])
        self.spending = Spending()
        if "spending" in state:  # not in checkpoints older than the counts
            self.spending.load_state_dict(state["spending"])


def _evaluated(record: Mapping[str, Any]) -> Evaluated:
    rested = record.get("rested")  # not in checkpoints of older versions
    return Evaluated(**{**record, "rested": None if rested is None else Rested(**rested)})
