"""CHGNet behind TorchSim's model interface, for its integrators, optimisers and autobatchers.

TorchSim ships adapters for other potentials, not for this one. Import this module only where
TorchSim is used: it imports the whole of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from ray_matdesign.potentials.bond_graph import SKIN_ANG, GraphBuilder
from ray_matdesign.potentials.chgnet import load_network


class ChgnetTorchSimModel(ModelInterface):  # type: ignore[misc]  # TorchSim is untyped
    """CHGNet 0.3.0 as a TorchSim model.

    Neighbours are kept between calls as long as the same systems come back in the same order,
    moved but with their atoms unwrapped or wrapped: a jump across the cell only costs a search.

    Args:
        device: Torch device.
        dtype: Precision of the results. The network itself runs in it too.

    Raises:
        ModuleNotFoundError: The ``chgnet`` package, which holds the weights, is not installed.
    """

    def __init__(
        self, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self._device = torch.device(device)
        self._dtype = dtype
        self._compute_stress = True
        self._compute_forces = True
        self._memory_scales_with = "n_atoms_x_density"
        self._network = load_network(device=self._device, dtype=dtype)
        self._builder: GraphBuilder | None = None
        self._composition: tuple[bytes, bytes] = (b"", b"")

    def forward(self, state: SimState | dict[str, Any], **_: Any) -> dict[str, torch.Tensor]:
        """Energies, forces and stresses of a batched state.

        Args:
            state: TorchSim's state, or a dictionary from which it can be made.
            **_: TorchSim passes hints meant for other models.

        Returns:
            ``energy`` (``(n_systems,)``, eV), ``forces`` (``(n_atoms, 3)``, eV/Angstrom),
            ``stress`` (``(n_systems, 3, 3)``, eV/Angstrom^3) and ``magmoms`` (``(n_atoms,)``,
            Bohr magnetons).

        Raises:
            CellTooFlat: A cell's neighbours cannot be listed.
            ValueError: No system has a bond.
        """
        sim_state = SimState(**state) if isinstance(state, dict) else state
        lattices = sim_state.row_vector_cell.detach().double().cpu().numpy()
        positions = sim_state.positions.detach().double().cpu().numpy()
        numbers = sim_state.atomic_numbers.detach().cpu().numpy().astype(np.int64)
        systems = sim_state.system_idx.detach().cpu().numpy()
        borders = np.cumsum(np.bincount(systems, minlength=len(lattices)))[:-1]
        coords = [
            np.linalg.solve(lattice.T, cartesian.T).T
            for lattice, cartesian in zip(lattices, np.split(positions, borders), strict=True)
        ]
        composition = (numbers.tobytes(), systems.tobytes())
        if self._builder is None or composition != self._composition:
            parts = np.split(numbers, borders)
            self._builder = GraphBuilder(
                parts, [None] * len(parts), device=self._device, skin_ang=SKIN_ANG
            )
            self._composition = composition
        graph = self._builder.build(lattices, coords)
        if graph.topology.n_bonds == 0:
            raise ValueError("no two atoms are within 6 Angstrom of each other")
        prediction = self._network.predict(graph)
        volumes = np.abs(np.linalg.det(lattices))[:, None, None]
        results = {
            "energy": prediction.energies,
            "forces": prediction.forces,
            "stress": prediction.virials / volumes,
            "magmoms": prediction.magmoms,
        }
        return {
            name: torch.as_tensor(array, device=self._device, dtype=self._dtype)
            for name, array in results.items()
        }
