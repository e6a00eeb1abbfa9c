"""The stand-ins for compiled packages: against sums done by hand, and against the packages."""

from __future__ import annotations

import sys

import pytest
import tiny_mattergen  # noqa: F401  (skips this module without MatterGen)
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.generators.mattergen import compat


@pytest.fixture
def compiled_scatter():
    return pytest.importorskip("torch_scatter", reason="torch_scatter is not compiled here")


@pytest.fixture
def compiled_sparse():
    return pytest.importorskip("torch_sparse", reason="torch_sparse is not compiled here")


def cases():
    """Sources, indices and dimensions as MatterGen uses them."""
    rng = torch.Generator().manual_seed(0)
    index = torch.randint(7, (40,), generator=rng)
    for shape, dim in (((40,), -1), ((40,), 0), ((40, 5), 0), ((40, 3, 3), 0), ((6, 40), -1)):
        yield torch.randn(shape, generator=rng), index, dim
        yield torch.randint(9, shape, generator=rng), index, dim
    yield torch.randn(40, 5, generator=rng), torch.randint(7, (40, 5), generator=rng), 0


@pytest.mark.parametrize("reduce", ["sum", "add", "mean"])
def test_scatter_is_the_compiled_one(compiled_scatter, reduce):
    for src, index, dim in cases():
        for size in (None, 9):
            ours = compat.scatter(src, index, dim, dim_size=size, reduce=reduce)
            theirs = compiled_scatter.scatter(src, index, dim, dim_size=size, reduce=reduce)
            torch.testing.assert_close(ours, theirs)
    added = compat.scatter_add(src, index, 0, dim_size=torch.tensor(9))
    torch.testing.assert_close(added, compiled_scatter.scatter_add(src, index, 0, dim_size=9))


def test_scatter_differentiates_as_the_compiled_one(compiled_scatter):
    for src, index, dim in cases():
        if src.is_floating_point():
            ours, theirs = src.clone().requires_grad_(), src.clone().requires_grad_()
            compat.scatter(ours, index, dim).square().sum().backward()
            compiled_scatter.scatter(theirs, index, dim).square().sum().backward()
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_segments_are_the_compiled_ones(compiled_scatter):
    rng = torch.Generator().manual_seed(0)
    for src in (torch.randn(30, generator=rng), torch.randint(9, (30, 2), generator=rng)):
        index = torch.sort(torch.randint(8, (30,), generator=rng)).values
        pointers = torch.tensor([2, 2, 9, 15, 28])
        torch.testing.assert_close(
            compat.segment_coo(src, index, dim_size=10),
            compiled_scatter.segment_coo(src, index, dim_size=10),
        )
        torch.testing.assert_close(
            compat.segment_csr(src, pointers), compiled_scatter.segment_csr(src, pointers)
        )


def test_selected_rows_are_those_of_the_compiled_matrix(compiled_sparse):
    rng = torch.Generator().manual_seed(0)
    row, col = torch.randint(12, (2, 90), generator=rng)
    value = torch.arange(90)
    chosen = torch.randint(12, (40,), generator=rng)
    mine = compat.SparseTensor(row=row, col=col, value=value, sparse_sizes=(12, 12))[chosen]
    theirs = compiled_sparse.SparseTensor(row=row, col=col, value=value, sparse_sizes=(12, 12))
    theirs = theirs[chosen]
    assert mine.storage.row().equal(theirs.storage.row())
    assert mine.storage.col().equal(theirs.storage.col())
    # Entries that share a place have no order of their own.
    assert sorted(zip(mine.storage.row().tolist(), mine.storage.value().tolist(), strict=True)) == (
        sorted(zip(theirs.storage.row().tolist(), theirs.storage.value().tolist(), strict=True))
    )


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    chosen=st.lists(st.integers(0, 5), min_size=1, max_size=12),
)
def test_selected_rows_hold_the_entries_of_those_rows(entries, chosen):
    row, col = torch.tensor(entries).T
    matrix = compat.SparseTensor(row, col, torch.arange(len(entries)), (6, 6))
    picked = matrix[torch.tensor(chosen)].to(torch.device("cpu")).storage
    found = list(zip(picked.row().tolist(), picked.col().tolist(), strict=True))
    assert found == sorted(found)
    expected = [(k, c) for k, r in enumerate(chosen) for source, c in entries if source == r]
    assert sorted(found) == sorted(expected)
    assert [entries[v] for v in picked.value().tolist()] == [(chosen[k], c) for k, c in found]


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(-99, 99), min_size=1, max_size=20), parts=st.integers(1, 5))
def test_sums_by_index_are_the_loops(values, parts):
    src, index = torch.tensor(values), torch.arange(len(values)) * parts // len(values)
    expected = [
        sum(v for v, k in zip(values, index.tolist(), strict=True) if k == p) for p in range(parts)
    ]
    pointers = torch.searchsorted(index, torch.arange(parts + 1))
    assert compat.scatter(src, index, 0, dim_size=parts).tolist() == expected
    assert compat.segment_csr(src, pointers).tolist() == expected


def test_other_reductions_are_refused():
    with pytest.raises(ValueError, match="only new sums and means"):
        compat.scatter(torch.ones(3), torch.zeros(3, dtype=torch.long), reduce="max")


def test_stand_ins_do_not_pose_as_the_packages_afterwards():
    compat.mattergen_modules()
    for name in ("torch_scatter", "torch_sparse", "emmet"):
        assert name not in sys.modules or sys.modules[name].__spec__ is not None


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mattergen.denoiser", None)
    with pytest.raises(compat.MatterGenMissing, match=r"^MatterGen needs mattergen.denoiser: pip"):
        compat.mattergen_modules.__wrapped__()
