"""Relaxing many crystals at once, atoms and cell.

Crystals are taken a few at a time, as many as make one efficient call of the potential; one that
has come to rest makes room for the next. Each moves by an optimiser of its own (see
:mod:`ray_matdesign.potentials.optimizers`), so what becomes of it does not depend on its company
beyond rounding.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.geometry import min_distance
from ray_matdesign.potentials.checks import checked_point, overlapping_atoms
from ray_matdesign.potentials.optimizers import OPTIMIZERS, Optimizer
from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed, SinglePoint

DEFAULT_OPTIMIZER = "fire"
DEFAULT_FMAX_EV_PER_ANG = 0.05
DEFAULT_MAX_STEPS = 500
ATOMS_IN_FLIGHT = 128
"""Atoms evaluated together by default; a GPU wants thousands."""
MOST_VOLUME_CHANGE = 8.0
"""A cell that has grown or shrunk by more has come apart or collapsed."""


class Session(Protocol):
    """Evaluations of crystals that move a little between calls."""

    def evaluate(
        self, keys: Sequence[int], crystals: Sequence[Crystal]
    ) -> list[SinglePoint | Failed]:
        """Evaluates all crystals; a key seen in the call before means the same atoms, moved."""
        ...


@runtime_checkable
class TrackingPotential(Potential, Protocol):
    """A potential that keeps something, its neighbour lists say, from step to step."""

    def session(self) -> Session:
        """Starts with nothing kept."""
        ...


@dataclass
class _Run:
    """One crystal on its way to rest."""

    crystal: Crystal
    optimizer: Optimizer
    start: Crystal
    start_energy_ev_per_atom: float = np.nan
    steps: int = 0


class BatchRelaxer:
    """Relaxes crystals in batches with in-flight replacement.

    Args:
        potential: Energies, forces and stresses.
        optimizer: A key of :data:`ray_matdesign.potentials.optimizers.OPTIMIZERS`.
        atoms_in_flight: Atoms evaluated together.
        deadline_s: Wall-clock limit of one call of :meth:`relax`, seconds; ``None`` for none.
            What has not come to rest by then fails.

    Raises:
        ValueError: The optimizer is not known, or a limit is not positive.
    """

    def __init__(
        self,
        potential: Potential,
        *,
        optimizer: str = DEFAULT_OPTIMIZER,
        atoms_in_flight: int = ATOMS_IN_FLIGHT,
        deadline_s: float | None = None,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer {optimizer!r} is not one of {', '.join(OPTIMIZERS)}")
        if atoms_in_flight < 1:
            raise ValueError(f"atoms_in_flight is {atoms_in_flight}, expected at least 1")
        if deadline_s is not None and deadline_s <= 0:
            raise ValueError(f"deadline_s is {deadline_s}, expected a positive number or None")
        self.potential = potential
        self.optimizer = optimizer
        self.atoms_in_flight = atoms_in_flight
        self.deadline_s = deadline_s

    def relax(
        self,
        crystals: Sequence[Crystal],
        *,
        fmax_ev_per_ang: float = DEFAULT_FMAX_EV_PER_ANG,
        max_steps: int = DEFAULT_MAX_STEPS,
    ) -> list[Relaxed | Failed]:
        """Relaxes each crystal; same order and length as given.

        Args:
            crystals: Starting points.
            fmax_ev_per_ang: A crystal is at rest when the force on every atom, and every row of
                the derivative of the energy by the cell's deformation over the number of atoms,
                is shorter: ASE's criterion under a cell filter.
            max_steps: Steps after which a crystal is returned as it is, ``converged=False``.
        """
        deadline = None if self.deadline_s is None else time.monotonic() + self.deadline_s
        evaluate = self._evaluator()
        # Some potentials find finite forces between atoms on top of each other.
        shortest = enumerate(map(min_distance, crystals))
        results: dict[int, Relaxed | Failed] = {
            key: overlap
            for key, length in shortest
            if (overlap := overlapping_atoms(length)) is not None
        }
        waiting = deque(key for key in range(len(crystals)) if key not in results)
        running: dict[int, _Run] = {}
        while waiting or running:
            if deadline is not None and time.monotonic() > deadline:
                late = Failed(f"deadline of {self.deadline_s:g} s passed")
                results |= dict.fromkeys([*running, *waiting], late)
                break
            self._admit(crystals, waiting, running)
            points = evaluate(list(running), [run.crystal for run in running.values()])
            for (key, run), point in zip(list(running.items()), points, strict=True):
                outcome = _advance(run, point, fmax=fmax_ev_per_ang, max_steps=max_steps)
                if outcome is not None:
                    results[key] = outcome
                    del running[key]
        return [results[key] for key in range(len(crystals))]

    def _evaluator(
        self,
    ) -> Callable[[Sequence[int], Sequence[Crystal]], list[SinglePoint | Failed]]:
        """How to evaluate crystals by key."""
        potential = self.potential
        if isinstance(potential, TrackingPotential):
            return potential.session().evaluate
        return lambda _, crystals: potential.evaluate(crystals)

    def _admit(
        self, crystals: Sequence[Crystal], waiting: deque[int], running: dict[int, _Run]
    ) -> None:
        """Starts waiting crystals while there is room, and at least one."""
        atoms = sum(len(run.crystal) for run in running.values())
        while waiting and (
            not running or atoms + len(crystals[waiting[0]]) <= self.atoms_in_flight
        ):
            key = waiting.popleft()
            crystal = crystals[key]
            running[key] = _Run(crystal, OPTIMIZERS[self.optimizer](crystal), start=crystal)
            atoms += len(crystal)


def _advance(
    run: _Run, point: SinglePoint | Failed, *, fmax: float, max_steps: int
) -> Relaxed | Failed | None:
    """Takes one step, or says how the run ended."""
    if isinstance(point, SinglePoint):
        point = checked_point(point)
    if isinstance(point, Failed):
        return point if run.steps == 0 else Failed(f"after {run.steps} steps: {point.reason}")
    if run.steps == 0:
        run.start_energy_ev_per_atom = point.energy_ev_per_atom
    force = run.optimizer.generalised_force(run.crystal, point)
    largest = float(np.sqrt((force**2).sum(axis=1).max()))
    if largest < fmax or run.steps >= max_steps:
        return Relaxed(
            crystal=run.crystal,
            energy_ev_per_atom=point.energy_ev_per_atom,
            initial_energy_ev_per_atom=run.start_energy_ev_per_atom,
            steps=run.steps,
            converged=largest < fmax,
            max_force_ev_per_ang=largest,
        )
    try:
        run.crystal = run.optimizer.step(run.crystal, point, force)
    except InvalidCrystal as error:
        return Failed(f"after {run.steps} steps: {error}")
    run.steps += 1
    change = run.crystal.volume / run.start.volume
    if not 1.0 / MOST_VOLUME_CHANGE < change < MOST_VOLUME_CHANGE:
        return Failed(f"after {run.steps} steps: volume changed by a factor of {change:.3g}")
    return None
