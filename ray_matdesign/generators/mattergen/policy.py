"""MatterGen as a policy that reinforcement learning can steer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.schema import ConstraintSettings, GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.generators.mattergen.batch import some, to_batch
from ray_matdesign.generators.mattergen.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ray_matdesign.generators.mattergen.compat import mattergen_modules
from ray_matdesign.generators.mattergen.losses import answer_deviation, crystal_losses, seeded
from ray_matdesign.generators.mattergen.options import (
    Condition,
    MatterGenOptions,
    check_condition,
    elements_left,
)
from ray_matdesign.generators.mattergen.sampler import (
    build_sampler,
    denoise,
    draw_sizes,
    element_mask,
)
from ray_matdesign.generators.protocol import EVERY, Policy, Weights


class MatterGenPolicy:
    """Samples crystals and exposes their denoising losses.

    Args:
        checkpoint: Model and configuration.
        options: Sampler.
        constraints: What crystals must be made of. A chemical system needs a checkpoint that was
            trained for it; crystals that lack one of its elements are not handed out.
        condition: Property values to aim for, unless :meth:`sample` is given others.

    Raises:
        ConstraintError: The checkpoint cannot follow a constraint or a condition.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: MatterGenOptions,
        constraints: ConstraintSettings | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.version = 0
        self.options = options
        self.module = checkpoint.module.to(_device(options.device))
        self._config = checkpoint.config
        constraints = constraints or ConstraintSettings()
        able = mattergen_modules().globals.SELECTED_ATOMIC_NUMBERS
        self._elements = elements_left(constraints, able)
        self.module.model.element_mask_func = element_mask(self._elements)
        self._system = frozenset(ATOMIC_NUMBERS[symbol] for symbol in constraints.chemical_system)
        self._condition = self._told(condition or {})

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        device: torch.device = next(self.module.parameters()).device
        return device

    @property
    def conditions(self) -> tuple[str, ...]:
        """Properties that samples can be conditioned on."""
        return tuple(self.module.model.cond_fields_model_was_trained_on)

    def sample(self, n: int, *, seed: int, condition: Condition | None = None) -> list[Crystal]:
        """Draws crystals. See :class:`~ray_matdesign.generators.protocol.Generator`.

        Args:
            n: How many.
            seed: Of the sizes and of all noise.
            condition: Values by property, e.g. ``{"dft_band_gap": 3.0}``, followed with the
                options' guidance; ``chemical_system`` takes a string, ``Li-Fe-O``.

        Raises:
            ConstraintError: The checkpoint was not trained for a condition.
        """
        wanted = self._told(condition) if condition else self._condition
        sampler = build_sampler(
            self.module,
            guidance=self.options.guidance if wanted else 0.0,
            corrector_steps=self.options.corrector_steps,
        )
        sizes = draw_sizes(self.options.n_atoms, n, torch.Generator().manual_seed(seed))
        crystals: list[Crystal | None] = []
        with seeded(seed, self.device):
            for first in range(0, n, self.options.batch_size):
                now = sizes[first : first + self.options.batch_size]
                crystals += denoise(sampler, now, wanted)
        return [c for c in crystals if c is not None and c.elements >= self._system]

    def _told(self, condition: Condition) -> dict[str, float | str]:
        symbols = [SYMBOLS[number] for number in sorted(self._system)]
        system = {"chemical_system": "-".join(symbols)} if symbols else {}
        return check_condition({**system, **condition}, self.conditions, self._elements)

    def encode(self, crystals: Sequence[Crystal]) -> Any:
        """Crystals as MatterGen's batch, in the cells they come in."""
        return to_batch(crystals).to(self.device)

    def denoising_losses(
        self,
        batch: Any,
        times: torch.Tensor,
        prior: Policy,
        rng: torch.Generator,
        rows: slice = EVERY,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`~ray_matdesign.generators.protocol.Policy`.

        Both networks are evaluated without a condition and without the element mask, as MatInvent
        does, so that the deviation compares raw logits.
        """
        if not isinstance(prior, MatterGenPolicy):
            raise TypeError(f"the prior must be a MatterGenPolicy, got {type(prior).__name__}")
        times = times.to(self.device)
        noise_seed = int(torch.randint(2**62, (), generator=rng))
        with seeded(noise_seed, self.device):
            noisy = self.module.corruption.sample_marginal(batch, times)
        if rows != EVERY:
            batch, noisy, times = some(batch, rows), some(noisy, rows), times[rows]
        answer = self.module.train().model(noisy, times)  # in evaluation it would mask elements
        with torch.no_grad():
            expected = prior.module.train().model(noisy, times)
        losses = crystal_losses(self.module, batch, noisy, answer, times)
        return losses, answer_deviation(answer, expected)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimiser updates; scale factors stay as they are."""
        return (weight for weight in self.module.parameters() if weight.requires_grad)

    def weights(self) -> Weights:
        """Every weight, copied out as arrays."""
        state = self.module.state_dict()
        return {name: value.detach().cpu().numpy().copy() for name, value in state.items()}

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Copies weights in and takes their version."""
        state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        self.module.load_state_dict(state)
        self.version = version

    def save(self, folder: str | Path) -> None:
        """Writes the policy as a checkpoint that MatterGen's own commands read."""
        save_checkpoint(Path(folder), self.module, self._config)


def load(settings: GeneratorSettings) -> MatterGenPolicy:
    """Builds the policy a configuration asks for.

    Raises:
        CheckpointError: The checkpoint cannot be had, is damaged or unsafe.
        MatterGenMissing: MatterGen is not installed.
        ConstraintError: Constraints or conditions that the checkpoint cannot follow.
        ConfigError: An unknown sampler option, or a value out of range.
    """
    options = apply_overrides(MatterGenOptions, settings.options, "generator.options", ())
    checkpoint = load_checkpoint(settings.checkpoint)
    return MatterGenPolicy(checkpoint, options, settings.constraints, settings.condition)


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("generator.options.device: there is no CUDA device; use auto or cpu")
    return torch.device(wanted)
