"""Data sets in the CSV layout the field uses: ``material_id``, ``cif``, property columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.cif import parse_cif
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.files import Unreadable, read_csv_rows, row_name


@dataclass(frozen=True)
class Dataset:
    """Crystals with their names and labels.

    Attributes:
        names: Of each crystal, as in the file.
        crystals: In the order of the file.
        labels: Property columns, each of shape ``(n,)``; NaN where the file is empty.
        unreadable: Rows that hold no crystal, and why; not among the crystals.
    """

    names: tuple[str, ...]
    crystals: tuple[Crystal, ...]
    labels: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()

    def __len__(self) -> int:
        return len(self.crystals)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Dataset:
        """The crystals at these positions, with their names and labels."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Dataset(
            names=tuple(self.names[i] for i in chosen),
            crystals=tuple(self.crystals[i] for i in chosen),
            labels={name: values[chosen] for name, values in self.labels.items()},
        )


def load_dataset(
    path: str | Path, properties: Sequence[str] = (), *, limit: int | None = None
) -> Dataset:
    """Reads a data set.

    Args:
        path: ``.csv`` or ``.csv.gz`` with a ``cif`` column.
        properties: Columns to read as numbers.
        limit: Rows to read at most, for a quick look.

    Raises:
        CrystalFileError: The file is damaged or has no ``cif`` column.
        ValueError: A property column is missing, or holds something that is no number.
    """
    names: list[str] = []
    crystals: list[Crystal] = []
    unreadable: list[Unreadable] = []
    labels: dict[str, list[float]] = {name: [] for name in properties}
    stem = Path(path).name.split(".")[0]
    for number, row in enumerate(read_csv_rows(path), start=1):
        if limit is not None and number > limit:
            break
        name = row_name(row, f"{stem}:{number}")
        values = {key: _label(row, key, f"{path}: {name}") for key in properties}
        try:
            crystals.append(parse_cif(row["cif"] or ""))
        except InvalidCrystal as error:
            unreadable.append(Unreadable(name, str(error)))
            continue
        names.append(name)
        for key, value in values.items():
            labels[key].append(value)
    arrays = {key: np.array(values) for key, values in labels.items()}
    return Dataset(tuple(names), tuple(crystals), arrays, tuple(unreadable))


def split_by_composition(
    crystals: Sequence[Crystal], *, validation_fraction: float, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits crystals so that no formula is on both sides.

    Polymorphs of one compound are too alike for one to be trained on and the other to count as
    unseen. A formula's side depends on the formula and the seed only, so that it stays where it is
    when a data set grows.

    Args:
        crystals: To split.
        validation_fraction: Expected share of formulas held back, in [0, 1].
        seed: Another seed, another split.

    Returns:
        Indices of training and of validation crystals, ascending.
    """
    import hashlib

    def held_back(formula: str) -> bool:
        digest = hashlib.blake2b(f"{seed}:{formula}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") / 2**64 < validation_fraction

    mask = np.array([held_back(crystal.formula) for crystal in crystals], dtype=bool)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _label(row: Mapping[str, str], key: str, where: str) -> float:
    if key not in row:
        raise ValueError(f"{where}: no column {key!r} among {', '.join(row)}")
    text = (row[key] or "").strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: column {key!r} holds {text!r}, expected a number") from None
