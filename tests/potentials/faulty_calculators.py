"""ASE calculators that misbehave, found by import path."""

from __future__ import annotations

import os
import time

from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT


class Faulty(EMT):
    """EMT that gets stuck on gold, dies of platinum, and complains about nickel."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        numbers = set(atoms.numbers.tolist())
        if 79 in numbers:
            time.sleep(60.0)
        if 78 in numbers:
            os._exit(17)
        if 28 in numbers:
            raise KeyError("no nickel today")
        super().calculate(atoms, properties, system_changes)


class Moments(EMT):
    """EMT with a moment of two Bohr magnetons on every atom."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["magmoms"] = [2.0] * len(atoms)


class EnergyOnly(Calculator):
    """No forces, no stress."""

    implemented_properties = ("energy",)


class Sloppy(EMT):
    """EMT whose forces are five per cent too large, as if of other units than its energies."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = 1.05 * self.results["forces"]
