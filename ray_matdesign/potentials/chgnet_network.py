"""CHGNet's energy as a function of bond vectors, written for small graphs on few cores.

The mathematics is that of Deng et al., Nat. Mach. Intell. 5, 1031 (2023), with the weights of
release 0.3.0; results agree with the published code to rounding. What differs is the order of
work:

* A linear layer over concatenated atom, bond and angle features is a sum of linear layers over
  each. So atoms and bonds are multiplied once, and what meets at a directed bond or an angle is a
  sum of gathered rows (eight to fifty times fewer multiplications for those terms).
* Bond features beyond the bond graph never change, so their terms in every layer are one product
  with the radial basis.
* The centring of each layer norm is folded into the linear layer before it, the core and the gate
  of a gated MLP are multiplied together, and the last angle update, which nothing reads, is left
  out.
* The three layers are :mod:`torch.autograd` functions with hand-written derivatives with respect
  to their inputs only (see :mod:`ray_matdesign.potentials.chgnet_layers`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ray_matdesign.potentials.bond_graph import (
    ATOM_CUTOFF_ANG,
    BOND_CUTOFF_ANG,
    BondGraph,
    Topology,
)
from ray_matdesign.potentials.chgnet_layers import (
    AngleUpdate,
    AtomMessages,
    BondMessages,
    GatedLayer,
)

N_BLOCKS = 4
WIDTH = 64
ENVELOPE_POWER = 8
COSINE_SHRINK = 1.0 - 1e-6
"""Keeps arccos differentiable at straight angles; part of the published model."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of a batch.

    Attributes:
        energies: Shape ``(n_crystals,)``, eV per cell.
        forces: Shape ``(n_atoms, 3)``, eV/Angstrom.
        virials: Derivative of the energy by the strain, shape ``(n_crystals, 3, 3)``, eV.
        magmoms: Shape ``(n_atoms,)``, Bohr magnetons.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    virials: NDArray[np.float64]
    magmoms: NDArray[np.float64]


class ChgnetNetwork:
    """Energies per crystal from a bond graph.

    Args:
        state: The published model's ``state_dict``.
        device: Where the weights live.
        dtype: Precision of the network. The weights were trained in single precision; double
            serves finite differences.
    """

    def __init__(
        self, state: Mapping[str, Tensor], *, device: torch.device, dtype: torch.dtype
    ) -> None:
        def weight(name: str) -> Tensor:
            return state[name].detach().to(device=device, dtype=dtype)

        self.device = device
        self.dtype = dtype
        # By atomic number; there is no element 0.
        references = state["composition_model.fc.weight"][0].detach().double()
        self._reference_energies = torch.cat([references.new_zeros(1), references]).to(device)
        self._atom_embedding = weight("atom_embedding.embedding.weight")
        basis = "bond_basis_expansion.rbf_expansion"
        self._atom_graph_frequencies = weight(f"{basis}_ag.frequencies")
        self._bond_graph_frequencies = weight(f"{basis}_bg.frequencies")
        self._angle_frequencies = weight("angle_basis_expansion.fourier_expansion.frequencies")
        self._bond_embedding = weight("bond_embedding.weight").T.contiguous()
        self._atom_graph_weights = weight("bond_weights_ag.weight").T.contiguous()
        self._bond_graph_weights = weight("bond_weights_bg.weight").T.contiguous()
        # The Fourier basis is normalised by 1/sqrt(pi).
        self._angle_embedding = weight("angle_embedding.weight").T.contiguous() / math.sqrt(math.pi)
        self._magmom_head = weight("site_wise.weight"), weight("site_wise.bias")
        self._readout_norm = weight("readout_norm.weight"), weight("readout_norm.bias")
        self._readout = [
            (weight(f"mlp.layers.{k}.weight"), weight(f"mlp.layers.{k}.bias")) for k in (0, 2, 4, 7)
        ]
        self._atom_layers = [
            GatedLayer.from_state(weight, f"atom_conv_layers.{k}.twoBody_atom", n_inputs=3)
            for k in range(N_BLOCKS)
        ]
        self._bond_layers = [
            GatedLayer.from_state(weight, f"bond_conv_layers.{k}.twoBody_bond", n_inputs=4)
            for k in range(N_BLOCKS - 1)
        ]
        self._angle_layers = [
            GatedLayer.from_state(weight, f"angle_layers.{k}.twoBody_bond", n_inputs=4)
            for k in range(N_BLOCKS - 2)
        ]
        self._atom_mixing = [
            weight(f"atom_conv_layers.{k}.mlp_out.layers.1.weight").T.contiguous()
            for k in range(N_BLOCKS)
        ]
        self._bond_mixing = [
            weight(f"bond_conv_layers.{k}.mlp_out.layers.1.weight").T.contiguous()
            for k in range(N_BLOCKS - 1)
        ]
        # What stays the same in every call is multiplied or joined once.
        self._embedded_bond_terms = [
            self._bond_embedding @ layer.inputs[1] for layer in self._atom_layers
        ]
        self._atom_inputs = [
            torch.cat([layer.inputs[0], layer.inputs[2]], dim=1) for layer in self._atom_layers
        ]
        self._atom_biases = [
            torch.cat([layer.bias, torch.zeros_like(layer.bias)]) for layer in self._atom_layers
        ]

    def predict(self, graph: BondGraph) -> Prediction:
        """Energies and their derivatives by the bond vectors, gathered at atoms and cells.

        With ``g = dE/dv`` at the bond from atom i to atom j, the force on i is the sum of ``g``,
        on j of ``-g``, and the derivative by the strain of the cell is the sum of ``v (x) g``.
        """
        vectors = graph.vectors.to(self.dtype).detach().requires_grad_(True)
        with torch.enable_grad():
            energies, magmoms = self.energies(graph, vectors)
            (gradient,) = torch.autograd.grad(energies.sum(), vectors)
        topology = graph.topology
        # Summed in double precision: contributions of opposite bonds cancel.
        gradient = gradient.double()
        forces = gradient.new_zeros(len(graph.numbers), 3)
        forces.index_add_(0, topology.first, gradient)
        forces.index_add_(0, topology.second, gradient, alpha=-1)
        outer = graph.vectors[:, :, None] * gradient[:, None, :]
        virials = gradient.new_zeros(graph.n_crystals, 3, 3)
        virials.index_add_(0, topology.bond_crystal, outer)
        virials = 0.5 * (virials + virials.transpose(1, 2))
        return Prediction(
            energies=energies.detach().cpu().numpy(),
            forces=forces.cpu().numpy(),
            virials=virials.cpu().numpy(),
            magmoms=magmoms.double().cpu().numpy(),
        )

    def energies(self, graph: BondGraph, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Total energy of each crystal.

        Args:
            graph: The batch; its own vectors are not read.
            vectors: Bond vectors to differentiate by, shape ``(n_bonds, 3)``, Angstrom.

        Returns:
            Energies, shape ``(n_crystals,)``, eV, in double precision, and site moments, shape
            ``(n_atoms,)``, Bohr magnetons.
        """
        earlier, atoms = self.atom_features(graph, vectors)
        magmoms = functional.linear(earlier.detach(), *self._magmom_head).abs()[:, 0]
        # In single precision the sum over a cell would lose what an optimiser compares.
        site_energies = self._read_out(atoms).double() + self._reference_energies[graph.numbers]
        totals = site_energies.new_zeros(graph.n_crystals)
        return totals.index_add(0, graph.atom_crystal, site_energies), magmoms

    def atom_features(self, graph: BondGraph, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the atoms that site moments and that energies are read from.

        Args:
            graph: The batch; its own vectors are not read.
            vectors: Bond vectors, shape ``(n_bonds, 3)``, Angstrom.

        Returns:
            Before and after the last block, each of shape ``(n_atoms, 64)``.
        """
        topology = graph.topology
        n_short, has_angles = topology.n_short, len(topology.angle_first) > 0
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        radial = _radial_basis(lengths, self._atom_graph_frequencies, ATOM_CUTOFF_ANG)
        short_radial = _radial_basis(
            lengths[:n_short], self._bond_graph_frequencies, BOND_CUTOFF_ANG
        )
        atom_weights = radial @ self._atom_graph_weights
        bond_weights = short_radial @ self._bond_graph_weights
        angles = self._embed_angles(vectors[:n_short], lengths[:n_short], topology)
        embedded_bonds = radial[:n_short] @ self._bond_embedding
        bonds = embedded_bonds
        atoms = self._atom_embedding[graph.numbers - 1]
        earlier = atoms
        for k, layer in enumerate(self._atom_layers):
            earlier = atoms
            messages = AtomMessages.apply(  # type: ignore[no-untyped-call]
                torch.addmm(self._atom_biases[k], atoms, self._atom_inputs[k]),
                radial @ self._embedded_bond_terms[k],
                (bonds - embedded_bonds) @ layer.inputs[1],
                atom_weights,
                topology,
                layer,
            )
            atoms = torch.addmm(atoms, messages, self._atom_mixing[k])
            if k < N_BLOCKS - 1 and has_angles:
                bonds = self._update_bonds(k, topology, atoms, bonds, bond_weights, angles)
            if k < N_BLOCKS - 2 and has_angles:
                angle_layer = self._angle_layers[k]
                terms = _short_bond_terms(angle_layer, topology, atoms, bonds)
                angles = AngleUpdate.apply(  # type: ignore[no-untyped-call]
                    *terms, angles, topology, angle_layer
                )
        return earlier, atoms

    def _embed_angles(self, vectors: Tensor, lengths: Tensor, topology: Topology) -> Tensor:
        """First angle features, shape ``(n_angles, 64)`` (Deng et al. 2023, Eq. 3)."""
        directions = vectors / lengths[:, None]
        directed = torch.cat([directions, -directions])
        first = directed.index_select(0, topology.angle_first)
        second = directed.index_select(0, topology.angle_second)
        angle = torch.acos((first * second).sum(dim=1) * COSINE_SHRINK)
        phase = angle[:, None] * self._angle_frequencies
        constant = torch.full_like(angle, math.sqrt(0.5))[:, None]
        basis = torch.cat([constant, torch.sin(phase), torch.cos(phase)], dim=1)
        return basis @ self._angle_embedding

    def _update_bonds(
        self,
        k: int,
        topology: Topology,
        atoms: Tensor,
        bonds: Tensor,
        bond_weights: Tensor,
        angles: Tensor,
    ) -> Tensor:
        """Short bonds' features after block ``k``, shape ``(n_short, 64)``."""
        layer = self._bond_layers[k]
        terms = _short_bond_terms(layer, topology, atoms, bonds)
        directed = BondMessages.apply(  # type: ignore[no-untyped-call]
            *terms, angles, bond_weights, topology, layer
        )
        messages = directed.view(2, topology.n_short, -1).sum(dim=0) * bond_weights
        return torch.addmm(bonds, messages, self._bond_mixing[k])

    def _read_out(self, atoms: Tensor) -> Tensor:
        """Energy of each atom relative to its element's reference, shape ``(n_atoms,)``, eV."""
        hidden = functional.layer_norm(atoms, (WIDTH,), *self._readout_norm)
        for weight, bias in self._readout[:-1]:
            hidden = functional.silu(functional.linear(hidden, weight, bias))
        return functional.linear(hidden, *self._readout[-1])[:, 0]


def _short_bond_terms(
    layer: GatedLayer, topology: Topology, atoms: Tensor, bonds: Tensor
) -> tuple[Tensor, Tensor]:
    """An angle layer's terms per directed short bond, its atom's included, and per other bond."""
    as_first = bonds @ layer.inputs[0]
    at_center = torch.addmm(layer.bias, atoms, layer.inputs[3])
    first = at_center.index_select(0, topology.short_center) + as_first.repeat(2, 1)
    return first, bonds @ layer.inputs[1]


def _radial_basis(lengths: Tensor, frequencies: Tensor, cutoff: float) -> Tensor:
    """Bessel functions under a polynomial envelope (Gasteiger et al. 2020, Eqs. 7-8).

    Args:
        lengths: Shape ``(n,)``, Angstrom.
        frequencies: Shape ``(n_radial,)``.
        cutoff: Where envelope and slope vanish, Angstrom.

    Returns:
        Shape ``(n, n_radial)``.
    """
    p = ENVELOPE_POWER
    scaled = lengths / cutoff
    envelope = 1.0 + scaled**p * (
        -(p + 1) * (p + 2) / 2 + scaled * (p * (p + 2) - scaled * (p * (p + 1) / 2))
    )
    amplitude = math.sqrt(2.0 / cutoff) * envelope / lengths
    return torch.sin(scaled[:, None] * frequencies) * amplitude[:, None]
