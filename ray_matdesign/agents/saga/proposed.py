"""A generator that has nothing of its own: it hands over crystals somebody else proposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.prototypes import prototypes
from ray_matdesign.generators.protocol import Weights

PATH = f"{__name__}:load"
"""For ``generator.name``."""


class Decoration(Settings):
    """A structure type with an element on each site."""

    type: str
    elements: tuple[str, ...]


class ProposedSettings(Settings):
    """``generator.options``."""

    crystals: tuple[Decoration, ...] = Field(min_length=1)


class BadDecoration(ValueError):
    """There is no such structure type or element, or they do not fit; one line says which."""


def decorated(one: Decoration) -> Crystal:
    """The crystal at the volume its bonds ask for.

    Raises:
        BadDecoration: See there.
    """
    known = {prototype.name: prototype for prototype in prototypes()}
    if one.type not in known:
        raise BadDecoration(f"there is no structure type {one.type!r}")
    unknown = [symbol for symbol in one.elements if symbol not in ATOMIC_NUMBERS]
    if unknown:
        raise BadDecoration(f"there is no element {unknown[0]!r}")
    try:
        return known[one.type].filled([ATOMIC_NUMBERS[symbol] for symbol in one.elements])
    except ValueError as error:
        raise BadDecoration(str(error)) from error


class Proposed:
    """Hands over crystals in their order: an ``Evolving`` that does not.

    Args:
        crystals: All there are.
    """

    def __init__(self, crystals: Sequence[Crystal]) -> None:
        self.version = 0
        self._crystals = list(crystals)

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """The first ``n``, whatever the seed."""
        return self._crystals[:n]

    def learn(
        self, crystals: Sequence[Crystal], rewards: Sequence[float], tried: Sequence[Crystal]
    ) -> None:
        """Leaves learning to whoever proposes."""

    def weights(self) -> Weights:
        """Their number, so that there is something to write down."""
        return {"crystals": np.array([len(self._crystals)])}

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Takes the version."""
        self.version = version


def load(settings: GeneratorSettings) -> Proposed:
    """Builds the generator a configuration asks for.

    Raises:
        ConfigError: Options of another form.
        BadDecoration: A crystal that cannot be made.
    """
    asked = apply_overrides(ProposedSettings, settings.options, "generator.options", ())
    return Proposed([decorated(one) for one in asked.crystals])
