"""CHGNet's three gated layers as functions with hand-written input derivatives.

Each layer is a gated multilayer perceptron (Deng et al. 2023, Eqs. 4-6)

    silu(norm(core(x))) * sigmoid(norm(gate(x)))

with ``x`` a concatenation of features. The layers here take the terms of the first linear map
already multiplied (see :mod:`ray_matdesign.potentials.chgnet_network`), in tables to gather from.
Core and gate lie side by side: a row of 128 numbers is 64 of the core, then 64 of the gate.

Weights are constants here: no layer gives derivatives with respect to them, nor second
derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ray_matdesign.potentials.bond_graph import Topology

NORM_EPSILON = 1e-5
"""Added to the variance in PyTorch's layer norm, with which the model was trained."""


@dataclass(frozen=True)
class GatedLayer:
    """Constants of one gated perceptron; the first axis of a pair is core, then gate.

    Attributes:
        inputs: One matrix per concatenated feature, each of shape ``(64, 128)``.
        bias: Shape ``(128,)``.
        hidden: Second linear layer, shape ``(2, 64, 64)``, ``None`` where the layer has one only.
        hidden_bias: Shape ``(2, 1, 64)``; ``None`` likewise.
        scale: Scale of the norm, shape ``(2, 1, 64)``.
        shift: Shift of the norm, shape ``(2, 1, 64)``.
    """

    inputs: list[Tensor]
    bias: Tensor
    hidden: Tensor | None
    hidden_bias: Tensor | None
    scale: Tensor
    shift: Tensor

    @classmethod
    def from_state(
        cls, weight: Callable[[str], Tensor], prefix: str, *, n_inputs: int
    ) -> GatedLayer:
        """Gathers and rearranges one layer's weights.

        Args:
            weight: Looks a parameter up by name.
            prefix: Name of the layer in the published model.
            n_inputs: Concatenated features.
        """

        def pair(name: str) -> list[Tensor]:
            return [weight(f"{prefix}.mlp_{part}.{name}") for part in ("core", "gate")]

        def last(name: str) -> list[Tensor]:
            # The norm subtracts the mean over outputs; subtracted from the weights it is free.
            return [centred - centred.mean(dim=0) for centred in pair(name)]

        norms = [f"{prefix}.bn1", f"{prefix}.bn2"]
        scale = torch.stack([weight(f"{norm}.weight") for norm in norms])[:, None, :]
        shift = torch.stack([weight(f"{norm}.bias") for norm in norms])[:, None, :]
        try:
            hidden = torch.stack([w.T for w in last("layers.3.weight")]).contiguous()
            hidden_bias = torch.stack(last("layers.3.bias"))[:, None, :]
            first, bias = pair("layers.0.weight"), pair("layers.0.bias")
        except KeyError:
            hidden, hidden_bias = None, None
            first, bias = last("layers.1.weight"), last("layers.1.bias")
        joined = torch.cat(first).T
        return cls(
            inputs=[part.contiguous() for part in joined.chunk(n_inputs)],
            bias=torch.cat(bias),
            hidden=hidden,
            hidden_bias=hidden_bias,
            scale=scale,
            shift=shift,
        )


def _gate_forward(raw: Tensor, layer: GatedLayer) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Norm, activation and gate.

    Args:
        raw: Zero-mean rows, shape ``(2, n, 64)``.
        layer: Constants.

    Returns:
        Shape ``(n, 64)``, and what the derivative needs.
    """
    inverse_deviation = (raw * raw).sum(dim=-1, keepdim=True)
    inverse_deviation.mul_(1.0 / raw.shape[-1]).add_(NORM_EPSILON).rsqrt_()
    normed = raw * inverse_deviation
    core_in, gate_in = torch.addcmul(layer.shift, normed, layer.scale)
    core, gate = functional.silu(core_in), torch.sigmoid(gate_in)
    return core * gate, (inverse_deviation, normed, core_in, core, gate)


def _gate_backward(grad: Tensor, saved: tuple[Tensor, ...], layer: GatedLayer) -> Tensor:
    """Derivative of :func:`_gate_forward`: from shape ``(n, 64)`` to ``(2, n, 64)``."""
    inverse_deviation, normed, core_in, core, gate = saved
    grad_normed = torch.empty_like(normed, memory_format=torch.contiguous_format)
    core_grad, gate_grad = grad_normed
    torch.ops.aten.silu_backward(grad * gate, core_in, grad_input=core_grad)
    torch.ops.aten.sigmoid_backward(grad * core, gate, grad_input=gate_grad)
    grad_normed *= layer.scale
    along = (grad_normed * normed).sum(dim=-1, keepdim=True).mul_(-1.0 / normed.shape[-1])
    return grad_normed.addcmul_(normed, along).mul_(inverse_deviation)


def _halves(rows: Tensor) -> Tensor:
    """Rows of 128 as core and gate, shape ``(2, n, 64)``, sharing memory."""
    return rows.view(len(rows), 2, rows.shape[1] // 2).transpose(0, 1)


def _hidden_forward(raw: Tensor, layer: GatedLayer) -> tuple[Tensor, tuple[Tensor, ...]]:
    """First activation, second linear layer, gate: from ``(n, 128)`` to ``(n, 64)``."""
    assert layer.hidden is not None
    assert layer.hidden_bias is not None
    second = torch.baddbmm(layer.hidden_bias, _halves(functional.silu(raw)), layer.hidden)
    out, saved = _gate_forward(second, layer)
    return out, (raw, *saved)


def _hidden_backward(grad: Tensor, saved: tuple[Tensor, ...], layer: GatedLayer) -> Tensor:
    """Derivative of :func:`_hidden_forward`: from ``(n, 64)`` to ``(n, 128)``."""
    assert layer.hidden is not None
    raw, *gate_saved = saved
    grad_second = _gate_backward(grad, tuple(gate_saved), layer)
    grad_active = torch.empty_like(raw)
    torch.bmm(grad_second, layer.hidden.transpose(1, 2), out=_halves(grad_active))
    torch.ops.aten.silu_backward(grad_active, raw, grad_input=grad_active)
    return grad_active


class AtomMessages(torch.autograd.Function):
    """Sum over each atom's bonds of the weighted two-body message (Eq. 4)."""

    @staticmethod
    def forward(
        ctx: Any,
        atom_terms: Tensor,
        bond_terms: Tensor,
        short_terms: Tensor,
        weights: Tensor,
        topology: Topology,
        layer: GatedLayer,
    ) -> Tensor:
        """Messages summed at the atoms.

        Args:
            ctx: Autograd context.
            atom_terms: Per atom, as the centre and as the neighbour, shape ``(n_atoms, 256)``.
            bond_terms: Per undirected bond, shape ``(n_bonds, 128)``.
            short_terms: Added for the first bonds, shape ``(n_short, 128)``.
            weights: Smooth weights, shape ``(n_bonds, 64)``.
            topology: Indices.
            layer: Constants.

        Returns:
            Shape ``(n_atoms, 64)``.
        """
        n_atoms = len(atom_terms)
        raw = functional.embedding_bag(
            topology.center_neighbor, atom_terms.view(2 * n_atoms, -1), mode="sum"
        )
        both = raw.view(2, topology.n_bonds, -1)
        both += bond_terms
        both[:, : topology.n_short] += short_terms
        gated, saved = _hidden_forward(raw, layer)
        weighted = gated.view(2, topology.n_bonds, -1) * weights
        ctx.topology, ctx.layer = topology, layer
        ctx.save_for_backward(weights, gated, *saved)
        total = gated.new_zeros(n_atoms, gated.shape[1])
        return total.index_add_(0, topology.center, weighted.view_as(gated))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives with respect to the four tables."""
        topology, layer = ctx.topology, ctx.layer
        weights, gated, *saved = ctx.saved_tensors
        directed = grad.index_select(0, topology.center)
        forth, back = (gated * directed).view(2, topology.n_bonds, -1)
        grad_weights = forth + back
        directed.view(2, topology.n_bonds, -1).mul_(weights)
        grad_raw = _hidden_backward(directed, tuple(saved), layer)
        grad_bonds = grad_raw[: topology.n_bonds] + grad_raw[topology.n_bonds :]
        grad_atoms = grad_raw.new_zeros(2 * len(grad), grad_raw.shape[1])
        grad_atoms.index_add_(0, topology.center_neighbor[:, 0], grad_raw)
        grad_atoms.index_add_(0, topology.center_neighbor[:, 1], grad_raw)
        return (
            grad_atoms.view(len(grad), -1),
            grad_bonds,
            grad_bonds[: topology.n_short],
            grad_weights,
            None,
            None,
        )


class BondMessages(torch.autograd.Function):
    """Sum over the angles at each directed short bond of the three-body message (Eq. 5).

    The weight of the bond itself, common to its messages, is left to the caller.
    """

    @staticmethod
    def forward(
        ctx: Any,
        first_terms: Tensor,
        second_terms: Tensor,
        angles: Tensor,
        weights: Tensor,
        topology: Topology,
        layer: GatedLayer,
    ) -> Tensor:
        """Messages summed at the directed bonds.

        Args:
            ctx: Autograd context.
            first_terms: Per directed short bond, its centre's term included, shape
                ``(2 n_short, 128)``.
            second_terms: Per undirected short bond, shape ``(n_short, 128)``.
            angles: Angle features, shape ``(n_angles, 64)``.
            weights: Smooth weights, shape ``(n_short, 64)``.
            topology: Indices.
            layer: Constants.

        Returns:
            Shape ``(2 n_short, 64)``.
        """
        raw = _angle_terms(first_terms, second_terms, angles, topology, layer)
        gated, saved = _hidden_forward(raw, layer)
        other = weights.index_select(0, topology.angle_second_bond)
        ctx.topology, ctx.layer, ctx.n_short = topology, layer, len(second_terms)
        ctx.save_for_backward(other, gated, *saved)
        total = gated.new_zeros(len(first_terms), gated.shape[1])
        return total.index_add_(0, topology.angle_first, gated * other)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives with respect to the tables, the angles and the weights."""
        topology, layer = ctx.topology, ctx.layer
        other, gated, *saved = ctx.saved_tensors
        at_angles = grad.index_select(0, topology.angle_first)
        grad_weights = grad.new_zeros(ctx.n_short, grad.shape[1])
        grad_weights.index_add_(0, topology.angle_second_bond, gated * at_angles)
        grad_raw = _hidden_backward(at_angles.mul_(other), tuple(saved), layer)
        return (*_angle_gradients(grad_raw, topology, layer), grad_weights, None, None)


class AngleUpdate(torch.autograd.Function):
    """New angle features: the old ones plus a gated function of bonds and atom (Eq. 6)."""

    @staticmethod
    def forward(
        ctx: Any,
        first_terms: Tensor,
        second_terms: Tensor,
        angles: Tensor,
        topology: Topology,
        layer: GatedLayer,
    ) -> Tensor:
        """Updated features, shape ``(n_angles, 64)``; arguments as in :class:`BondMessages`."""
        raw = _angle_terms(first_terms, second_terms, angles, topology, layer)
        gated, saved = _gate_forward(_halves(raw), layer)
        ctx.topology, ctx.layer = topology, layer
        ctx.save_for_backward(*saved)
        return gated.add_(angles)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives with respect to the tables and the old features."""
        topology, layer = ctx.topology, ctx.layer
        grad_halves = _gate_backward(grad, ctx.saved_tensors, layer)
        grad_raw = torch.cat([grad_halves[0], grad_halves[1]], dim=1)
        first, second, angles = _angle_gradients(grad_raw, topology, layer)
        return first, second, angles.add_(grad), None, None


def _angle_terms(
    first_terms: Tensor, second_terms: Tensor, angles: Tensor, topology: Topology, layer: GatedLayer
) -> Tensor:
    """First linear map at each angle, shape ``(n_angles, 128)``."""
    table = torch.cat([first_terms, second_terms])
    gathered = functional.embedding_bag(topology.angle_rows, table, mode="sum")
    return gathered.addmm_(angles, layer.inputs[2])


def _angle_gradients(
    grad_raw: Tensor, topology: Topology, layer: GatedLayer
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of :func:`_angle_terms` with respect to its first three arguments."""
    first = grad_raw.new_zeros(2 * topology.n_short, grad_raw.shape[1])
    second = grad_raw.new_zeros(topology.n_short, grad_raw.shape[1])
    first.index_add_(0, topology.angle_first, grad_raw)
    second.index_add_(0, topology.angle_second_bond, grad_raw)
    return first, second, grad_raw @ layer.inputs[2].T
