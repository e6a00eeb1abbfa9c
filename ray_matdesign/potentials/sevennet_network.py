"""SevenNet's network on a batch of bonds: its own layers, with a faster convolution.

The layers are those of the ``sevenn`` package (Park et al., J. Chem. Theory Comput. 20, 4857
(2024)). Its convolution, nine tenths of the work on a CPU, multiplies the neighbour's features by
the bond's spherical harmonics one path (degrees in, of the harmonics, out) at a time.
:class:`BondConvolution` takes all paths between two degrees in one product and brings them into
the published order only once they are summed over the neighbours: the same numbers in two fifths
of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHECKPOINT = "pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth"
"""Within the ``sevenn`` package."""


@dataclass(frozen=True)
class Bonds:
    """A batch of crystals as atoms and directed bonds, every bond in both directions.

    Attributes:
        numbers: Atomic numbers, shape ``(n_atoms,)``.
        atom_crystal: Crystal of each atom, shape ``(n_atoms,)``, ascending.
        first: Atom at which each bond starts, shape ``(n_bonds,)``.
        second: Atom at which it ends, shape ``(n_bonds,)``.
        vectors: From the first to the second, shape ``(n_bonds, 3)``, Angstrom.
    """

    numbers: NDArray[np.int64]
    atom_crystal: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """What the network says about a batch.

    Attributes:
        energies: Of each crystal, shape ``(n_crystals,)``, eV.
        forces: Shape ``(n_atoms, 3)``, eV/Angstrom.
        virials: Derivative of the energy by the strain, shape ``(n_crystals, 3, 3)``, eV.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    virials: NDArray[np.float64]


class SevennetNetwork:
    """SevenNet-l3i5.

    Args:
        device: Torch device.
        dtype: Precision.

    Attributes:
        cutoff_ang: Longest bond, Angstrom.
        elements: Atomic numbers it was trained on.

    Raises:
        ModuleNotFoundError: The ``sevenn`` package is not installed.
    """

    def __init__(self, *, device: torch.device, dtype: torch.dtype) -> None:
        model, config = _published_model()
        self._device, self._dtype = device, dtype
        layers = dict(model.named_children())
        del layers["force_output"]
        for name, layer in layers.items():
            if name.endswith("_convolution"):
                layers[name] = BondConvolution(layer)
        self._layers = {
            name: layer.to(device=device, dtype=dtype).requires_grad_(False).eval()
            for name, layer in layers.items()
        }
        self._type_of_number = model.z_to_onehot_tensor.to(device)
        self.cutoff_ang = float(config["cutoff"])
        self.elements = frozenset(config["_type_map"])

    def predict(self, bonds: Bonds) -> Prediction:
        """Energies, forces and virials of a batch with at least one bond."""
        n_crystals = int(bonds.atom_crystal[-1]) + 1
        vectors = torch.as_tensor(bonds.vectors, dtype=self._dtype, device=self._device)
        energies = self._energies(bonds, vectors.requires_grad_(True))
        (gradient,) = torch.autograd.grad(energies.sum(), vectors)
        by_vector = gradient.double().cpu().numpy()
        forces = np.zeros((len(bonds.numbers), 3))
        np.add.at(forces, bonds.first, by_vector)
        np.subtract.at(forces, bonds.second, by_vector)
        virials = np.zeros((n_crystals, 3, 3))
        of_bonds = bonds.vectors[:, :, None] * by_vector[:, None, :]
        np.add.at(virials, bonds.atom_crystal[bonds.first], of_bonds)
        # Rotational invariance makes it symmetric; arithmetic leaves a trace of the other part.
        virials = 0.5 * (virials + virials.transpose(0, 2, 1))
        return Prediction(energies.detach().double().cpu().numpy(), forces, virials)

    def _energies(self, bonds: Bonds, vectors: Tensor) -> Tensor:
        """Energy of each crystal, shape ``(n_crystals,)``, eV."""
        import sevenn._keys as key

        def on_device(array: NDArray[np.int64]) -> Tensor:
            return torch.as_tensor(array, device=self._device)

        data = {
            key.NODE_FEATURE: self._type_of_number[on_device(bonds.numbers)],
            key.EDGE_IDX: torch.stack([on_device(bonds.first), on_device(bonds.second)]),
            key.EDGE_VEC: vectors,
            key.BATCH: on_device(bonds.atom_crystal),
        }
        for layer in self._layers.values():
            data = layer(data)
            if data[key.NODE_FEATURE].is_floating_point():  # the element's one-hot code is not
                data[key.NODE_FEATURE] = data[key.NODE_FEATURE].to(self._dtype)
        energies: Tensor = data[key.PRED_TOTAL_ENERGY]
        return energies


@dataclass(frozen=True)
class _Paths:
    """The paths between features of one degree and messages of another.

    Attributes:
        source: Position of the features among the input's.
        multiplicity: Channels.
        targets: First column of each path in the published order.
    """

    source: int
    multiplicity: int
    targets: tuple[int, ...]


class BondConvolution(torch.nn.Module):
    """``sevenn``'s ``IrrepsConvolution`` with its paths taken together.

    Args:
        published: The layer with its weights.
    """

    def __init__(self, published: Any) -> None:
        super().__init__()
        from e3nn.o3 import wigner_3j

        product = published.convolution
        self.radial = published.weight_nn
        self.denominator = published.denominator
        self._widths = [features.dim for features in product.irreps_in1]
        harmonics = product.irreps_in2.slices()
        targets = product.irreps_out.slices()
        multiplicities = [product.irreps_in1[path.i_in1].mul for path in product.instructions]
        weights = np.split(np.arange(sum(multiplicities)), np.cumsum(multiplicities)[:-1])
        grouped: dict[tuple[int, int], list[int]] = {}
        for index, path in enumerate(product.instructions):
            degree = product.irreps_out[path.i_out].ir.l
            grouped.setdefault((path.i_in1, degree), []).append(index)
        self._groups: list[_Paths] = []
        order = []
        for (source, degree), members in grouped.items():
            features = product.irreps_in1[source]
            coupling = torch.zeros(
                product.irreps_in2.dim, features.ir.dim, len(members), 2 * degree + 1
            )
            for position, index in enumerate(members):
                path = product.instructions[index]
                symbol = wigner_3j(features.ir.l, product.irreps_in2[path.i_in2].ir.l, degree)
                coupling[harmonics[path.i_in2], :, position] = path.path_weight * symbol.permute(
                    1, 0, 2
                )
            self.register_buffer(f"coupling{len(self._groups)}", coupling)
            starts = tuple(targets[product.instructions[index].i_out].start for index in members)
            self._groups.append(_Paths(source, features.mul, starts))
            order.append(np.stack([weights[index] for index in members], axis=1).ravel())
        last = list(self.radial.children())[-1]
        columns = torch.as_tensor(np.concatenate(order), device=last.weight.device)
        last.weight = torch.nn.Parameter(last.weight.detach()[:, columns])

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replaces the atoms' features by the sum of their neighbours' messages."""
        import sevenn._keys as key

        features, harmonics = data[key.NODE_FEATURE], data[key.EDGE_ATTR]
        center, neighbor = data[key.EDGE_IDX]
        n_bonds, n_atoms = len(center), len(features)
        sources = features.index_select(0, neighbor).split(self._widths, dim=1)
        sizes = [group.multiplicity * len(group.targets) for group in self._groups]
        weights = self.radial(data[key.EDGE_EMBEDDING]).split(sizes, dim=1)
        summed: dict[int, Tensor] = {}
        for index, (group, weight) in enumerate(zip(self._groups, weights, strict=True)):
            coupling = self.get_buffer(f"coupling{index}")
            _, width, n_paths, reach = coupling.shape
            channels = group.multiplicity
            turned = (harmonics @ coupling.flatten(1)).view(n_bonds, width, n_paths * reach)
            source = sources[group.source]
            if width == 1:  # a scalar couples to each degree by one path: no sum to take
                message = (source * weight)[:, :, None] * turned
            else:
                message = torch.bmm(source.view(n_bonds, channels, width), turned)
                message = message.view(n_bonds, channels, n_paths, reach)
                message = message * weight.view(n_bonds, channels, n_paths, 1)
            total = message.new_zeros(n_atoms, channels * n_paths * reach)
            total = total.index_add(0, center, message.flatten(1))
            by_path = total.view(n_atoms, channels, n_paths, reach).unbind(dim=2)
            for start, part in zip(group.targets, by_path, strict=True):
                summed[start] = part.flatten(1)
        in_order = [summed[start] for start in sorted(summed)]
        data[key.NODE_FEATURE] = torch.cat(in_order, dim=1) / self.denominator
        return data


def _published_model() -> tuple[Any, Mapping[str, Any]]:
    """SevenNet-l3i5 with its weights, and its configuration."""
    spec = find_spec("sevenn")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "SevenNet needs the package 'sevenn', which holds its weights: "
            "pip install 'ray_matdesign[sevennet]'"
        )
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.scripts.backward_compatibility import patch_state_dict_if_old

    checkpoint = _read_checkpoint(Path(spec.submodule_search_locations[0]) / CHECKPOINT)
    config = checkpoint["config"]
    with torch.random.fork_rng(devices=[]):  # its layers start from random weights
        model = build_E3_equivariant_model(config)
    state = patch_state_dict_if_old(checkpoint["model_state_dict"], config, model)
    model.load_state_dict(state)
    return model, config


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads tensors and plain values; of NumPy, the arrays of floats among the settings."""
    # What builds an array, under the name it had when the file was written.
    rebuild = (np.empty(0).__reduce__()[0], "numpy.core.multiarray._reconstruct")
    floats = [type(np.dtype(kind)) for kind in ("float32", "float64")]
    allowed: list[Any] = [rebuild, np.ndarray, np.dtype, *floats]
    with torch.serialization.safe_globals(allowed):
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return checkpoint
