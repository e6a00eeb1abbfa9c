"""The replay buffer: past good crystals, trained on again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from ray_matdesign.config.schema import ReplaySettings


@dataclass(frozen=True)
class ReplayEntry:
    """One crystal worth training on again; plain values, so that it may cross processes.

    Attributes:
        key: Of the candidate; adding the same key twice changes nothing.
        formula: Reduced formula; the buffer keeps the best crystal of each.
        diversity_key: What the diversity filter counts, and purges by.
        reward: Penalised reward, as trained on.
        crystal: The generated (unrelaxed) crystal, encoded.
    """

    key: str
    formula: str
    diversity_key: str
    reward: float
    crystal: bytes


class Replay(Protocol):
    """What the loop asks of a buffer, be it in this process or elsewhere."""

    def add(self, entries: Iterable[ReplayEntry]) -> None:
        """Offers entries; the buffer keeps what its rules allow."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> list[ReplayEntry]:
        """Draws up to ``n`` distinct entries, as the settings say."""
        ...

    def purge(self, diversity_keys: Collection[str]) -> int:
        """Drops every entry with one of these keys; returns how many went."""
        ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to restore the buffer: plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the contents by a saved state."""
        ...


class ReplayBuffer:
    """The best crystal of each formula, best first, up to a capacity.

    What it holds does not depend on the order in which entries were added: ties go to the smaller
    key. Rewards at or below ``min_reward`` are not kept.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings
        self._by_formula: dict[str, ReplayEntry] = {}

    def __len__(self) -> int:
        return len(self._by_formula)

    @property
    def entries(self) -> list[ReplayEntry]:
        """Contents, best first."""
        return sorted(self._by_formula.values(), key=_rank)

    def add(self, entries: Iterable[ReplayEntry]) -> None:
        """Offers entries, of which the best of each formula stay, up to the capacity."""
        for entry in entries:
            held = self._by_formula.get(entry.formula)
            if entry.reward > self._settings.min_reward and (
                held is None or _rank(entry) < _rank(held)
            ):
                self._by_formula[entry.formula] = entry
        self._keep(self.entries[: self._settings.capacity])

    def sample(self, n: int, rng: np.random.Generator) -> list[ReplayEntry]:
        """Draws ``min(n, len(self))`` entries: uniformly, without replacement, or the best."""
        entries = self.entries
        if self._settings.prefer == "best":
            return entries[:n]
        chosen = rng.choice(len(entries), size=min(n, len(entries)), replace=False)
        return [entries[index] for index in chosen]

    def purge(self, diversity_keys: Collection[str]) -> int:
        """Drops every entry with one of these diversity keys; returns how many went."""
        before = len(self)
        self._keep(e for e in self.entries if e.diversity_key not in diversity_keys)
        return before - len(self)

    def state_dict(self) -> dict[str, Any]:
        """The entries as plain values."""
        return {"entries": [asdict(entry) for entry in self.entries]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the contents by a saved state."""
        self._keep(ReplayEntry(**entry) for entry in state["entries"])

    def _keep(self, entries: Iterable[ReplayEntry]) -> None:
        self._by_formula = {entry.formula: entry for entry in entries}


def _rank(entry: ReplayEntry) -> tuple[float, str]:
    return -entry.reward, entry.key
