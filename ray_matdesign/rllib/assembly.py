"""Building a crystal step by step, under masks that never lead into a dead end.

The first action chooses a structure type, each further one an element for its next site. Every
episode has the same number of steps: sites that a type lacks are passed over, so that crystals
built side by side are finished, and can be judged, together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS, formula_from_counts
from ray_matdesign.crystals.prototypes import MAX_SITES, Prototype, prototypes
from ray_matdesign.crystals.validity import well_decorated

STEPS = 1 + MAX_SITES
"""Actions of an episode."""


class NothingToBuild(ValueError):
    """Settings under which no structure type can be filled."""


@dataclass(frozen=True)
class Draft:
    """An unfinished crystal.

    Attributes:
        steps: Actions taken.
        prototype: Place of the structure type chosen; ``None`` before the first action.
        elements: Atomic number on each site filled so far.
        spoiled: Whether an action outside the mask was taken: no crystal will come of it.
    """

    steps: int = 0
    prototype: int | None = None
    elements: tuple[int, ...] = ()
    spoiled: bool = False

    @property
    def finished(self) -> bool:
        """Whether the episode is over."""
        return self.steps == STEPS


class Assembly:
    """What may be built, action by action.

    Actions are numbered: first the structure types, then the elements, last the pass. An action is
    masked out where no completion would pass the run's checks of composition: the SMACT rules
    (charge neutrality, anions more electronegative than cations, alloys), if ``prefilter.smact`` is
    on, and ``prefilter.min_elements``.

    Args:
        elements: Atomic numbers to choose from.
        min_elements: Distinct elements that a crystal must hold.
        smact: Whether a composition must pass the SMACT rules.
        types: Structure types to choose from; all of the table by default.

    Raises:
        NothingToBuild: No structure type can be filled with these elements.
    """

    def __init__(
        self,
        elements: Iterable[int],
        *,
        min_elements: int = 2,
        smact: bool = True,
        types: Sequence[Prototype] | None = None,
    ) -> None:
        self.types = tuple(prototypes() if types is None else types)
        self.elements = tuple(sorted(set(elements)))
        self._min_elements = min_elements
        self._smact = smact
        self._completable: dict[tuple[tuple[int, ...], tuple[int, ...]], bool] = {}
        self._buildable = np.array([self._completes(t.stoichiometry, ()) for t in self.types])
        if not self._buildable.any():
            symbols = ", ".join(SYMBOLS[z] for z in self.elements) or "no element"
            raise NothingToBuild(f"no structure type can be filled with {symbols} alone")

    @classmethod
    def of(cls, config: RunConfig, judged: Iterable[int]) -> Assembly:
        """The assembly that a run's settings describe.

        Args:
            config: Its ``prefilter``, and the ``allowed_elements`` and ``excluded_elements`` of
                ``generator.constraints``.
            judged: Atomic numbers that the run's reference set can judge.

        Raises:
            NothingToBuild: Nothing remains; or the settings fix a composition, which this way of
                building cannot heed.
        """
        limits = config.generator.constraints
        if limits.chemical_system or limits.composition:
            raise NothingToBuild(
                "generator.constraints: crystals built step by step heed allowed_elements and "
                "excluded_elements; remove chemical_system and composition"
            )
        barred = {*limits.excluded_elements, *config.prefilter.forbidden_elements}
        elements = set(judged) - {ATOMIC_NUMBERS[symbol] for symbol in barred}
        if limits.allowed_elements:
            elements &= {ATOMIC_NUMBERS[symbol] for symbol in limits.allowed_elements}
        prefilter = config.prefilter
        return cls(elements, min_elements=prefilter.min_elements, smact=prefilter.smact)

    @property
    def n_actions(self) -> int:
        """Structure types, elements and the pass."""
        return len(self.types) + len(self.elements) + 1

    @property
    def n_features(self) -> int:
        """Length of :meth:`features`."""
        return STEPS + 1 + len(self.types) + MAX_SITES * len(self.elements)

    def mask(self, draft: Draft) -> NDArray[np.bool_]:
        """Which actions may follow, shape ``(n_actions,)``; never none."""
        allowed = np.zeros(self.n_actions, dtype=bool)
        first = len(self.types)
        if draft.prototype is None and not draft.spoiled:
            allowed[:first] = self._buildable
        elif self._has_open_site(draft):
            stoichiometry = self._type(draft).stoichiometry
            allowed[first:-1] = [
                self._completes(stoichiometry, (*draft.elements, z)) for z in self.elements
            ]
        else:
            allowed[-1] = True
        return allowed

    def after(self, draft: Draft, action: int) -> Draft:
        """The draft after one more action.

        An action outside the mask spoils it; the episode goes on to its usual length.

        Raises:
            ValueError: The draft is finished.
        """
        if draft.finished:
            raise ValueError("the crystal is finished; start another")
        following = replace(draft, steps=draft.steps + 1)
        first = len(self.types)
        if not self.mask(draft)[action]:
            return replace(following, spoiled=True)
        if action < first:
            return replace(following, prototype=action)
        if action < self.n_actions - 1:
            return replace(following, elements=(*draft.elements, self.elements[action - first]))
        return following

    def crystal(self, draft: Draft) -> Crystal | None:
        """What was built; ``None`` of a spoiled draft.

        Raises:
            ValueError: The draft is not finished.
        """
        if not draft.finished:
            raise ValueError(f"the crystal is not finished: {draft.steps} of {STEPS} steps")
        return None if draft.spoiled else self._type(draft).filled(draft.elements)

    def features(self, draft: Draft) -> NDArray[np.float32]:
        """The draft as numbers, shape ``(n_features,)``: steps, type and elements, one-hot each."""
        types, elements = len(self.types), len(self.elements)
        numbers = np.zeros(self.n_features, dtype=np.float32)
        numbers[draft.steps] = 1.0
        if draft.prototype is not None:
            numbers[STEPS + 1 + draft.prototype] = 1.0
        for site, z in enumerate(draft.elements):
            numbers[STEPS + 1 + types + site * elements + self.elements.index(z)] = 1.0
        return numbers

    def name(self, draft: Draft) -> str:
        """``perovskite SrTiO3``; of an unfinished draft, what is known."""
        if draft.prototype is None:
            return "nothing"
        chosen = self._type(draft)
        counts: Counter[int] = Counter()
        for z, n in zip(draft.elements, chosen.stoichiometry, strict=False):
            counts[z] += n
        return f"{chosen.name} {formula_from_counts(counts)}" if counts else chosen.name

    def _type(self, draft: Draft) -> Prototype:
        assert draft.prototype is not None
        return self.types[draft.prototype]

    def _has_open_site(self, draft: Draft) -> bool:
        if draft.prototype is None or draft.spoiled:
            return False
        return len(draft.elements) < len(self._type(draft).stoichiometry)

    def _completes(self, stoichiometry: tuple[int, ...], chosen: tuple[int, ...]) -> bool:
        """Whether elements on the remaining sites can make the whole acceptable."""
        if len(chosen) == len(stoichiometry):
            return self._accepts(stoichiometry, chosen)
        key = (stoichiometry, chosen)
        if key not in self._completable:
            self._completable[key] = any(
                self._completes(stoichiometry, (*chosen, z)) for z in self.elements
            )
        return self._completable[key]

    def _accepts(self, stoichiometry: tuple[int, ...], chosen: tuple[int, ...]) -> bool:
        return well_decorated(
            chosen, stoichiometry, min_elements=self._min_elements, smact=self._smact
        )
