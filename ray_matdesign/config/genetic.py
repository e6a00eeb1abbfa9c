"""Settings of the genetic generator: ``generator.options`` where its name is ``genetic``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class GeneticSettings(Settings):
    """How parents are chosen, and how children differ from them."""

    population: PositiveInt = 48
    """Crystals kept from loop to loop: the best ones ever rewarded."""
    tournament: PositiveInt = 3
    """A parent is the best of so many members drawn at random; 1 is no selection."""
    immigrants: Share = 0.2
    """Share of children without parents; all of them while there is no population."""
    substitution: NonNegativeFloat = 0.5
    """How often, relative to the next two, one site gets a chemically similar element."""
    crossover: NonNegativeFloat = 0.3
    """How often a child takes its structure type from one parent, and the element of each site from
    either."""
    transfer: NonNegativeFloat = 0.2
    """How often a child's elements move into another structure type of as many sites."""
    similarity: PositiveFloat = 4.0
    """How far a substitute lies along Mendeleev's scale, on average: 103 elements in chemical
    order."""
    strain: NonNegativeFloat = 0.01
    """Standard deviation of what a birth adds to the logarithm of each free cell length."""
    displacement_ang: NonNegativeFloat = 0.02
    """The same of each free coordinate of an atom, Angstrom."""
    max_strain: PositiveFloat = 0.15
    """Largest change of a cell length that generations may add up to, as a logarithm."""
    prototypes: tuple[str, ...] = ()
    """Names of the structure types to build from; empty for all."""
    smact: bool = True
    """Whether only compositions that pass the SMACT rules are made: as ``prefilter.smact``."""
    min_elements: PositiveInt = 2
    """Elements that a child has at least: as ``prefilter.min_elements``."""

    @model_validator(mode="after")
    def _some_way_to_differ(self) -> GeneticSettings:
        if self.immigrants < 1.0 and not self.substitution + self.crossover + self.transfer > 0.0:
            raise ValueError("one of substitution, crossover and transfer must be above 0")
        return self
