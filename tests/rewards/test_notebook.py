"""Results shared between scorers: measured once, never mistaken, never piled up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.notebook import Notebook


def cube(length_ang: float) -> Crystal:
    return Crystal(length_ang * np.eye(3), [[0.0, 0.0, 0.0]], [29])


class Scale:
    """Measures volumes, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, crystals: Sequence[Crystal]) -> list[float]:
        volumes = [crystal.volume for crystal in crystals]
        self.asked += volumes
        return volumes


@given(st.lists(st.lists(st.integers(1, 6), max_size=8), max_size=6), st.integers(1, 4))
def test_any_sequence_of_batches_gives_what_measuring_gives(
    batches: list[list[int]], capacity: int
) -> None:
    notebook, scale = Notebook(capacity), Scale()
    for batch in batches:
        before = len(scale.asked)
        found = notebook.look_up("volume", [cube(float(a)) for a in batch], scale)
        assert found == [cube(float(a)).volume for a in batch]
        fresh = scale.asked[before:]
        assert len(set(fresh)) == len(fresh) <= len(set(batch))


def test_what_is_written_down_is_not_measured_again() -> None:
    notebook, scale = Notebook(), Scale()
    notebook.look_up("volume", [cube(3.0), cube(4.0)], scale)
    notebook.look_up("volume", [cube(4.0), cube(5.0), cube(3.0)], scale)
    assert scale.asked == [cube(a).volume for a in (3.0, 4.0, 5.0)]


def test_instruments_have_pages_of_their_own() -> None:
    notebook = Notebook()
    (volume,) = notebook.look_up("volume", [cube(3.0)], lambda cs: [c.volume for c in cs])
    (atoms,) = notebook.look_up(("atoms", 1), [cube(3.0)], lambda cs: [len(c) for c in cs])
    assert (volume, atoms) == (cube(3.0).volume, 1)


def test_failures_are_results_too() -> None:
    notebook, calls = Notebook(), []

    def fails(crystals: Sequence[Crystal]) -> list[Failed]:
        calls.append(len(crystals))
        return [Failed("no such element")] * len(crystals)

    for _ in range(3):
        assert notebook.look_up("volume", [cube(3.0)], fails) == [Failed("no such element")]
    assert calls == [1]


def test_the_oldest_results_go_first() -> None:
    notebook, scale = Notebook(capacity=2), Scale()
    for length in (3.0, 4.0, 5.0):
        notebook.look_up("volume", [cube(length)], scale)
    scale.asked.clear()
    notebook.look_up("volume", [cube(5.0), cube(4.0), cube(3.0)], scale)
    assert scale.asked == [cube(3.0).volume]
