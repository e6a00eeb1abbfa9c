"""Potentials by name, or by import path from a user's own package."""

from __future__ import annotations

from typing import Any

from ray_matdesign.config.import_path import load_object
from ray_matdesign.potentials.protocol import Potential

POTENTIALS: dict[str, str] = {
    "ase": "ray_matdesign.potentials.ase_calculator:AseCalculatorPotential",
    "chgnet": "ray_matdesign.potentials.chgnet:ChgnetPotential",
    "emt": "ray_matdesign.potentials.emt:EmtPotential",
    "mattersim": "ray_matdesign.potentials.mattersim:MattersimPotential",
    "sevennet": "ray_matdesign.potentials.sevennet:SevennetPotential",
}
"""Name to ``module:factory``; calling the factory gives a :class:`Potential`."""


def load_potential(name: str, **settings: Any) -> Potential:
    """Makes a potential.

    One whose ``device`` is a GPU has its batches fitted to the GPU's memory
    (:class:`~ray_matdesign.potentials.batching.WithinMemory`).

    Args:
        name: A key of :data:`POTENTIALS`, or ``package.module:factory``.
        **settings: Passed to the factory.

    Raises:
        UnknownName: The name is not registered, or the import path leads nowhere.
    """
    potential: Potential = load_object(name, POTENTIALS, what="potential")(**settings)
    device = str(settings.get("device", "cpu"))
    if not device.startswith("cuda"):
        return potential
    from ray_matdesign.potentials.batching import WithinMemory

    return WithinMemory(potential, device=device)
