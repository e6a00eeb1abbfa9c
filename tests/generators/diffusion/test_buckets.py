"""Cutting batches: nothing is lost, and no other cut of the same order costs less."""

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.generators.diffusion.buckets import buckets, padded_pairs

SIZES = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=300)


@given(SIZES, st.integers(1, 16))
def test_every_crystal_is_in_one_part(sizes: list[tuple[int, int]], parts: int) -> None:
    orbits, atoms = torch.tensor(sizes).T
    cut = buckets(orbits, atoms, parts)
    assert sorted(torch.cat(cut).tolist()) == list(range(len(sizes)))
    assert 1 <= len(cut) <= min(parts, len(sizes))
    assert all(len(part) for part in cut)
    assert padded_pairs(orbits, atoms, cut) <= padded_pairs(
        orbits, atoms, buckets(orbits, atoms, 1)
    )


@given(SIZES.filter(lambda sizes: len(sizes) <= 9), st.integers(1, 4))
def test_no_other_cut_of_the_order_costs_less(sizes: list[tuple[int, int]], parts: int) -> None:
    orbits, atoms = torch.tensor(sizes).T
    count = len(sizes)
    order = torch.tensor(sorted(range(count), key=lambda k: sizes[k]))
    costs = []
    for cuts in combinations(range(1, count), min(parts, count) - 1):
        ends = [0, *cuts, count]
        tried = [order[a:b] for a, b in pairwise(ends)]
        costs.append(padded_pairs(orbits, atoms, tried))
    assert padded_pairs(orbits, atoms, buckets(orbits, atoms, parts)) == min(costs)


def test_two_sizes_need_no_padding() -> None:
    orbits, atoms = torch.tensor([1, 8, 1, 8, 1]), torch.tensor([2, 16, 2, 16, 2])
    small, large = ([0, 2, 4], [1, 3])
    cut = buckets(orbits, atoms, 2)
    assert [sorted(part.tolist()) for part in cut] == [large, small]
    assert padded_pairs(orbits, atoms, cut) == 3 * 2 + 2 * 128


@pytest.mark.parametrize("count", [1000, 4096])
def test_large_batches_are_cut_in_groups(count: int) -> None:
    rng = torch.Generator().manual_seed(0)
    orbits, atoms = torch.randint(1, 21, (2, count), generator=rng)
    cut = buckets(orbits, atoms, 8)
    assert sum(map(len, cut)) == count
    equal = list(torch.argsort(orbits * atoms).chunk(8))
    assert padded_pairs(orbits, atoms, cut) < 0.8 * padded_pairs(orbits, atoms, equal)
