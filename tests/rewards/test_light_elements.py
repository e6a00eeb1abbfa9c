"""The share of light elements."""

from __future__ import annotations

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.light_elements import make

NO_BENCH = Bench(None, None)  # type: ignore[arg-type]


def specimen(*numbers: int) -> Specimen:
    coords = np.arange(len(numbers))[:, None] / len(numbers) * np.ones(3)
    return Specimen(Crystal(5.0 * np.eye(3), coords, numbers), 0.0, 0.0, 0.0)


def test_the_share_counts_atoms_of_boron_carbon_nitrogen_and_oxygen() -> None:
    nitride, alumina, iron = specimen(5, 7), specimen(13, 13, 8, 8, 8), specimen(26)
    assert make(NO_BENCH).score([nitride, alumina, iron]) == pytest.approx([1.0, 0.6, 0.0])


def test_what_is_light_may_be_chosen() -> None:
    assert make(NO_BENCH, elements=["Al"]).score([specimen(13, 13, 8, 8, 8)]) == [0.4]
    with pytest.raises(ValueError, match=r"light_elements: .* 'Xx'"):
        make(NO_BENCH, elements=["B", "Xx"])
