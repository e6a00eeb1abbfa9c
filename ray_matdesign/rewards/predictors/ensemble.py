"""Several small networks side by side, trained and run as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_INPUT = 8.0
"""Standardised inputs are clipped here: nothing beyond was seen in training."""


class Ensemble(nn.Module):
    """Multilayer perceptrons of one shape, each with weights of its own.

    Args:
        members: Networks.
        widths: Of the input, the hidden layers and the output.
        dropout: Share of hidden units silenced in training.

    Attributes:
        center: Mean of each input over the training data, shape ``(widths[0],)``.
        scale: Their standard deviation.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, members: int, widths: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.members = members
        self.widths = tuple(widths)
        self.dropout = dropout
        self.register_buffer("center", torch.zeros(widths[0]))
        self.register_buffer("scale", torch.ones(widths[0]))
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(
            torch.randn(members, fan_in, fan_out) / math.sqrt(fan_in) for fan_in, fan_out in pairs
        )
        self.biases = nn.ParameterList(torch.zeros(members, 1, fan_out) for _, fan_out in pairs)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Ensemble:
        """The ensemble, ready to predict, whose ``state_dict`` this is."""
        layers = sum(name.startswith("weights.") for name in state)
        shapes = [state[f"weights.{k}"].shape for k in range(layers)]
        ensemble = cls(shapes[0][0], [shapes[0][1], *(shape[2] for shape in shapes)])
        ensemble.load_state_dict(state)
        return ensemble.eval()

    def standardise(self, inputs: Tensor) -> None:
        """Takes the mean and deviation of each input from training data, shape ``(n, d)``."""
        self.center.copy_(inputs.mean(dim=0))
        deviation = inputs.std(dim=0)
        # An input that never varied says nothing when it does.
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, torch.inf))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of every member.

        Args:
            inputs: Shape ``(n, widths[0])`` for all alike, or ``(members, n, widths[0])``.

        Returns:
            Shape ``(members, n, widths[-1])``.
        """
        hidden = ((inputs - self.center) / self.scale).clamp(-LARGEST_INPUT, LARGEST_INPUT)
        if hidden.ndim == 2:
            hidden = hidden.expand(self.members, -1, -1)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if k < last:
                hidden = functional.dropout(functional.silu(hidden), self.dropout, self.training)
        return hidden


def fit(
    ensemble: Ensemble,
    inputs: Tensor,
    rows: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    seed: int,
) -> None:
    """Trains all members at once, each on its own rows in its own order (AdamW, cosine decay).

    Args:
        ensemble: Left in evaluation mode.
        inputs: Shape ``(n, d)``.
        rows: Of ``inputs``, that each member learns from, shape ``(members, n_rows)``.
        loss: From outputs, shape ``(members, batch, out)``, and the rows they are of, shape
            ``(members, batch)``, to a loss per member, shape ``(members,)``.
        epochs: Passes over the rows.
        batch_size: Rows per member and step.
        lr: Learning rate at the start.
        weight_decay: Of the weights; biases are free.
        seed: Of the order and the dropout.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(ensemble.weights), "weight_decay": weight_decay},
            {"params": list(ensemble.biases), "weight_decay": 0.0},
        ],
        lr=lr,
    )
    steps = epochs * math.ceil(rows.shape[1] / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    ensemble.train()
    for _ in range(epochs):
        shuffled = torch.stack(
            [member[torch.randperm(len(member), generator=generator)] for member in rows]
        )
        for batch in shuffled.split(batch_size, dim=1):
            optimizer.zero_grad()
            loss(ensemble(inputs[batch]), batch).sum().backward()
            optimizer.step()
            schedule.step()
    ensemble.eval()
