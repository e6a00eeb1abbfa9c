"""A generator of well-known binary crystals of two atoms, for tests of whole recipes.

What recipes cost is the properties' price: on two atoms even phonons and elastic tensors take about
a second. There are so few crystals that a loop often meets one of an earlier loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal

_FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])

SALTS: tuple[Crystal, ...] = (
    Crystal(_FCC * 4.21, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8]),  # MgO
    Crystal(_FCC * 5.41, [[0, 0, 0], [0.25, 0.25, 0.25]], [30, 16]),  # ZnS
    Crystal(_FCC * 4.26, [[0, 0, 0], [0.5, 0.5, 0.5]], [28, 8]),  # NiO
)


class SaltPolicy:
    """A choice among the first of :data:`SALTS`: one logit each."""

    def __init__(self, kinds: int) -> None:
        self.version = 0
        self.logits = torch.nn.Parameter(torch.zeros(kinds))

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        probabilities = torch.softmax(self.logits.detach().double(), 0).numpy()
        picked = np.random.default_rng(seed).choice(len(probabilities), n, p=probabilities)
        return [SALTS[k] for k in picked]

    def encode(self, crystals: Sequence[Crystal]) -> torch.Tensor:
        formulas = [salt.formula for salt in SALTS]
        return torch.tensor([formulas.index(crystal.formula) for crystal in crystals])

    def denoising_losses(
        self, batch: torch.Tensor, times: torch.Tensor, prior: Any, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        surprise = -torch.log_softmax(self.logits, 0)[batch]
        away = ((self.logits - prior.logits.detach()) ** 2).mean()
        return surprise, away.expand(len(batch))

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return iter((self.logits,))

    def weights(self) -> dict[str, NDArray[np.generic]]:
        return {"logits": self.logits.detach().numpy().copy()}

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        with torch.no_grad():
            self.logits.copy_(torch.from_numpy(np.array(weights["logits"])))
        self.version = version


def load(settings: GeneratorSettings) -> SaltPolicy:
    return SaltPolicy(settings.options.get("kinds", len(SALTS)))
