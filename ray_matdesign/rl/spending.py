"""How often each scorer was asked: what the properties of a run cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ray_matdesign.rewards.scorer import CostClass
from ray_matdesign.rl.candidate import Candidate


class Spending:
    """Counts of crystals by scorer: computed anew, failures included, and recalled from a cache."""

    def __init__(self) -> None:
        self.computed: Counter[str] = Counter()
        self.recalled: Counter[str] = Counter()
        self._costs: dict[str, str] = {}

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Counts what the candidates' evaluations asked for."""
        for candidate in candidates:
            self.computed.update(candidate.computed.keys())
            self.recalled.update(candidate.recalled.keys())
            self._costs.update({**candidate.computed, **candidate.recalled})

    def include(self, other: Spending) -> None:
        """Adds another's counts."""
        self.computed.update(other.computed)
        self.recalled.update(other.recalled)
        self._costs.update(other._costs)

    @property
    def scorers(self) -> list[str]:
        """Those asked at least once, by name."""
        return sorted(self._costs)

    def computed_by_cost(self) -> dict[str, int]:
        """Computed values of each cost class, cheapest first; none is left out."""
        return {
            cost.value: sum(n for name, n in self.computed.items() if self._costs[name] == cost)
            for cost in CostClass
        }

    def state_dict(self) -> dict[str, Any]:
        """The counts as plain values."""
        return {
            "computed": dict(self.computed),
            "recalled": dict(self.recalled),
            "costs": dict(self._costs),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the counts by saved ones."""
        self.computed = Counter(state["computed"])
        self.recalled = Counter(state["recalled"])
        self._costs = dict(state["costs"])
