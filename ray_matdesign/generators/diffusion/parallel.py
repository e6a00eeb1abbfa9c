"""What training in several processes needs: to know one's rank, and to add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, distributed, nn


class Peers(Protocol):
    """The processes that train one network together."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def add_up(self, values: Tensor) -> None:
        """Replaces ``values``, on every process, by their sum over the processes."""


class Alone:
    """One process."""

    rank = 0
    size = 1

    def add_up(self, values: Tensor) -> None:
        """Nothing to add."""


class ProcessGroup:
    """The default process group of ``torch.distributed``, which the caller has set up."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def add_up(self, values: Tensor) -> None:
        """One all-reduce."""
        distributed.all_reduce(values)


class SharedGradients:
    """Gradients of all parameters and a few sums, in one vector that is added up in one call.

    The parameters' ``grad`` are views of it: set them to nothing, and they are lost to it.

    Args:
        parameters: Of one device and type.
        sums: How many numbers travel along, such as losses.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], sums: int) -> None:
        every = list(parameters)
        count = sum(parameter.numel() for parameter in every)
        self.vector = torch.zeros(count + sums, device=every[0].device)
        self.gradient, self.sums = self.vector[:count], self.vector[count:]
        parts = self.gradient.split([parameter.numel() for parameter in every])
        for parameter, part in zip(every, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def clear(self) -> None:
        """Sets everything to zero, before the first backward pass of a step."""
        self.vector.zero_()

    def clip(self, norm: float) -> Tensor:
        """Shortens the gradient to a Euclidean norm, if it is longer; returns what it was."""
        length: Tensor = self.gradient.norm()
        self.gradient.mul_((norm / (length + 1e-6)).clamp(max=1.0))
        return length
