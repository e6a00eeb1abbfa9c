"""What a generator promises, and one that learns from rewards in this way or that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal

Weights = dict[str, NDArray[np.generic]]
"""A state dict as plain arrays: what crosses processes and goes into checkpoints."""

EVERY = slice(None)
"""All crystals of a batch."""


class Generator(Protocol):
    """Makes crystals."""

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """Draws crystals.

        Args:
            n: How many. Fewer may come back where the model emitted arrays that are no crystal.
            seed: The same seed, weights and machine give the same crystals.
            condition: Property values to aim for; a generator without conditions refuses them.
        """
        ...


class Trainable(Generator, Protocol):
    """A generator whose weights a run replaces.

    Attributes:
        version: Counts weight updates; each candidate carries the version that made it.
    """

    version: int

    def weights(self) -> Weights:
        """Every weight, copied out as arrays."""
        ...

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Copies weights in (the arrays may be read-only) and takes their version."""
        ...


class Policy(Trainable, Protocol):
    """A generator that reinforcement learning can fine-tune, by gradients."""

    def encode(self, crystals: Sequence[Crystal]) -> Any:
        """Turns crystals into the model's own batch (opaque to the caller)."""
        ...

    def denoising_losses(
        self,
        batch: Any,
        times: torch.Tensor,
        prior: Policy,
        rng: torch.Generator,
        rows: slice = EVERY,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noises each crystal to its time and measures how well the policy undoes it.

        Args:
            batch: From :meth:`encode`.
            times: Diffusion times in (0, 1], shape ``(n_crystals,)``; 1 is pure noise.
            prior: The frozen policy to compare with, on the same noisy input.
            rng: Source of the noise, which is drawn for all crystals whatever the rows: a
                crystal's noise must not depend on how many processes share the batch.
            rows: The crystals to answer for; at least one.

        Returns:
            Denoising loss and squared deviation from the prior's output, each with one entry for
            each of the rows, differentiable in this policy's parameters.
        """
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimiser updates."""
        ...


@runtime_checkable
class Evolving(Trainable, Protocol):
    """A generator that knows for itself how to learn from rewards, without gradients.

    What it has learnt is its weights, whatever they stand for: a population of crystals, say.
    """

    def learn(
        self, crystals: Sequence[Crystal], rewards: Sequence[float], tried: Sequence[Crystal]
    ) -> None:
        """Takes in what a loop has found; the same calls lead to the same weights.

        Args:
            crystals: As generated, not relaxed; some perhaps of earlier loops.
            rewards: Penalised, one per crystal.
            tried: All that the loop generated, also what was turned down or not evaluated.
        """
        ...
