"""Barriers of diffusing atoms by a climbing, nudged elastic band."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.scenarios.study_folder import StudyFailed
from ray_matdesign.potentials.protocol import Potential


@dataclass(frozen=True)
class Barrier:
    """A path from one minimum to the next.

    Attributes:
        what: Which atom goes where.
        energies_ev: Along the path, against its start, both ends included.
        distances_ang: Along the path, from its start, summed over all atoms.
        saddle_force_ev_per_ang: Largest force on any free atom at the highest image; zero at a
            saddle.
        atoms: In the cell.
    """

    what: str
    energies_ev: NDArray[np.float64]
    distances_ang: NDArray[np.float64]
    saddle_force_ev_per_ang: float
    atoms: int

    @property
    def height_ev(self) -> float:
        """Of the highest image over the start, eV."""
        return float(self.energies_ev.max() - self.energies_ev[0])

    @property
    def asymmetry_ev(self) -> float:
        """Difference of energy between the ends, eV; zero between equal sites."""
        return float(abs(self.energies_ev[-1] - self.energies_ev[0]))


def vacancy_migration(
    potential: Potential, symbol: str, lattice_ang: float, *, repeats: int = 3, images: int = 5,
    fmax_ev_per_ang: float = 0.02, max_steps: int = 300,
) -> Barrier:  # fmt: skip
    """An atom of a face-centred cubic metal hops into a vacancy beside it.

    Args:
        potential: Gives energies and forces.
        symbol: Of the metal.
        lattice_ang: Lattice constant at rest, Angstrom.
        repeats: Cubic cells along each axis.
        images: Between the ends; odd, so that one lies at the middle.
        fmax_ev_per_ang: What ends and band are relaxed to.
        max_steps: Most steps of each relaxation.

    Raises:
        StudyFailed: Something does not come to rest, or the potential fails.
    """
    from ase.build import bulk

    perfect = bulk(symbol, "fcc", a=lattice_ang, cubic=True) * (repeats, repeats, repeats)
    neighbour = int(np.argmin([d or np.inf for d in perfect.get_distances(
        0, range(len(perfect)), mic=True)]))  # fmt: skip
    start, end = perfect.copy(), perfect.copy()
    # The vacancy is atom 0's place at the start and its neighbour's at the end.
    hop = perfect.get_distance(neighbour, 0, mic=True, vector=True)
    end.positions[neighbour] += hop
    del start[0], end[0]
    return _barrier(
        potential, f"vacancy in {symbol}", (start, end), images, fmax_ev_per_ang, max_steps
    )


def vacancy_formation_ev(
    potential: Potential, symbol: str, lattice_ang: float, *, repeats: int = 3,
    fmax_ev_per_ang: float = 0.02, max_steps: int = 300,
) -> float:  # fmt: skip
    """Energy to take an atom out of a face-centred cubic metal and add it to its surface, eV.

    ``E(n - 1 atoms) - (n - 1) / n E(n atoms)``, the cell held at the perfect crystal's.

    Raises:
        StudyFailed: The atoms do not come to rest, or the potential fails.
    """
    from ase.build import bulk

    perfect = bulk(symbol, "fcc", a=lattice_ang, cubic=True) * (repeats, repeats, repeats)
    n = len(perfect)
    missing = perfect.copy()
    del missing[0]
    whole = _relaxed(potential, perfect, "perfect crystal", fmax_ev_per_ang, max_steps)
    rest = _relaxed(potential, missing, "crystal with a vacancy", fmax_ev_per_ang, max_steps)
    return float(rest.get_potential_energy() - (n - 1) / n * whole.get_potential_energy())


def adatom_hop(
    potential: Potential, symbol: str, lattice_ang: float, *,
    size: tuple[int, int, int] = (3, 3, 4), images: int = 5, fmax_ev_per_ang: float = 0.02,
    max_steps: int = 300,
) -> Barrier:  # fmt: skip
    """An atom on the (100) face of a face-centred cubic metal hops to the next hollow.

    Args:
        potential: Gives energies and forces.
        symbol: Of the metal and the adatom.
        lattice_ang: Lattice constant at rest, Angstrom.
        size: Surface cells along both axes, and layers; the two lowest are held.
        images: As in :func:`vacancy_migration`.
        fmax_ev_per_ang: Likewise.
        max_steps: Likewise.

    Raises:
        StudyFailed: Something does not come to rest, or the potential fails.
    """
    from ase.build import add_adsorbate, fcc100
    from ase.constraints import FixAtoms

    start = fcc100(symbol, size=size, a=lattice_ang, vacuum=8.0, periodic=True)
    add_adsorbate(start, symbol, 0.5 * lattice_ang, "hollow")
    layers = np.unique(np.round(start.positions[:-1, 2], 3))
    held = [i for i, z in enumerate(start.positions[:, 2]) if z < layers[1] + 0.1]
    start.set_constraint(FixAtoms(held))
    end = start.copy()
    end.positions[-1, 0] += lattice_ang / np.sqrt(2.0)
    what = f"adatom on {symbol}(100)"
    return _barrier(potential, what, (start, end), images, fmax_ev_per_ang, max_steps)


def _barrier(
    potential: Potential, what: str, ends: tuple[Any, Any], images: int, fmax: float, steps: int
) -> Barrier:
    """Relaxes the ends, then the band; the highest image climbs.

    Henkelman, Uberuaga and Jonsson, J. Chem. Phys. 113, 9901 (2000).
    """
    from ase.mep import NEB
    from ase.optimize import FIRE

    from ray_matdesign.agents.scenarios.ase_bridge import PotentialCalculator

    first = _relaxed(potential, ends[0], f"{what}: start", fmax, steps)
    last = _relaxed(potential, ends[1], f"{what}: end", fmax, steps)
    path = [first, *(first.copy() for _ in range(images)), last]
    for image in path[1:-1]:
        image.calc = PotentialCalculator(potential)
    band = NEB(path, climb=True, method="improvedtangent")
    band.interpolate(method="linear", mic=True)
    if not FIRE(band, logfile=None).run(fmax=fmax, steps=steps):
        raise StudyFailed(f"{what}: the band did not come to rest in {steps} steps")
    energies = np.array([image.get_potential_energy() for image in path])
    jumps = [
        float(np.linalg.norm(_nearest_images(b.positions - a.positions, first.cell)))
        for a, b in pairwise(path)
    ]
    saddle = path[int(energies.argmax())]
    return Barrier(
        what=what,
        energies_ev=energies - energies[0],
        distances_ang=np.concatenate([[0.0], np.cumsum(jumps)]),
        saddle_force_ev_per_ang=float(np.linalg.norm(saddle.get_forces(), axis=1).max()),
        atoms=len(first),
    )


def _relaxed(potential: Potential, atoms: Any, what: str, fmax: float, steps: int) -> Any:
    from ase.optimize import BFGS

    from ray_matdesign.agents.scenarios.ase_bridge import PotentialCalculator

    atoms.calc = PotentialCalculator(potential)
    if not BFGS(atoms, logfile=None).run(fmax=fmax, steps=steps):
        raise StudyFailed(f"{what}: not at rest after {steps} steps")
    return atoms


def _nearest_images(moves: NDArray[np.float64], cell: Any) -> NDArray[np.float64]:
    from ase.geometry import find_mic

    return np.asarray(find_mic(moves, cell)[0])
