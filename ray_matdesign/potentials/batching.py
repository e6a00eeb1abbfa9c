"""How many atoms one pass of a network may hold: known on a CPU, found out on a GPU.

On a CPU small passes are the fast ones and their size is a constant of the potential. On a GPU a
pass should fill the memory, and how many atoms do so depends on card, network and crystals. So it
is measured once, and what still does not fit is split in two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential, SinglePoint
from ray_matdesign.potentials.relaxation import ATOMS_IN_FLIGHT, Session, TrackingPotential

PROBE_ATOMS = 512
"""Atoms of the pass whose memory is measured: enough that fixed costs do not count."""
SHARE_OF_MEMORY = 0.5
"""Of what is free, given to one pass; the rest is for denser crystals and other processes."""
MOST_ATOMS = 65_536
"""Beyond this a larger pass saves nothing on any card."""

_PROBE_SPACING_ANG = 2.35
"""0.08 atoms per cubic Angstrom: denser than most crystals, so their graphs are smaller."""


@runtime_checkable
class SplitsItself(Protocol):
    """A potential that splits what it is given into passes of its own size."""

    atoms_per_batch: int


class WithinMemory:
    """A potential whose passes never hold more atoms than the device's memory.

    A pass that runs out of memory is split in two, and later passes are no larger than its halves;
    a crystal that does not fit alone fails alone. Everything else is the potential's own doing.

    Args:
        potential: Its session evaluates a list in one pass, or in passes of its
            ``atoms_per_batch``, which is set to what fits.
        atoms_per_pass: Atoms to start with; ``None`` measures how many fit (CUDA devices only).
        device: Where the potential computes.

    Attributes:
        name: Of the potential.
        elements: Of the potential.
        energy_scale: Of the potential.
        potential: As given.
        atoms_per_pass: Most atoms evaluated together, as learnt so far.

    Raises:
        ValueError: ``atoms_per_pass`` is not positive, or ``None`` on a device that is no GPU.
    """

    def __init__(
        self,
        potential: Potential,
        *,
        atoms_per_pass: int | None = None,
        device: str | torch.device = "cuda",
    ) -> None:
        if atoms_per_pass is not None and atoms_per_pass < 1:
            raise ValueError(f"atoms_per_pass is {atoms_per_pass}, expected at least 1")
        self.name = potential.name
        self.elements = potential.elements
        self.energy_scale = potential.energy_scale
        self.potential = potential
        self._device = torch.device(device)
        self.atoms_per_pass = atoms_per_pass or self._measured()
        if isinstance(potential, SplitsItself):
            potential.atoms_per_batch = self.atoms_per_pass

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given."""
        return self.session().evaluate(range(len(crystals)), crystals)

    def session(self) -> SplitSession:
        """Evaluates crystals that move a little between calls."""
        return SplitSession(self)

    def passes(self, crystals: Mapping[int, Crystal]) -> Iterator[dict[int, Crystal]]:
        """Splits crystals into passes of at most :attr:`atoms_per_pass`, in order."""
        return batches_of_atoms(crystals, self.atoms_per_pass)

    def shrink(self, atoms: int) -> None:
        """Remembers that a pass of so many atoms ran out of memory, and frees what it took."""
        self.atoms_per_pass = min(self.atoms_per_pass, max(atoms // 2, 1))
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _measured(self) -> int:
        """Atoms that fit, from the memory that one pass over a dense crystal takes."""
        if self._device.type != "cuda":
            raise ValueError(f"atoms_per_pass must be given on device {self._device}")
        probe = _probe(min(self.elements))
        session = inner_session(self.potential)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        session(range(1), [probe])
        taken = torch.cuda.max_memory_allocated(self._device) - before
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        return atoms_that_fit(free, taken / len(probe))


class SplitSession:
    """Evaluations of the same crystals as they move, in passes that fit.

    Each pass has a session of the potential to itself, so that neighbour lists survive although
    the crystals are not evaluated in one go.

    Args:
        owner: Whose session it is.
    """

    def __init__(self, owner: WithinMemory) -> None:
        self._owner = owner
        self._sessions: list[_Evaluate] = []

    def evaluate(
        self, keys: Sequence[int], crystals: Sequence[Crystal]
    ) -> list[SinglePoint | Failed]:
        """Evaluates all crystals; a key seen in the call before means the same atoms, moved."""
        points: dict[int, SinglePoint | Failed] = {}
        remaining = dict(zip(keys, crystals, strict=True))
        number = 0
        while remaining:
            batch = next(self._owner.passes(remaining))
            try:
                found = self._session(number)(list(batch), list(batch.values()))
            except torch.OutOfMemoryError:
                atoms = sum(len(crystal) for crystal in batch.values())
                if len(batch) == 1:
                    key = next(iter(batch))
                    points[key] = Failed(f"{atoms} atoms do not fit into the device's memory")
                    del remaining[key]
                self._owner.shrink(atoms)
                continue
            points |= zip(batch, found, strict=True)
            remaining = {key: c for key, c in remaining.items() if key not in batch}
            number += 1
        return [points[key] for key in keys]

    def _session(self, number: int) -> _Evaluate:
        if number == len(self._sessions):
            self._sessions.append(inner_session(self._owner.potential))
        return self._sessions[number]


_Evaluate = Callable[[Sequence[int], Sequence[Crystal]], list[SinglePoint | Failed]]


def inner_session(potential: Potential) -> _Evaluate:
    """How to evaluate crystals by key: through a session where the potential keeps any."""
    if isinstance(potential, TrackingPotential):
        session: Session = potential.session()
        return session.evaluate
    return lambda _, crystals: potential.evaluate(crystals)


def atoms_in_flight(potential: Potential) -> int:
    """How many atoms a relaxation should move at once with this potential."""
    if isinstance(potential, WithinMemory):
        return potential.atoms_per_pass
    return ATOMS_IN_FLIGHT


def atoms_that_fit(free_bytes: int, bytes_per_atom: float) -> int:
    """Atoms of one pass.

    Args:
        free_bytes: Memory nobody uses.
        bytes_per_atom: What an atom took in a pass that was measured.

    Raises:
        ValueError: The pass took no memory, so it cannot have been on this device.
    """
    if bytes_per_atom <= 0.0:
        raise ValueError("the measured pass took no memory of the device: is the potential on it?")
    return max(1, min(MOST_ATOMS, int(SHARE_OF_MEMORY * free_bytes / bytes_per_atom)))


def batches_of_atoms(
    crystals: Mapping[int, Crystal], most_atoms: int
) -> Iterator[dict[int, Crystal]]:
    """Splits crystals into runs of at most so many atoms, a larger one apart, in order."""
    batch: dict[int, Crystal] = {}
    atoms = 0
    for key, crystal in crystals.items():
        if batch and atoms + len(crystal) > most_atoms:
            yield batch
            batch, atoms = {}, 0
        batch[key] = crystal
        atoms += len(crystal)
    if batch:
        yield batch


def _probe(number: int) -> Crystal:
    """A simple cubic crystal of :data:`PROBE_ATOMS` atoms."""
    edge = round(PROBE_ATOMS ** (1 / 3))
    places = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1)
    coords = places.reshape(-1, 3) / edge
    return Crystal(edge * _PROBE_SPACING_ANG * np.eye(3), coords, [number] * len(coords))
