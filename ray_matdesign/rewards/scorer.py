"""What a scorer promises: one property of a relaxed crystal, with its unit and its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.rewards.notebook import Notebook
from ray_matdesign.stability.reference import ReferenceSet


class CostClass(StrEnum):
    """What one evaluation costs; in an objective the cheaper classes go first."""

    CHEAP = "cheap"
    """Tables and geometry: less than looking a value up on disk, so it is not cached."""
    MLIP = "mlip"
    """The potential, or a network: a fraction of a second to minutes."""
    DFT = "dft"
    """Minutes to hours."""


@dataclass(frozen=True)
class Specimen:
    """A relaxed crystal with what relaxation and the reference set already told.

    Attributes:
        crystal: Relaxed.
        energy_ev_per_atom: The potential's energy at rest, eV/atom.
        formation_energy_ev_per_atom: Against the reference's elements, eV/atom.
        e_above_hull_ev_per_atom: Against the reference's hull, eV/atom; negative below it.
    """

    crystal: Crystal
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float
    e_above_hull_ev_per_atom: float


@dataclass(frozen=True)
class Bench:
    """The instruments a scorer may use.

    Attributes:
        potential: For scorers of cost class ``mlip``.
        reference: Elemental references and hull.
        notebook: What scorers on this bench found already and may need again.
    """

    potential: Potential
    reference: ReferenceSet
    notebook: Notebook = field(default_factory=Notebook, compare=False, repr=False)


class Scorer(Protocol):
    """Computes one property.

    Attributes:
        name: Key in configuration and tables, e.g. ``density``.
        unit: E.g. ``g/cm3``; empty for pure numbers.
        source: Where the numbers come from: table, potential or paper.
        cost: What one evaluation costs.
        version: Of its numbers: raised when they change for the same crystal and options, so that
            values cached before are not used again.
    """

    name: str
    unit: str
    source: str
    cost: CostClass
    version: str

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Property of each specimen; same order and length; a failure is a value."""
        ...
