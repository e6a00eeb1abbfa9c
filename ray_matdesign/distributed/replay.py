"""The replay buffer in an actor of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

import numpy as np
import ray
from ray.exceptions import RayActorError

from ray_matdesign.config.schema import ReplaySettings
from ray_matdesign.rl.replay import ReplayBuffer, ReplayEntry

_JOURNAL_LIMIT = 64
"""Changes kept since the last snapshot before the next one is taken."""

_LOSSES_IN_A_ROW = 3
"""Actors lost one after another over the same call before it is given up."""


class _BufferHost:
    """The actor: a buffer, and nothing that Ray would have to restart."""

    def __init__(self, settings: ReplaySettings, state: Mapping[str, Any]) -> None:
        self._buffer = ReplayBuffer(settings)
        self._buffer.load_state_dict(state)

    def apply(self, method: str, argument: Any) -> Any:
        return getattr(self._buffer, method)(argument)

    def length(self) -> int:
        return len(self._buffer)

    def state_dict(self) -> dict[str, Any]:
        return self._buffer.state_dict()

    def sample(
        self, n: int, state: Mapping[str, Any]
    ) -> tuple[list[ReplayEntry], Mapping[str, Any]]:
        bits = getattr(np.random, state["bit_generator"])()
        bits.state = state
        return self._buffer.sample(n, np.random.Generator(bits)), bits.state


class RemoteReplay:
    """A :class:`ray_matdesign.rl.replay.Replay` hosted by Ray, with one writer: this object.

    Ray would restart a lost actor empty and report success. Here the writer keeps the last snapshot
    and every change since, and gives them to the successor before it asks anything of it. Because
    changes are idempotent, one that the lost actor had already taken does no harm.

    Args:
        settings: Capacity and threshold.

    Raises:
        RayActorError: From any method: the actor was lost three times over the same call.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings
        self._snapshot: dict[str, Any] = ReplayBuffer(settings).state_dict()
        self._journal: list[tuple[str, Any]] = []
        self._host = self._spawn()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RemoteReplay has one writer and cannot be sent to another process")

    def add(self, entries: Iterable[ReplayEntry]) -> None:
        """Offers entries; the buffer keeps what its rules allow."""
        self._change("add", list(entries))

    def purge(self, diversity_keys: Collection[str]) -> int:
        """Drops every entry with one of these keys; returns how many went."""
        return int(self._change("purge", sorted(diversity_keys)))

    def sample(self, n: int, rng: np.random.Generator) -> list[ReplayEntry]:
        """Draws up to ``n`` distinct entries; ``rng`` advances as it would locally."""
        entries, rng.bit_generator.state = self._ask("sample", n, rng.bit_generator.state)
        return list(entries)

    def __len__(self) -> int:
        return int(self._ask("length"))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to restore the buffer; also the snapshot a successor starts from."""
        self._snapshot, self._journal = self._ask("state_dict"), []
        return self._snapshot

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces the contents by a saved state."""
        self._snapshot, self._journal = dict(state), []
        self._ask("apply", "load_state_dict", self._snapshot)

    def close(self) -> None:
        """Ends the actor; idempotent."""
        ray.kill(self._host, no_restart=True)

    def _change(self, method: str, argument: Any) -> Any:
        result = self._ask("apply", method, argument)
        self._journal.append((method, argument))
        if len(self._journal) >= _JOURNAL_LIMIT:
            self.state_dict()
        return result

    def _ask(self, method: str, *arguments: Any) -> Any:
        for attempt in range(1, _LOSSES_IN_A_ROW + 1):
            try:
                return ray.get(getattr(self._host, method).remote(*arguments))
            except RayActorError:
                if attempt == _LOSSES_IN_A_ROW:
                    raise
                self._host = self._spawn()
        raise AssertionError("unreachable")

    def _spawn(self) -> Any:
        host = _HOST.options(num_cpus=0, max_restarts=0).remote(self._settings, self._snapshot)
        for method, argument in self._journal:
            # Not awaited: an actor runs its calls in order, so later ones see these.
            host.apply.remote(method, argument)
        return host


_HOST: Any = ray.remote(_BufferHost)  # Ray's types know no methods of actors
