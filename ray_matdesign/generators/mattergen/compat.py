"""The ``mattergen`` package, made importable beside current versions of everything else.

MatterGen 1.0.3 asks for torch 2.2 and NumPy 1, and for two compiled packages, ``torch_scatter`` and
``torch_sparse``, of which it uses five functions; its wheel lacks the scale factors its network
reads when it is built. Here is all that it takes to run it without any of them. Everything else in
this package reaches MatterGen through :func:`mattergen_modules`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

INSTALL = "pip install 'ray_matdesign[mattergen]' && pip install --no-deps mattergen==1.0.3"

_MODULES = {
    "adapter": "mattergen.adapter",
    "chemgraph": "mattergen.common.data.chemgraph",
    "collate": "mattergen.common.data.collate",
    "data_classes": "mattergen.common.utils.data_classes",
    "data_utils": "mattergen.common.utils.data_utils",
    "d3pm_sampling": "mattergen.diffusion.d3pm.d3pm_predictors_correctors",
    "denoiser": "mattergen.denoiser",
    "embeddings": "mattergen.property_embeddings",
    "gemnet_ctrl": "mattergen.common.gemnet.gemnet_ctrl",
    "globals": "mattergen.common.utils.globals",
    "guidance": "mattergen.diffusion.sampling.classifier_free_guidance",
    "lattice_sampling": "mattergen.common.diffusion.predictors_correctors",
    "loss": "mattergen.common.loss",
    "multi_corruption": "mattergen.diffusion.corruption.multi_corruption",
    "pc_sampler": "mattergen.diffusion.sampling.pc_sampler",
    "scaling": "mattergen.common.gemnet.layers.scaling",
    "sizes": "mattergen.common.data.num_atoms_distribution",
    "transform": "mattergen.common.data.transform",
    "wrapped_sampling": "mattergen.diffusion.wrapped.wrapped_predictors_correctors",
}


class MatterGenMissing(ImportError):
    """MatterGen, or something it needs, is not installed; the message says what to install."""


@cache
def mattergen_modules() -> Any:
    """MatterGen's modules, imported once, under short names.

    Returns:
        Namespace with the keys of the table above, e.g. ``.denoiser``.

    Raises:
        MatterGenMissing: A package is missing.
    """
    # MatterGen calls ``numpy.math``, which NumPy 2 no longer has.
    vars(np)["math"] = math
    try:
        # PyTorch Geometric looks for the compiled packages when it is imported, and must not
        # mistake the stand-ins for them.
        importlib.import_module("torch_geometric")
        with _stand_ins(), contextlib.redirect_stdout(io.StringIO()):  # it prints where it lives
            modules = {key: importlib.import_module(name) for key, name in _MODULES.items()}
    except ModuleNotFoundError as error:
        raise MatterGenMissing(f"MatterGen needs {error.name}: {INSTALL}") from error
    found = SimpleNamespace(**modules)
    if not Path(found.globals.MODELS_PROJECT_ROOT, "common/gemnet/gemnet-dT.json").exists():
        found.scaling.read_value_json = _no_scale_factor
    found.pc_sampler.tqdm = _silent
    return found


def _no_scale_factor(path: str, key: str) -> None:
    """Says that a scale factor has not been fitted, so that its layer starts with 1.

    Checkpoints carry the fitted factors among their weights, and new networks are fitted by
    :func:`ray_matdesign.generators.mattergen.training.fit_scale_factors`.
    """


def _silent(steps: Iterable[int], **_: Any) -> Iterable[int]:
    return steps


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Puts the modules below in the place of compiled packages that are not installed.

    They are withdrawn afterwards: MatterGen keeps what it imported, and no other package may take
    them for the real ones.
    """
    contents: dict[str, dict[str, Any]] = {
        "torch_scatter": {
            "scatter": scatter,
            "scatter_add": scatter_add,
            "segment_coo": segment_coo,
            "segment_csr": segment_csr,
        },
        "torch_sparse": {"SparseTensor": SparseTensor},
        # Names the origin of labels in an annotation; the package behind it is a database schema.
        "emmet.core.material": {"PropertyOrigin": str},
    }
    added = []
    for name, members in contents.items():
        try:
            importlib.import_module(name)
        except (ImportError, OSError):  # not installed, or compiled for another torch
            for package in _with_parents(name):
                if package not in sys.modules:
                    sys.modules[package] = ModuleType(package)
                    added.append(package)
            vars(sys.modules[name]).update(members)
    try:
        yield
    finally:
        for package in added:
            del sys.modules[package]


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def scatter(
    src: Tensor,
    index: Tensor,
    dim: int = -1,
    out: None = None,
    dim_size: int | Tensor | None = None,
    reduce: str = "sum",
) -> Tensor:
    """Adds up, or averages, the slices of ``src`` along ``dim`` that share an index.

    Args:
        src: Any shape.
        index: Shape ``(src.shape[dim],)``, or the leading shape of ``src`` up to ``dim``.
        dim: Dimension that is reduced.
        out: Not supported.
        dim_size: Size of the result along ``dim``; ``None`` for the largest index plus one.
        reduce: ``sum``, ``add`` or ``mean``.

    Raises:
        ValueError: Another reduction, or an output tensor, is asked for.
    """
    if out is not None or reduce not in ("sum", "add", "mean"):
        raise ValueError(f"scatter: only new sums and means are supported, not {reduce!r}")
    dim = dim % src.dim()
    size = _size(index, dim_size)
    shape = [*src.shape[:dim], size, *src.shape[dim + 1 :]]
    spread = _expand(index, src, dim)
    total = src.new_zeros(shape).scatter_add(dim, spread, src)
    if reduce != "mean":
        return total
    ones = torch.ones_like(src)
    count = src.new_zeros(shape).scatter_add(dim, spread, ones).clamp(min=1)
    if src.is_floating_point():
        return total / count
    return torch.div(total, count, rounding_mode="floor")


def scatter_add(
    src: Tensor,
    index: Tensor,
    dim: int = -1,
    out: None = None,
    dim_size: int | Tensor | None = None,
) -> Tensor:
    """Sums of the slices of ``src`` that share an index; see :func:`scatter`."""
    return scatter(src, index, dim, out, dim_size)


def segment_coo(
    src: Tensor,
    index: Tensor,
    out: None = None,
    dim_size: int | Tensor | None = None,
    reduce: str = "sum",
) -> Tensor:
    """Sums of the rows of ``src`` that share a sorted index of shape ``(len(src),)``."""
    return scatter(src, index, 0, out, dim_size, reduce)


def segment_csr(src: Tensor, indptr: Tensor, out: None = None, reduce: str = "sum") -> Tensor:
    """Sums of consecutive rows: row k of the result is ``src[indptr[k]:indptr[k + 1]].sum(0)``."""
    counts = indptr.diff()
    rows = torch.repeat_interleave(torch.arange(len(counts), device=src.device), counts)
    first, last = int(indptr[0]), int(indptr[-1])
    return scatter(src[first:last], rows, 0, out, len(counts), reduce)


class SparseTensor:
    """A sparse matrix in coordinates, of which rows can be selected, repeatedly and in any order.

    Args:
        row: Row of each entry, shape ``(n_entries,)``.
        col: Column of each entry.
        value: Value of each entry; entries may share a place.
        sparse_sizes: Rows and columns.
    """

    def __init__(
        self,
        row: Tensor,
        col: Tensor,
        value: Tensor,
        sparse_sizes: tuple[int | Tensor, int | Tensor],
    ) -> None:
        rows, columns = int(sparse_sizes[0]), int(sparse_sizes[1])
        order = torch.argsort(row * columns + col, stable=True)
        self._row, self._col, self._value = row[order], col[order], value[order]
        self._sizes = (rows, columns)

    @classmethod
    def _in_order(
        cls, row: Tensor, col: Tensor, value: Tensor, sizes: tuple[int, int]
    ) -> SparseTensor:
        matrix = cls.__new__(cls)
        matrix._row, matrix._col, matrix._value, matrix._sizes = row, col, value, sizes
        return matrix

    def __getitem__(self, rows: Tensor) -> SparseTensor:
        """The matrix whose k-th row is row ``rows[k]`` of this one."""
        counts = torch.bincount(self._row, minlength=self._sizes[0])
        starts = counts.cumsum(0) - counts
        taken = counts[rows]
        places = torch.arange(len(rows), device=rows.device)
        row = torch.repeat_interleave(places, taken)
        # Position of each entry: where its row starts here, plus how far into the row it is.
        shift = starts[rows] - (taken.cumsum(0) - taken)
        entry = torch.arange(len(row), device=rows.device) + shift[row]
        sizes = (len(rows), self._sizes[1])
        return SparseTensor._in_order(row, self._col[entry], self._value[entry], sizes)

    def to(self, device: torch.device) -> SparseTensor:
        """The same matrix on a device."""
        row, col, value = (part.to(device) for part in (self._row, self._col, self._value))
        return SparseTensor._in_order(row, col, value, self._sizes)

    @property
    def storage(self) -> SimpleNamespace:
        """Accessors ``row()``, ``col()`` and ``value()``, in row-major order."""
        accessors: dict[str, Callable[[], Tensor]] = {
            "row": lambda: self._row,
            "col": lambda: self._col,
            "value": lambda: self._value,
        }
        return SimpleNamespace(**accessors)


def _size(index: Tensor, dim_size: int | Tensor | None) -> int:
    if dim_size is not None:
        return int(dim_size)
    return int(index.max()) + 1 if index.numel() else 0


def _expand(index: Tensor, src: Tensor, dim: int) -> Tensor:
    if index.dim() == 1:
        index = index.view([1] * dim + [-1])
    return index.view([*index.shape, *[1] * (src.dim() - index.dim())]).expand_as(src)
