"""The embedded diffusion model as a policy that reinforcement learning can steer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.schema import ConstraintSettings, GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.geometry import nearest_contacts
from ray_matdesign.generators.diffusion.artifact import Artifact, load_artifact
from ray_matdesign.generators.diffusion.batch import (
    CrystalBatch,
    collate,
    collate_scaffolds,
)
from ray_matdesign.generators.diffusion.constraints import ConstraintError, TypeDraw
from ray_matdesign.generators.diffusion.losses import (
    LossWeights,
    add_noise,
    answer_deviation,
    crystal_losses,
)
from ray_matdesign.generators.diffusion.sampler import SamplerOptions, denoise, halves, pure_noise
from ray_matdesign.generators.diffusion.symmetry import Scaffold, symmetrise
from ray_matdesign.generators.protocol import EVERY, Policy, Weights

_CHUNK = 16
_ATTEMPTS = 8
"""Of getting as many crystals as were asked for; the last takes whatever comes."""


class DiffusionPolicy:
    """Samples crystals and exposes their denoising losses.

    Args:
        artifact: Trained network and training statistics.
        options: Sampler.
        constraints: What crystals must be made of.
        condition: Property values to aim for, unless :meth:`sample` is given others.
    """

    def __init__(
        self,
        artifact: Artifact,
        options: SamplerOptions,
        constraints: ConstraintSettings | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> None:
        self.version = 0
        self.denoiser = artifact.denoiser
        self.options = options
        self._draw = TypeDraw(
            artifact.elements, constraints or ConstraintSettings(), self.denoiser.shape.max_atoms
        )
        self._condition = self._told(condition or {})
        self._scaffolds = artifact.scaffolds
        self._known = artifact.known
        admitted = {
            key: count
            for key, count in artifact.scaffolds.counts.items()
            if self._draw.admits(artifact.scaffolds.multiplicities(key))
        }
        self._keys = list(admitted)
        self._counts = torch.tensor(list(admitted.values()), dtype=torch.float64)
        if not admitted:
            raise ConstraintError(
                "generator.constraints: no scaffold of the training data can hold such a crystal"
            )

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """Draws crystals on scaffolds as frequent as in the training data.

        What the options rule out, crystals known from the training data and those with overlapping
        or isolated atoms, is drawn anew, up to seven times.

        See :class:`~..protocol.Generator`.
        """
        told = self._told(condition) if condition else self._condition
        rng = torch.Generator().manual_seed(seed)
        drawn: list[Crystal | None] = []
        for attempt in range(_ATTEMPTS):
            if missing := n - len(drawn):
                drawn += self._draw_some(missing, told, rng, choosy=attempt < _ATTEMPTS - 1)
        return [crystal for crystal in drawn if crystal is not None]

    def _draw_some(
        self, n: int, told: torch.Tensor | None, rng: torch.Generator, *, choosy: bool
    ) -> list[Crystal | None]:
        """At most ``n`` crystals; fewer, if ``choosy``, where some are given up."""
        picked = torch.multinomial(self._counts, n, replacement=True, generator=rng)
        keys = [self._keys[k] for k in picked.tolist()]
        # Crystals of like size share a chunk, so that padding costs little.
        sizes = torch.tensor([len(self._scaffolds.multiplicities(key)) for key in keys])
        drawn: dict[int, Crystal | None] = {}
        deciding, settling = halves(self.options)
        for part in torch.argsort(sizes, stable=True).split(_CHUNK):
            batch = collate_scaffolds([self._scaffolds.scaffold(*keys[k]) for k in part.tolist()])
            walk = partial(
                denoise,
                self.denoiser,
                options=self.options,
                rng=rng,
                reveal=partial(self._draw, multiplicity=batch.multiplicity, rng=rng),
                condition=told,
            )
            decided = walk(pure_noise(batch, rng), deciding)
            if choosy and self.options.avoid_known:
                fresh = (~self._known.holds(decided)).nonzero().squeeze(-1)
                if not len(fresh):
                    continue
                part, decided = part[fresh], decided.rows(fresh)
            scaffolds = [self._scaffolds.scaffold(*keys[k]) for k in part.tolist()]
            crystals = self._crystals(walk(decided, settling), scaffolds)
            drawn.update(
                (k, crystal)
                for k, crystal in zip(part.tolist(), crystals, strict=True)
                if not (choosy and self._misplaced(crystal))
            )
        return [drawn[k] for k in sorted(drawn)]

    def _misplaced(self, crystal: Crystal | None) -> bool:
        """Whether atoms overlap, or float apart from all others."""
        if crystal is None:
            return False
        contacts = nearest_contacts(crystal)
        low, high = self.options.min_contact, self.options.max_contact
        return bool(contacts.min() < low or contacts.max() > high)

    def _told(self, condition: Mapping[str, float]) -> torch.Tensor | None:
        known = self.denoiser.shape.conditions
        if unknown := sorted(condition.keys() - set(known)):
            raise ConstraintError(
                f"generator.condition: this checkpoint has no condition {', '.join(unknown)} "
                f"(it has {', '.join(known) or 'none'})"
            )
        if not condition:
            return None
        return torch.tensor([condition.get(name, math.nan) for name in known])

    def _crystals(self, clean: CrystalBatch, scaffolds: Sequence[Scaffold]) -> list[Crystal | None]:
        cells = self.denoiser.cells(clean.to(self.denoiser.strain_mean.device)).cpu()
        crystals: list[Crystal | None] = []
        for row, scaffold in enumerate(scaffolds):
            orbits = len(scaffold.letters)
            types = clean.types[row, :orbits].numpy()[scaffold.orbit]
            frac = scaffold.place(clean.free[row, :orbits].numpy())
            try:
                crystals.append(Crystal(cells[row].double().numpy(), frac, types))
            except InvalidCrystal:
                # The contract of ``sample``: arrays that are no crystal are left out.
                crystals.append(None)
        return crystals

    def encode(self, crystals: Sequence[Crystal]) -> CrystalBatch:
        """Crystals as scaffolds and free numbers."""
        return collate([symmetrise(crystal) for crystal in crystals])

    def denoising_losses(
        self,
        batch: CrystalBatch,
        times: torch.Tensor,
        prior: Policy,
        rng: torch.Generator,
        rows: slice = EVERY,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`~ray_matdesign.generators.protocol.Policy`."""
        if not isinstance(prior, DiffusionPolicy):
            raise TypeError(f"the prior must be a DiffusionPolicy, got {type(prior).__name__}")
        noisy = add_noise(batch, times, self.denoiser, rng, rows)
        answer = self.denoiser(noisy.crystals, noisy.time)
        with torch.no_grad():
            expected = prior.denoiser(noisy.crystals, noisy.time)
        losses = crystal_losses(noisy, answer, LossWeights())
        return losses["total"], answer_deviation(noisy, answer, expected)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimiser updates."""
        return self.denoiser.parameters()

    def weights(self) -> Weights:
        """Every weight, copied out as arrays."""
        state = self.denoiser.state_dict()
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Copies weights in and takes their version."""
        state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        self.denoiser.load_state_dict(state)
        self.version = version


def load(settings: GeneratorSettings) -> DiffusionPolicy:
    """Builds the policy a configuration asks for.

    Raises:
        CheckpointError: The weights are missing or damaged.
        ConstraintError: Constraints or conditions that these weights cannot follow.
        ConfigError: An unknown sampler option, or a value out of range.
    """
    options = apply_overrides(SamplerOptions, settings.options, "generator.options", ())
    artifact = load_artifact(settings.checkpoint)
    return DiffusionPolicy(artifact, options, settings.constraints, settings.condition)
