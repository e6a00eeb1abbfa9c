"""Fine-tuning: one pass of MatInvent's regression over a handful of rewarded crystals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.config.schema import RLSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.parallel import Alone, Peers
from ray_matdesign.generators.protocol import EVERY, Policy, Weights
from ray_matdesign.rl.losses import matinvent_loss

LEAST_TIME = 1e-3
"""Least noise where no other is set: MatInvent's last step. None at all would teach nothing."""


class Diverged(RuntimeError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class FinetuneReport:
    """How a fine-tuning went.

    Attributes:
        loss: Mean objective over the micro-steps.
        denoise: Mean denoising loss, unweighted.
        deviation: Mean squared deviation from the prior, unweighted.
        adam_steps: Updates made.
        optimizer: Adam's state, to be carried into the next loop.
    """

    loss: float
    denoise: float
    deviation: float
    adam_steps: int
    optimizer: Weights


def finetune(
    policy: Policy,
    prior: Policy,
    crystals: Sequence[Crystal],
    rewards: Sequence[float],
    settings: RLSettings,
    seed: int,
    optimizer_state: Mapping[str, NDArray[np.generic]] | None = None,
    peers: Peers | None = None,
) -> FinetuneReport:
    """Updates the policy in place.

    With ``times: shared``, every epoch walks the diffusion times downwards; all crystals are noised
    to the same time, with fresh noise at each, and gradients of ``accumulate`` consecutive times
    make one step of Adam, so that each step sees a contiguous band of noise levels. With
    ``spread``, each micro-step sees all noise levels, one crystal at each, in an order drawn anew.

    Args:
        policy: To be updated.
        prior: Frozen.
        crystals: As generated, not relaxed; one batch.
        rewards: Penalised, one per crystal.
        settings: The algorithm's.
        seed: Of all noise.
        optimizer_state: From the last report, where moments are carried over.
        peers: The processes that share the work, each calling this with the same arguments: each
            answers for its share of the crystals, gradients are added up before each step of Adam,
            and the outcome is that of one process to rounding.

    Raises:
        Diverged: The loss is not finite; the policy is then spoilt.
    """
    batch = policy.encode(crystals)
    weights = torch.tensor(list(rewards), dtype=torch.float32)
    noise = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=settings.lr)
    if optimizer_state is not None:
        load_adam_state(optimizer, optimizer_state)
    optimizer.zero_grad(set_to_none=True)
    peers = peers or Alone()
    part = Part.of(len(crystals), peers)
    sums = np.zeros(3)
    micro_steps = settings.epochs * settings.timesteps
    adam_steps = 0
    for step, times in enumerate(diffusion_times(settings, len(crystals), noise), start=1):
        if part.share > 0.0:
            denoise, deviation = policy.denoising_losses(batch, times, prior, noise, **part.rows)
            figures = _backward(denoise, deviation, weights[part.own], settings, part.share)
            if not np.isfinite(figures).all():
                raise Diverged(f"the loss is not finite in micro-step {step}, {_span(times)}")
            sums += figures
        if step % settings.accumulate == 0 or step == micro_steps:
            if peers.size > 1:
                add_up_gradients(policy.parameters(), peers)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            adam_steps += 1
    peers.add_up(totals := torch.from_numpy(sums))
    loss, denoise_mean, deviation_mean = (totals / micro_steps).tolist()
    return FinetuneReport(loss, denoise_mean, deviation_mean, adam_steps, adam_state(optimizer))


@dataclass(frozen=True)
class Part:
    """The crystals of a batch that one of several processes answers for.

    Attributes:
        own: Of the batch: every so manieth, so that processes differ by one crystal at most.
        share: Part of the batch, in [0, 1].
        rows: What :meth:`Policy.denoising_losses` is told of it; nothing where one process does all
            the work, which a policy that cannot share can do as well.
    """

    own: slice
    share: float
    rows: Mapping[str, slice]

    @classmethod
    def of(cls, n: int, peers: Peers) -> Part:
        """This process's part of ``n`` crystals."""
        if peers.size == 1:
            return cls(EVERY, 1.0, {})
        own = slice(peers.rank, None, peers.size)
        return cls(own, len(range(n)[own]) / n, {"rows": own})


def _backward(
    denoise: torch.Tensor,
    deviation: torch.Tensor,
    rewards: torch.Tensor,
    settings: RLSettings,
    share: float,
) -> NDArray[np.float64]:
    """Adds a micro-step's gradients; returns objective, denoising loss and deviation.

    All are means over the whole batch, of which these crystals are a share.
    """
    loss = share * matinvent_loss(
        denoise, deviation, rewards.to(denoise.device), settings.sigma, settings.deviation_offset
    )
    (loss / settings.accumulate).backward()
    means = np.array([denoise.mean().item(), deviation.mean().item()])
    return np.array([loss.item(), *(share * means)])


def add_up_gradients(parameters: Iterable[torch.nn.Parameter], peers: Peers) -> None:
    """Replaces gradients by their sums over the processes, in one call."""
    every = list(parameters)
    parts = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in every]
    peers.add_up(summed := torch.cat([part.flatten() for part in parts]))
    for parameter, part in zip(every, summed.split([p.numel() for p in every]), strict=True):
        parameter.grad = part.view_as(parameter)


def diffusion_times(settings: RLSettings, n: int, rng: torch.Generator) -> Iterator[torch.Tensor]:
    """Times of all crystals in each micro-step.

    Args:
        settings: The algorithm's.
        n: How many crystals there are.
        rng: Of times that are spread: the range is cut into ``n`` equal parts, and each crystal is
            given another part, at random, and a time anywhere in it.

    Yields:
        Shape ``(n,)``.
    """
    highest, steps = settings.highest_time, settings.timesteps
    if settings.times == "shared":
        lowest = settings.lowest_time or highest / steps
        for _ in range(settings.epochs):
            for time in np.linspace(highest, lowest, steps).tolist():
                yield torch.full((n,), time)
        return
    least = settings.lowest_time or LEAST_TIME
    for _ in range(settings.epochs * steps):
        places = torch.randperm(n, generator=rng) + torch.rand(n, generator=rng)
        yield least + (highest - least) * places / n


def _span(times: torch.Tensor) -> str:
    return f"at times from {times.min():.3f} to {times.max():.3f}"


def adam_state(optimizer: torch.optim.Adam) -> Weights:
    """Adam's moments and step counts as arrays, keyed ``<parameter index>.<name>``."""
    return {
        f"{index}.{name}": value.detach().cpu().numpy().copy()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_adam_state(optimizer: torch.optim.Adam, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Restores what :func:`adam_state` saved into an optimiser over the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
