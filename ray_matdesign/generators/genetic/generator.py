"""The genetic generator: a population in place of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.config.schema import ConstraintSettings, GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.geometry import Floats
from ray_matdesign.crystals.prototypes import STRUCTURE_TYPES
from ray_matdesign.generators.genetic.breeding import Stock, children, immigrants
from ray_matdesign.generators.genetic.compositions import Compositions
from ray_matdesign.generators.genetic.genomes import Genomes, Ints, genomes_of, no_genomes
from ray_matdesign.generators.protocol import Weights

_ROUNDS = 40
"""Of getting as many children as were asked for."""
_FAMILY_ROUNDS = 8
"""From then on all are immigrants: the surroundings of the population are exhausted."""
_LEAST_DRAW, _MOST_DRAW = 64, 8192
_TYPES = np.frombuffer("\n".join(STRUCTURE_TYPES).encode(), dtype=np.uint8)


class PopulationError(ValueError):
    """A population that cannot be read, or of other structure types."""


class GeneticGenerator:
    """Breeds crystals from those that were rewarded; see ``docs/genetic.md``.

    A structure type with given elements is proposed once: what was tried is not made again.

    Args:
        settings: Of the algorithm.
        constraints: What crystals must be made of.

    Raises:
        NothingToBreed: No structure type can be filled under these settings.
    """

    def __init__(
        self, settings: GeneticSettings, constraints: ConstraintSettings | None = None
    ) -> None:
        self.version = 0
        self.settings = settings
        self._compositions = Compositions(settings, constraints or ConstraintSettings())
        self._stock = Stock.of(
            self._compositions.kinds, self._compositions.elements, settings.similarity
        )
        self._members = no_genomes()
        self._rewards = np.zeros(0)
        self._tried: Ints = np.zeros(0, dtype=np.int64)

    @property
    def population(self) -> tuple[list[Crystal], Floats]:
        """Its members as generated, best first, and their rewards."""
        return self._members.crystals(), self._rewards.copy()

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        """Draws crystals that were not tried before, each another decoration.

        Fewer than ``n`` come back where hardly any are left. See :class:`~..protocol.Generator`.

        Raises:
            ValueError: A condition is given.
        """
        if condition:
            raise ValueError(_unconditional(condition))
        rng = np.random.default_rng(seed)
        taken, kept, wanted, draw = self._tried, [no_genomes()], n, _LEAST_DRAW
        for turn in range(_ROUNDS):
            drawn = self._draw(min(max(draw, 2 * wanted), _MOST_DRAW), turn, rng).canonical()
            codes = drawn.codes()
            rows = np.sort(np.unique(codes, return_index=True)[1])
            rows = rows[~np.isin(codes[rows], taken)]
            rows = self._compositions.first_good(drawn, rows, wanted)
            kept.append(drawn.take(rows))
            taken = np.concatenate([taken, codes[rows]])
            wanted -= len(rows)
            if not wanted:
                break
            draw *= 2
        return Genomes.joined(kept).crystals()

    def learn(
        self, crystals: Sequence[Crystal], rewards: Sequence[float], tried: Sequence[Crystal]
    ) -> None:
        """Keeps the best of the population and the newcomers; see :class:`~..protocol.Evolving`.

        A member met again has its latest reward.

        Raises:
            ForeignCrystal: A crystal is none of a generator like this.
        """
        newcomers = genomes_of(crystals).canonical()
        every = Genomes.joined([newcomers, self._members])
        merits = np.concatenate([np.asarray(rewards, dtype=np.float64), self._rewards])
        codes, first = np.unique(every.codes(), return_index=True)
        # Ties go to the smaller code: the order in which crystals came must not matter.
        best = first[np.lexsort((codes, -merits[first]))][: self.settings.population]
        self._members, self._rewards = every.take(best), merits[best]
        seen = [self._tried, newcomers.codes(), genomes_of(tried).canonical().codes()]
        self._tried = np.unique(np.concatenate(seen))

    def weights(self) -> Weights:
        """The population, best first, its rewards, and codes of all that was tried."""
        members = self._members
        return {
            "kinds": members.kinds.copy(),
            "elements": members.elements.copy(),
            "strains": members.strains.copy(),
            "shifts": members.shifts.copy(),
            "rewards": self._rewards.copy(),
            "tried": self._tried.copy(),
            "types": _TYPES.copy(),
        }

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Copies a population in and takes its version.

        Raises:
            PopulationError: It belongs to another table of structure types, or an array is missing.
        """
        missing = [name for name in self.weights() if name not in weights]
        if missing:
            raise PopulationError(f"these weights are no population: no {', '.join(missing)}")
        if not np.array_equal(weights["types"], _TYPES):
            raise PopulationError(
                "the population is of another table of structure types than this version's: "
                "start a new run"
            )
        self._members = Genomes(
            np.array(weights["kinds"], dtype=np.int64),
            np.array(weights["elements"], dtype=np.int64),
            np.array(weights["strains"], dtype=np.float64),
            np.array(weights["shifts"], dtype=np.float64),
        )
        self._rewards = np.array(weights["rewards"], dtype=np.float64)
        self._tried = np.array(weights["tried"], dtype=np.int64)
        self.version = version

    def _draw(self, n: int, turn: int, rng: np.random.Generator) -> Genomes:
        alone = not len(self._members) or turn >= _FAMILY_ROUNDS
        strangers = n if alone else int(rng.binomial(n, self.settings.immigrants))
        parts = [immigrants(strangers, self._stock, rng)]
        if strangers < n:
            parts.append(children(n - strangers, self._members, self._stock, self.settings, rng))
        # Mixed, since the first that will do are taken.
        return Genomes.joined(parts).take(rng.permutation(n))


def load(settings: GeneratorSettings) -> GeneticGenerator:
    """Builds the generator a configuration asks for.

    ``checkpoint`` is ``packaged`` for a start without population, or the ``policy.safetensors`` of
    another genetic run's checkpoint, to go on from its population.

    Raises:
        ConfigError: An unknown option, or a value out of range.
        NothingToBreed: Constraints under which no structure type can be filled.
        PopulationError: A checkpoint that cannot be read.
        ValueError: The configuration asks for property values.
    """
    if settings.condition:
        raise ValueError(_unconditional(settings.condition))
    options = apply_overrides(GeneticSettings, settings.options, "generator.options", ())
    generator = GeneticGenerator(options, settings.constraints)
    if settings.checkpoint != "packaged":
        generator.load_weights(_read(Path(settings.checkpoint)), 0)
    return generator


def _read(path: Path) -> Weights:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, SafetensorError) as error:
        raise PopulationError(f"generator.checkpoint {path} cannot be read: {error}") from error


def _unconditional(condition: Mapping[str, float]) -> str:
    return (
        f"the genetic generator aims for no property values ({', '.join(condition)}): rewards "
        f"guide it"
    )
