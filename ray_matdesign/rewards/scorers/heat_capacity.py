"""Heat capacity of the lattice vibrations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU
from ray_matdesign.potentials.phonons import Phonons, PhononSettings, heat_capacity, phonons_of
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen

MESH_LENGTH_ANG = 30.0
"""Wave vectors as dense as those that fit a supercell of this length."""
IMAGINARY_BELOW_THZ = -0.5
"""Less is noise of finite displacements."""


class HeatCapacity:
    """Heat capacity at constant volume in the harmonic approximation, J/(g K).

    Measured values are at constant pressure, and at room temperature exceed it by about 1 % in hard
    and 5 % in soft crystals; electrons and magnetic order are not counted.

    A crystal fails as dynamically unstable when more than ``max_imaginary_share`` of its modes lie
    below ``-0.5 THz``. Fewer count by their magnitude, which changes the value by no more than
    their share: they often come of the potential and of the size of the supercell. With CHGNet
    0.3.0 rutile and quartz have 1 to 2 % of such modes.
    """

    name = "heat_capacity"
    unit = "J/g/K"
    cost = CostClass.MLIP
    version = "1"

    def __init__(
        self,
        potential: Potential,
        *,
        temperature_k: float,
        settings: PhononSettings,
        max_imaginary_share: float,
    ) -> None:
        self.source = f"harmonic phonons of {potential.name} at {temperature_k:g} K (phonopy)"
        self._potential = potential
        self._temperature_k = temperature_k
        self._settings = settings
        self._max_imaginary_share = max_imaginary_share

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Heat capacity of each specimen, J/(g K)."""
        crystals = [specimen.crystal for specimen in specimens]
        return [
            result if isinstance(result, Failed) else self._per_gram(result)
            for result in phonons_of(crystals, self._potential, self._settings)
        ]

    def _per_gram(self, phonons: Phonons) -> float | Failed:
        frequencies, weights = phonons.spectrum(MESH_LENGTH_ANG)
        imaginary = frequencies < IMAGINARY_BELOW_THZ
        share = float(weights @ imaginary.mean(axis=1))
        if share > self._max_imaginary_share:
            return Failed(
                f"dynamically unstable: {share:.1%} of the modes are imaginary, "
                f"the lowest at {frequencies.min():.2f} THz"
            )
        return heat_capacity(frequencies, weights, self._temperature_k) / molar_mass(
            phonons.crystal
        )


def molar_mass(crystal: Crystal) -> float:
    """Mass of one mole of cells, g/mol."""
    return float(np.sum(ATOMIC_MASSES_AMU[crystal.numbers]))


def make(
    bench: Bench,
    temperature_k: float = 300.0,
    min_length_ang: float = PhononSettings.min_length_ang,
    displacement_ang: float = PhononSettings.displacement_ang,
    max_imaginary_share: float = 0.05,
) -> HeatCapacity:
    """Builds the scorer on the bench's potential.

    Args:
        bench: Gives the potential.
        temperature_k: Kelvin.
        min_length_ang: Shortest supercell vector, Angstrom.
        displacement_ang: How far atoms are moved, Angstrom.
        max_imaginary_share: A crystal fails with a larger share of imaginary modes.

    Raises:
        ValueError: A number that is not positive.
    """
    settings = PhononSettings(min_length_ang=min_length_ang, displacement_ang=displacement_ang)
    for option, value in (
        ("temperature_k", temperature_k),
        ("min_length_ang", min_length_ang),
        ("displacement_ang", displacement_ang),
        ("max_imaginary_share", max_imaginary_share),
    ):
        if not value > 0.0:
            raise ValueError(f"heat_capacity: {option} must be positive, got {value}")
    return HeatCapacity(
        bench.potential,
        temperature_k=temperature_k,
        settings=settings,
        max_imaginary_share=max_imaginary_share,
    )
