"""Known crystals, kept small: what novelty is judged against."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.cif import lattice_from_parameters
from ray_matdesign.crystals.convert import from_pymatgen, to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import formula_from_counts
from ray_matdesign.crystals.matching import Matcher, compact_cell, primitive_structure

if TYPE_CHECKING:
    from pymatgen.core import Structure

_STEPS = 65536
_MAX_CACHED_FORMULAS = 4096
_ARRAYS = ("n_atoms", "parameters", "coords", "numbers", "names")


class KnownCrystals:
    """Primitive cells of known crystals, found by formula.

    Coordinates are kept as sixteen-bit fractions of the cell (an error below 0.001 Angstrom, a
    hundredth of what matching tolerates or less), so that 39,000 crystals take 4 MB.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], matcher: Matcher) -> None:
        """Takes what :meth:`pack` or :meth:`load` made.

        Args:
            arrays: ``n_atoms`` (n,), ``parameters`` (n, 6) in Angstrom and degrees, ``coords``
                (sum n_atoms, 3), ``numbers`` (sum n_atoms,), ``names`` as newline-separated bytes.
            matcher: Judges whether two crystals are the same.
        """
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise ValueError(f"table of known crystals lacks {', '.join(missing)}")
        self._arrays = {name: arrays[name] for name in _ARRAYS}
        self._matcher = matcher
        self._ends = np.cumsum(arrays["n_atoms"].astype(np.int64))
        names = arrays["names"].astype(np.uint8).tobytes().decode()
        self.names = names.split("\n") if names else []
        self._check_lengths()
        self._rows: dict[str, list[int]] = {}
        for row in range(len(self.names)):
            values, counts = np.unique(self._numbers(row), return_counts=True)
            formula = formula_from_counts(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            self._rows.setdefault(formula, []).append(row)
        self._cache: dict[str, list[tuple[str, Structure]]] = {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def formulas(self) -> frozenset[str]:
        """Reduced formulas of the known crystals."""
        return frozenset(self._rows)

    def rows(self, formula: str) -> tuple[int, ...]:
        """Rows of the crystals of a reduced formula; empty where there are none."""
        return tuple(self._rows.get(formula, ()))

    def crystal(self, row: int) -> Crystal:
        """A known crystal, in its primitive cell."""
        end = int(self._ends[row])
        start = end - len(self._numbers(row))
        cell = lattice_from_parameters(*self._arrays["parameters"][row].astype(float).tolist())
        coords = self._arrays["coords"][start:end].astype(np.float64) / _STEPS
        return Crystal(cell, coords, self._numbers(row))

    def find(self, crystal: Crystal) -> str | None:
        """Name of a known crystal that matches, or ``None`` for a novel one."""
        known = self._of_formula(crystal.formula)
        if not known:
            return None
        structure = primitive_structure(crystal)
        matches = (name for name, other in known if self._matcher.match_primitive(structure, other))
        return next(matches, None)

    def to_bytes(self) -> bytes:
        """The table as a compressed npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self._arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def pack(
        cls,
        named: Sequence[tuple[str, Crystal]],
        matcher: Matcher,
        progress: Callable[[int], None] | None = None,
    ) -> KnownCrystals:
        """Makes the table.

        Args:
            named: Names (without line breaks) and crystals, in any cell.
            matcher: Judges whether two crystals are the same.
            progress: Called with the number of crystals done, now and then.
        """
        parameters, coords, numbers, sizes = [], [], [], []
        for done, (_, crystal) in enumerate(named, start=1):
            cell = compact_cell(from_pymatgen(primitive_structure(crystal)))
            cell = cell.permuted(np.argsort(cell.numbers, kind="stable").tolist())
            lattice = to_pymatgen(cell).lattice
            parameters.append([*lattice.abc, *lattice.angles])
            coords.append(np.round(cell.frac_coords * _STEPS).astype(np.int64) % _STEPS)
            numbers.append(cell.numbers)
            sizes.append(len(cell))
            if progress is not None and done % 500 == 0:
                progress(done)
        names = "\n".join(name.replace("\n", " ") for name, _ in named)
        arrays: dict[str, NDArray[np.generic]] = {
            "n_atoms": np.array(sizes, dtype=np.uint32),
            "parameters": np.array(parameters, dtype=np.float32).reshape(-1, 6),
            "coords": np.concatenate([np.zeros((0, 3)), *coords]).astype(np.uint16),
            "numbers": np.concatenate([np.zeros(0), *numbers]).astype(np.uint8),
            "names": np.frombuffer(names.encode(), dtype=np.uint8),
        }
        return cls(arrays, matcher)

    def _numbers(self, row: int) -> NDArray[np.int64]:
        end = int(self._ends[row])
        start = int(self._ends[row - 1]) if row else 0
        return self._arrays["numbers"][start:end].astype(np.int64)

    def _of_formula(self, formula: str) -> list[tuple[str, Structure]]:
        rows = self._rows.get(formula, [])
        if rows and formula not in self._cache:
            if len(self._cache) >= _MAX_CACHED_FORMULAS:
                self._cache.clear()
            self._cache[formula] = [(self.names[r], to_pymatgen(self.crystal(r))) for r in rows]
        return self._cache.get(formula, [])

    def _check_lengths(self) -> None:
        n, atoms = len(self.names), int(self._ends[-1]) if len(self._ends) else 0
        shapes = {name: self._arrays[name].shape for name in _ARRAYS[:-1]}
        expected = {
            "n_atoms": (n,),
            "parameters": (n, 6),
            "coords": (atoms, 3),
            "numbers": (atoms,),
        }
        if shapes != expected:
            raise ValueError(f"table of known crystals has shapes {shapes}, expected {expected}")
