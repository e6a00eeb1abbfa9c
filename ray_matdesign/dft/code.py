"""What a code is to the rest: a function from a task to a result, found by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ray_matdesign.config.import_path import load_object
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.result import DftResult
from ray_matdesign.dft.settings import DftSettings

_HERE = "ray_matdesign.dft.codes"

CODES: dict[str, str] = {
    "gpaw": f"{_HERE}.gpaw:run",
    "espresso": f"{_HERE}.espresso:run",
    "pyscf": f"{_HERE}.pyscf:run",
    "vasp": f"{_HERE}.vasp:run",
}
"""Codes by name: import paths of functions ``run(task) -> DftResult``."""


@dataclass(frozen=True)
class Task:
    """One calculation.

    Attributes:
        name: Made of the formula and a hash of everything the numbers depend on.
        crystal: Primitive cell.
        settings: Of the calculation.
        folder: Its own, for whatever the code writes; what an earlier start left is still there.
        seconds_left: Until the process is killed.
    """

    name: str
    crystal: Crystal
    settings: DftSettings
    folder: Path
    seconds_left: float


class Code(Protocol):
    """Runs a task in the current process, which belongs to the task alone."""

    def __call__(self, task: Task) -> DftResult:
        """Computes energy and gap; goes on from what an earlier start left in the folder.

        Raises:
            NotConverged: It ran to its end without an answer.
            DftError: Something is missing or went wrong.
        """
        ...


def load_code(name: str) -> Code:
    """The code of that name.

    Args:
        name: A key of :data:`CODES`, or ``package.module:function``.

    Raises:
        UnknownName: The name is not registered, or the import path leads nowhere.
    """
    code: Code = load_object(name, CODES, what="DFT code")
    return code
