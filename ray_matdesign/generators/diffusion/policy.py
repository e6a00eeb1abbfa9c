"""The embedded diffusion model as a policy that reinforcement learning can steer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.generators.diffusion.artifact import Artifact, load_artifact
from ray_matdesign.generators.diffusion.batch import CrystalBatch, collate
from ray_matdesign.generators.diffusion.cells import niggli
from ray_matdesign.generators.diffusion.lattice import lattice_from_log_strain
from ray_matdesign.generators.diffusion.losses import (
    LossWeights,
    add_noise,
    answer_deviation,
    crystal_losses,
)
from ray_matdesign.generators.diffusion.sampler import SamplerOptions, denoise, pure_noise
from ray_matdesign.generators.protocol import Policy, Weights

_CHUNK = 16


class DiffusionPolicy:
    """Samples crystals and exposes their denoising losses.

    Args:
        artifact: Trained network and training statistics.
        options: Sampler.
    """

    def __init__(self, artifact: Artifact, options: SamplerOptions) -> None:
        self.version = 0
        self.denoiser = artifact.denoiser
        self.options = options
        self._sizes = torch.tensor(artifact.size_counts, dtype=torch.float64)
        self._elements = artifact.elements

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """Draws crystals; sizes follow the training data. See :class:`~..protocol.Generator`."""
        if condition:
            raise ValueError(f"the diffusion generator has no conditions, got {dict(condition)}")
        rng = torch.Generator().manual_seed(seed)
        n_atoms = torch.multinomial(self._sizes, n, replacement=True, generator=rng)
        # Crystals of like size share a chunk, so that padding costs little.
        order = torch.argsort(n_atoms, stable=True)
        drawn: dict[int, Crystal | None] = {}
        for part in order.split(_CHUNK):
            noise = pure_noise(n_atoms[part], rng)
            clean = denoise(self.denoiser, noise, self.options, rng, elements=self._elements)
            drawn.update(zip(part.tolist(), self._crystals(clean), strict=True))
        return [crystal for k in range(n) if (crystal := drawn[k]) is not None]

    def _crystals(self, clean: CrystalBatch) -> list[Crystal | None]:
        strain = clean.strain.double() * self.denoiser.strain_std.double().cpu()
        strain = strain + self.denoiser.strain_mean.double().cpu()
        lattices = lattice_from_log_strain(strain, clean.n_atoms).numpy()
        frac, types = clean.frac.numpy(), clean.types.numpy()
        crystals: list[Crystal | None] = []
        for row, size in enumerate(clean.n_atoms.tolist()):
            try:
                crystals.append(Crystal(lattices[row], frac[row, :size], types[row, :size]))
            except InvalidCrystal:
                # The contract of ``sample``: arrays that are no crystal are left out.
                crystals.append(None)
        return crystals

    def encode(self, crystals: Sequence[Crystal]) -> CrystalBatch:
        """Crystals as a batch of the network's own cells."""
        return collate([niggli(crystal) for crystal in crystals])

    def denoising_losses(
        self, batch: CrystalBatch, time: float, prior: Policy, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`~ray_matdesign.generators.protocol.Policy`."""
        if not isinstance(prior, DiffusionPolicy):
            raise TypeError(f"the prior must be a DiffusionPolicy, got {type(prior).__name__}")
        times = torch.full((len(batch),), time)
        noisy = add_noise(batch, times, self.denoiser, rng)
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
        ValidationError: An unknown sampler option.
    """
    options = TypeAdapter(SamplerOptions).validate_python(settings.options)
    return DiffusionPolicy(load_artifact(settings.checkpoint), options)
