"""What a genetic generator may make crystals of."""

from __future__ import annotations

import numpy as np

from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS
from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.config.schema import ConstraintSettings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.prototypes import STRUCTURE_TYPES
from ray_matdesign.crystals.validity import well_decorated
from ray_matdesign.generators.genetic.frames import frames
from ray_matdesign.generators.genetic.genomes import Genomes, Ints


class NothingToBreed(ValueError):
    """Settings under which no structure type can be filled."""


class Compositions:
    """Structure types and elements to choose from, and which of their combinations are made.

    Args:
        settings: Of the algorithm.
        limits: The generator's constraints.

    Attributes:
        kinds: Structure types, by their place in :func:`frames`, ascending.
        elements: Atomic numbers, ascending; without noble gases and radioactive elements, unless
            they are asked for by name.

    Raises:
        NothingToBreed: Nothing remains; or the settings fix a composition, which this generator
            cannot heed.
    """

    def __init__(self, settings: GeneticSettings, limits: ConstraintSettings) -> None:
        self._settings = settings
        self._system = frozenset(_numbers("chemical_system", limits.chemical_system))
        self.kinds = _kinds(settings)
        self.elements = _elements(limits)
        self._allowed = frozenset(self.elements.tolist())
        least = max(settings.min_elements, len(self._system))
        if max(frames()[kind].sites for kind in self.kinds.tolist()) < least:
            raise NothingToBreed(
                f"generator: no structure type in use has the sites for {least} elements"
            )

    def first_good(self, genomes: Genomes, rows: Ints, most: int) -> Ints:
        """The first of these rows that may be made, ``most`` at most."""
        good: list[int] = []
        for row in rows.tolist():
            if len(good) == most:
                break
            if self._admits(int(genomes.kinds[row]), genomes.elements[row]):
                good.append(row)
        return np.array(good, dtype=np.int64)

    def _admits(self, kind: int, padded: Ints) -> bool:
        stoichiometry = frames()[kind].prototype.stoichiometry
        elements = padded[: len(stoichiometry)].tolist()
        if not self._allowed.issuperset(elements):
            return False
        # One element on all of several sites is another type: zinc blende becomes diamond.
        if len(elements) > 1 and len(set(elements)) == 1:
            return False
        if self._system and self._system != set(elements):
            return False
        return well_decorated(
            elements,
            stoichiometry,
            min_elements=self._settings.min_elements,
            smact=self._settings.smact,
        )


def _kinds(settings: GeneticSettings) -> Ints:
    names = list(STRUCTURE_TYPES)
    unknown = [name for name in settings.prototypes if name not in names]
    if unknown:
        raise NothingToBreed(
            f"generator.options.prototypes: no structure type {', '.join(map(repr, unknown))}; "
            f"there are {', '.join(names)}"
        )
    return np.array(sorted(names.index(name) for name in set(settings.prototypes or names)))


def _elements(limits: ConstraintSettings) -> Ints:
    if limits.composition:
        raise NothingToBreed(
            "generator.constraints.composition: a genetic generator searches among compositions; "
            "give a chemical_system instead"
        )
    asked = _numbers("chemical_system", limits.chemical_system) or _numbers(
        "allowed_elements", limits.allowed_elements
    )
    barred = _numbers("excluded_elements", limits.excluded_elements)
    default = _numbers("", SYMBOLS[1:]) - _numbers("", (*NOBLE_GASES, *RADIOACTIVE))
    elements = (asked or default) - barred
    if not elements:
        raise NothingToBreed("generator.constraints leave no element to build from")
    return np.array(sorted(elements), dtype=np.int64)


def _numbers(key: str, symbols: tuple[str, ...]) -> set[int]:
    unknown = [symbol for symbol in symbols if symbol not in ATOMIC_NUMBERS]
    if unknown:
        raise NothingToBreed(
            f"generator.constraints.{key}: no chemical elements: {', '.join(map(repr, unknown))}"
        )
    return {ATOMIC_NUMBERS[symbol] for symbol in symbols}
