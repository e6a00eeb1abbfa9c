"""Any ASE calculator as a potential, one crystal at a time.

For potentials this package has no adapter for, and for calculators that run a program of their own.
With a deadline the calculator lives in a process apart, which is ended and started anew when a
crystal takes too long or takes the process down with it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from ray_matdesign.config.import_path import load_object
from ray_matdesign.crystals.convert import to_ase
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.checks import checked_point, unknown_elements
from ray_matdesign.potentials.protocol import EnergyScale, Failed, SinglePoint

STARTUP_S = 300.0
"""How long a calculator may take to be built in its process: imports and weights."""
NEEDED = ("energy", "forces", "stress")
"""What a relaxation of atoms and cell asks of a calculator."""


class UnfitCalculator(ValueError):
    """A calculator that cannot be built, or lacks what a potential must give."""


class AseCalculatorPotential:
    """An ASE calculator behind the :class:`Potential` protocol.

    Args:
        calculator: Import path ``package.module:factory`` of the calculator's class, or of a
            function that returns one.
        options: Passed to the factory as keywords.
        elements: Symbols of the elements it knows; ``None`` for all, leaving it to the calculator
            to fail.
        energy_scale: What its energies may be compared with.
        deadline_s: Wall-clock limit of one crystal, seconds; ``None`` for none, and then the
            calculator runs in this process.
        name: As written into results; by default ``ase-`` and the factory's name.

    Attributes:
        name: As given.
        elements: Atomic numbers.
        energy_scale: As given.

    Raises:
        UnknownName: The import path leads nowhere.
        UnfitCalculator: The factory refuses its options, or its calculator gives no energy, forces
            or stress.
        ValueError: An unknown element or energy scale, or a deadline that is not positive.
    """

    def __init__(
        self,
        *,
        calculator: str,
        options: Mapping[str, Any] | None = None,
        elements: Iterable[str] | None = None,
        energy_scale: str = EnergyScale.OWN.value,
        deadline_s: float | None = None,
        name: str | None = None,
    ) -> None:
        if deadline_s is not None and deadline_s <= 0:
            raise ValueError(f"ase: deadline_s is {deadline_s}, expected a positive number")
        self.name = name or f"ase-{calculator.rpartition(':')[2].lower()}"
        self.energy_scale = EnergyScale(energy_scale)
        self.elements = _numbers(elements)
        self._calculator: _Calculator | _CalculatorProcess
        if deadline_s is None:
            self._calculator = _Calculator(calculator, dict(options or {}))
        else:
            self._calculator = _CalculatorProcess(calculator, dict(options or {}), deadline_s)

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        """Evaluates each crystal; same order and length as given.

        A crystal fails if it holds an element outside :attr:`elements`, if the calculator raises
        an error, or if the deadline passes.
        """
        return [
            unknown_elements(crystal, self.elements) or self._calculator.evaluate(crystal)
            for crystal in crystals
        ]


class _Calculator:
    """A calculator in this process."""

    def __init__(self, path: str, options: Mapping[str, Any]) -> None:
        factory = load_object(path, {}, what="ASE calculator")
        try:
            self._calculator = factory(**options)
        except TypeError as error:
            raise UnfitCalculator(f"ase: {path} refused its options: {error}") from error
        given = getattr(self._calculator, "implemented_properties", ())
        if lacking := [name for name in NEEDED if name not in given]:
            raise UnfitCalculator(
                f"ase: {path} gives no {' and no '.join(lacking)}, which relaxing a crystal needs"
            )

    def evaluate(self, crystal: Crystal) -> SinglePoint | Failed:
        atoms = to_ase(crystal)
        atoms.calc = self._calculator
        try:
            # Atoms on top of each other divide by zero; the check below turns that into a value.
            with np.errstate(all="ignore"):
                energy = float(atoms.get_potential_energy()) / len(crystal)
                forces = np.array(atoms.get_forces(), dtype=np.float64)
                stress = np.array(atoms.get_stress(voigt=False), dtype=np.float64)
            # Some declare moments and have none: what was computed is what counts.
            moments = self._calculator.results.get("magmoms")
        except Exception as error:  # noqa: BLE001 - calculators raise anything; it is reported
            lines = str(error).strip().splitlines()
            reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
            return Failed(f"the calculator raised {reason}")
        magmoms = None if moments is None else np.array(moments, dtype=np.float64)
        return checked_point(SinglePoint(energy, forces, stress, magmoms))


class _CalculatorProcess:
    """A calculator in a process that may be ended."""

    def __init__(self, path: str, options: Mapping[str, Any], deadline_s: float) -> None:
        self._path = path
        self._options = options
        self._deadline_s = deadline_s
        self._process: BaseProcess | None = None
        self._start()

    def evaluate(self, crystal: Crystal) -> SinglePoint | Failed:
        if self._process is None:
            self._start()
        arrays = (crystal.lattice, crystal.frac_coords, crystal.numbers)
        try:
            self._pipe.send(arrays)
            if not self._pipe.poll(self._deadline_s):
                self._end()
                return Failed(f"deadline of {self._deadline_s:g} s passed")
            point: SinglePoint | Failed = self._pipe.recv()
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join(timeout=1.0)
            code = self._process.exitcode
            self._end()
            return Failed(f"the calculator's process ended with exit code {code}")
        return point

    def _start(self) -> None:
        """Starts the process and waits until its calculator is built."""
        # Spawned, not forked: the parent may hold threads and a GPU context.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._path, self._options), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            refusal = self._pipe.recv() if self._pipe.poll(STARTUP_S) else "took too long to start"
        except EOFError:
            refusal = "ended its process while it was built"
        if refusal is not None:
            self._end()
            raise UnfitCalculator(str(refusal))

    def _end(self) -> None:
        """Ends the process and whatever it has started."""
        assert self._process is not None
        assert self._process.pid is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # not yet a group of its own, or all of it gone
            self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None


def _serve(pipe: Connection, path: str, options: Mapping[str, Any]) -> None:
    """Evaluates crystals from the pipe until it closes.

    First ``None`` is sent, or why there is no calculator.
    """
    os.setsid()  # so that programs started by the calculator can be ended with it
    try:
        calculator = _Calculator(path, options)
    except ValueError as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while True:
        try:
            arrays = pipe.recv()
        except EOFError:
            return
        pipe.send(calculator.evaluate(Crystal(*arrays)))


def _numbers(symbols: Iterable[str] | None) -> frozenset[int]:
    if symbols is None:
        return frozenset(ATOMIC_NUMBERS.values())
    given = list(symbols)
    if unknown := [symbol for symbol in given if symbol not in ATOMIC_NUMBERS]:
        raise ValueError(f"ase: no chemical elements: {', '.join(map(repr, unknown))}")
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in given)
