"""CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)) as a potential.

The weights are read from the installed ``chgnet`` wheel; its code is not imported. Energies are
those of the Materials Project's corrected GGA/GGA+U scheme (MP2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.bond_graph import SKIN_ANG, GraphBuilder
from ray_matdesign.potentials.checks import checked_point, overlapping_atoms, unknown_elements
from ray_matdesign.potentials.chgnet_network import ChgnetNetwork
from ray_matdesign.potentials.neighbors import CellTooFlat, PairCandidates
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint

CHECKPOINT = "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"
"""Within the ``chgnet`` package."""
UNTRAINED_ELEMENTS = frozenset({84, 85, 86, 87, 88})
"""Po, At, Rn, Fr, Ra: among the 94 embeddings, but not among the 89 elements of MPtrj."""
ATOMS_PER_BATCH = 128
"""Atoms evaluated together. More saves little overhead and outgrows the processor's cache."""


class ChgnetPotential:
    """CHGNet 0.3.0 behind the :class:`Potential` protocol.

    Args:
        device: Torch device, e.g. ``cpu`` or ``cuda``.
        dtype: Precision of the network; ``torch.float64`` for finite differences.

    Attributes:
        name: ``chgnet-0.3.0``.
        elements: The 89 elements of its training set.
        energy_scale: Corrected, as its training set was.
        network: The network itself.

    Raises:
        ModuleNotFoundError: The ``chgnet`` package, which holds the weights, is not installed.
    """

    def __init__(
        self, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.name = "chgnet-0.3.0"
        self.energy_scale = EnergyScale.MP2020
        self.elements = frozenset(range(1, 95)) - UNTRAINED_ELEMENTS
        self.network = load_network(device=torch.device(device), dtype=dtype)

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given.

        A crystal fails if it holds an element outside :attr:`elements`, an atom without a
        neighbour within 6 Angstrom, or two atoms closer than 0.5 Angstrom.
        """
        points: list[SinglePoint | Failed] = []
        for batch in _batches(crystals):
            points += ChgnetSession(self, skin_ang=0.0).evaluate(range(len(batch)), batch)
        return points

    def session(self) -> ChgnetSession:
        """Evaluates crystals that move a little between calls, without searching anew."""
        return ChgnetSession(self, skin_ang=SKIN_ANG)


class ChgnetSession:
    """Evaluations of the same crystals as they move.

    Args:
        potential: Whose session it is.
        skin_ang: Extra reach of the neighbour search, Angstrom.
    """

    def __init__(self, potential: ChgnetPotential, *, skin_ang: float) -> None:
        self._potential = potential
        self._skin = skin_ang
        self._keys: tuple[int, ...] = ()
        self._builder: GraphBuilder | None = None

    def evaluate(
        self, keys: Sequence[int], crystals: Sequence[Crystal]
    ) -> list[SinglePoint | Failed]:
        """Evaluates all crystals in one pass of the network.

        Args:
            keys: One per crystal. A key seen in the call before means the same atoms, moved.
            crystals: Same length.
        """
        elements = self._potential.elements
        points: dict[int, SinglePoint | Failed] = {}
        known: dict[int, Crystal] = {}
        for key, crystal in zip(keys, crystals, strict=True):
            failure = unknown_elements(crystal, elements)
            if failure is None:
                known[key] = crystal
            else:
                points[key] = failure
        try:
            points |= self._evaluate_known(known)
        except CellTooFlat:
            points |= self._evaluate_apart(known)
        return [points[key] for key in keys]

    def _evaluate_apart(self, crystals: dict[int, Crystal]) -> dict[int, SinglePoint | Failed]:
        """One at a time, to tell the crystal with the impossible cell from the others."""
        points: dict[int, SinglePoint | Failed] = {}
        for key, crystal in crystals.items():
            try:
                points |= self._evaluate_known({key: crystal})
            except CellTooFlat as error:
                points[key] = Failed(str(error))
        return points

    def _evaluate_known(self, crystals: dict[int, Crystal]) -> dict[int, SinglePoint | Failed]:
        if not crystals:
            return {}
        batch = list(crystals.values())
        network = self._potential.network
        graph = self._builder_for(crystals).build(
            np.stack([crystal.lattice for crystal in batch]),
            [crystal.frac_coords for crystal in batch],
        )
        failures = _geometry_failures(graph.isolated, graph.shortest_ang)
        if graph.topology.n_bonds == 0:
            return {key: failures[k] for k, key in enumerate(crystals)}
        prediction = network.predict(graph)
        points: dict[int, SinglePoint | Failed] = {}
        start = 0
        for k, (key, crystal) in enumerate(crystals.items()):
            atoms = slice(start, start + len(crystal))
            start = atoms.stop
            if k in failures:
                points[key] = failures[k]
                continue
            points[key] = checked_point(
                SinglePoint(
                    energy_ev_per_atom=float(prediction.energies[k]) / len(crystal),
                    forces_ev_per_ang=prediction.forces[atoms],
                    stress_ev_per_ang3=prediction.virials[k] / crystal.volume,
                    magmoms_mu_b=prediction.magmoms[atoms],
                )
            )
        return points

    def _builder_for(self, crystals: dict[int, Crystal]) -> GraphBuilder:
        """The builder at hand if the batch is the same, or one that inherits from it."""
        keys = tuple(crystals)
        if self._builder is None or keys != self._keys:
            inherited: dict[int, PairCandidates | None] = {}
            if self._builder is not None:
                inherited = dict(zip(self._keys, self._builder.candidates, strict=True))
            self._builder = GraphBuilder(
                [crystal.numbers for crystal in crystals.values()],
                [inherited.get(key) for key in keys],
                device=self._potential.network.device,
                skin_ang=self._skin,
            )
            self._keys = keys
        return self._builder


def _geometry_failures(
    isolated: NDArray[np.bool_], shortest_ang: NDArray[np.float64]
) -> dict[int, Failed]:
    """Failures by position in the batch."""
    failures = {
        k: failure
        for k, shortest in enumerate(shortest_ang.tolist())
        if (failure := overlapping_atoms(shortest)) is not None
    }
    failures |= {
        int(k): Failed("an atom without a neighbour within 6 Angstrom")
        for k in np.nonzero(isolated)[0]
    }
    return failures


def _batches(crystals: Sequence[Crystal]) -> Iterator[list[Crystal]]:
    """Splits crystals into runs of about ``ATOMS_PER_BATCH`` atoms, in order."""
    batch: list[Crystal] = []
    atoms = 0
    for crystal in crystals:
        if batch and atoms + len(crystal) > ATOMS_PER_BATCH:
            yield batch
            batch, atoms = [], 0
        batch.append(crystal)
        atoms += len(crystal)
    if batch:
        yield batch


def load_network(*, device: torch.device, dtype: torch.dtype) -> ChgnetNetwork:
    """Reads CHGNet 0.3.0's weights from the installed wheel.

    Raises:
        ModuleNotFoundError: The ``chgnet`` package is not installed.
    """
    spec = find_spec("chgnet")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("CHGNet's weights come with the package 'chgnet': install it")
    path = Path(spec.submodule_search_locations[0]) / CHECKPOINT
    checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    return ChgnetNetwork(checkpoint["model"]["state_dict"], device=device, dtype=dtype)
