"""What the scorers on one bench have found already, so that none of them finds it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from ray_matdesign.crystals.crystal import Crystal

CAPACITY = 1024
"""Results kept of each instrument: more than any batch holds."""

Result = TypeVar("Result")
_Key = tuple[bytes, bytes, bytes]


class Notebook:
    """Results by instrument and crystal, in memory: elastic tensors, phonons, predicted gaps.

    The moduli come of one elastic tensor, and the figure of merit of a gap and phonons that other
    terms of the same objective want too. Whoever asks first has it computed. What a scorer makes of
    it is still that scorer's value: it is counted, and cached on disk, as its own.

    Args:
        capacity: Most results kept of each instrument; the oldest go first.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._pages: dict[Hashable, OrderedDict[_Key, Any]] = {}

    def look_up(
        self,
        instrument: Hashable,
        crystals: Sequence[Crystal],
        measure: Callable[[Sequence[Crystal]], Sequence[Result]],
    ) -> list[Result]:
        """Results for crystals, measured where they are not written down; same order and length.

        Args:
            instrument: What was measured with which settings; another instrument's results are
                other results.
            crystals: Recognised by their exact arrays; twins are measured once.
            measure: Called at most once, with the crystals not known. Failures are results.
        """
        page: OrderedDict[_Key, Result] = self._pages.setdefault(instrument, OrderedDict())
        keys = [_key(crystal) for crystal in crystals]
        found = {key: page[key] for key in keys if key in page}
        fresh = {key: c for key, c in zip(keys, crystals, strict=True) if key not in found}
        if fresh:
            measured = dict(zip(fresh, measure(list(fresh.values())), strict=True))
            found |= measured
            page.update(measured)
        while len(page) > self._capacity:
            page.popitem(last=False)
        return [found[key] for key in keys]


def _key(crystal: Crystal) -> _Key:
    return crystal.lattice.tobytes(), crystal.frac_coords.tobytes(), crystal.numbers.tobytes()
