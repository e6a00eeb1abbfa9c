"""The reference set: what stability and novelty are judged against."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.matching import Matcher
from ray_matdesign.potentials.protocol import EnergyScale
from ray_matdesign.stability.hull import CompositionHull, MissingElements
from ray_matdesign.stability.known import KnownCrystals
from ray_matdesign.stability.mp2020 import to_mp2020

PACKAGED = Path(__file__).parent / "data"
"""Folder of the reference set that ships with the package."""

_FORMAT = "ray-matdesign-reference"
_VERSION = 1
_MANIFEST, _HULL, _CRYSTALS = "manifest.json", "hull.npz", "crystals.npz"
_DEFAULT = StabilitySettings()


class InvalidReference(ValueError):
    """A reference set that cannot be read; the message names the file and says what to do."""


class ReferenceSet:
    """Elemental energies, a hull of known compounds and the known crystals.

    Attributes:
        elements: Atomic numbers it can judge.
        elemental_energies_ev_per_atom: Energy of each element's ground state, by atomic number.
        hull: Formation energies by composition.
        known: Known crystals.
        excluded: Symbols of elements left out on purpose, and why.
        description: What it was made from, for reports.
    """

    def __init__(
        self,
        elemental_energies_ev_per_atom: Mapping[int, float],
        hull: CompositionHull,
        known: KnownCrystals,
        *,
        excluded: Mapping[str, str] | None = None,
        description: str = "",
    ) -> None:
        self.elemental_energies_ev_per_atom = dict(elemental_energies_ev_per_atom)
        self.hull = hull
        self.known = known
        self.excluded = dict(excluded or {})
        self.description = description
        left_out = {ATOMIC_NUMBERS[symbol] for symbol in self.excluded}
        self.elements = frozenset(elemental_energies_ev_per_atom) - left_out

    def missing_elements(self, crystal: Crystal) -> list[str]:
        """Symbols of the crystal's elements this reference cannot judge, ascending by number."""
        return [SYMBOLS[z] for z in sorted(crystal.elements - self.elements)]

    def formation_energy(
        self, crystal: Crystal, energy_ev_per_atom: float, scale: EnergyScale
    ) -> float:
        """Energy against the elements, eV/atom, with the corrections its scale calls for.

        Args:
            crystal: What the energy is of.
            energy_ev_per_atom: A potential's.
            scale: That potential's ``energy_scale``.

        Raises:
            MissingElements: The reference does not cover an element.
        """
        self._require(crystal)
        elements = sum(
            n * self.elemental_energies_ev_per_atom[z] for z, n in crystal.counts.items()
        )
        return to_mp2020(crystal, energy_ev_per_atom, scale) - elements / len(crystal)

    def e_above_hull(self, crystal: Crystal, formation_energy_ev_per_atom: float) -> float:
        """Formation energy minus the hull's at the composition, eV/atom; negative below the hull.

        Raises:
            MissingElements: The reference does not cover an element.
        """
        self._require(crystal)
        return self.hull.e_above_hull(crystal.counts, formation_energy_ev_per_atom)

    def find(self, crystal: Crystal) -> str | None:
        """Name of the known crystal this one matches, or ``None``."""
        return self.known.find(crystal)

    def is_novel(self, crystal: Crystal) -> bool:
        """Whether no known crystal matches."""
        return self.find(crystal) is None

    def novel_mask(self, crystals: Sequence[Crystal]) -> list[bool]:
        """:meth:`is_novel` of each crystal, in order."""
        return [self.is_novel(crystal) for crystal in crystals]

    @classmethod
    def load(cls, where: str | Path, settings: StabilitySettings = _DEFAULT) -> ReferenceSet:
        """Reads a reference set.

        Args:
            where: ``packaged``, or a folder made by ``ray-matdesign reference build``.
            settings: Tolerances of matching.

        Raises:
            InvalidReference: The folder is missing, incomplete, damaged or of another version.
        """
        folder = PACKAGED if where == "packaged" else Path(where)
        manifest = _read_manifest(folder)
        energies = manifest["elemental_energies_ev_per_atom"]
        excluded = manifest["excluded"]
        elements = frozenset(ATOMIC_NUMBERS[s] for s in energies if s not in excluded)
        try:
            hull = _hull_from_arrays(_read_npz(folder / _HULL), elements)
            known = KnownCrystals(_read_npz(folder / _CRYSTALS), Matcher(settings))
        except (KeyError, ValueError) as error:
            if isinstance(error, InvalidReference):
                raise
            raise InvalidReference(f"reference set {folder}: {error}") from error
        return cls(
            {ATOMIC_NUMBERS[symbol]: energy for symbol, energy in energies.items()},
            hull,
            known,
            excluded=excluded,
            description=manifest["description"],
        )

    def save(self, folder: str | Path) -> None:
        """Writes the set; the manifest last, so that a folder that has one is complete."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        write_atomic(target / _HULL, _npz_bytes(_hull_arrays(self.hull)))
        write_atomic(target / _CRYSTALS, self.known.to_bytes())
        energies = self.elemental_energies_ev_per_atom
        manifest = {
            "format": _FORMAT,
            "version": _VERSION,
            "description": self.description,
            "compounds": len(self.hull),
            "crystals": len(self.known),
            "excluded": self.excluded,
            "elemental_energies_ev_per_atom": {SYMBOLS[z]: energies[z] for z in sorted(energies)},
        }
        write_atomic(target / _MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def _require(self, crystal: Crystal) -> None:
        missing = self.missing_elements(crystal)
        if missing:
            reasons = [self.excluded.get(symbol, "no data") for symbol in missing]
            named = ", ".join(f"{s} ({r})" for s, r in zip(missing, reasons, strict=True))
            raise MissingElements(f"{crystal.formula}: the reference does not cover {named}")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidReference(
            f"{folder}: no reference set here ({_MANIFEST} is missing); "
            "make one with 'ray-matdesign reference build', or use 'packaged'"
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidReference(f"{path}: damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InvalidReference(f"{path}: not the manifest of a reference set")
    if manifest.get("version") != _VERSION:
        raise InvalidReference(
            f"{path}: version {manifest.get('version')}, this package reads {_VERSION}: rebuild it"
        )
    return manifest


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InvalidReference(f"{path}: missing: rebuild the reference set") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidReference(f"{path}: damaged: {error}") from error


def _hull_arrays(hull: CompositionHull) -> dict[str, NDArray[np.generic]]:
    """The hull's table: elements and counts of all compounds end to end, and their energies."""
    entries = list(hull.entries)
    return {
        "n_elements": np.array([len(composition) for composition, _ in entries], dtype=np.uint8),
        "numbers": np.array([z for c, _ in entries for z in c], dtype=np.uint8),
        "counts": np.array([n for c, _ in entries for n in c.values()], dtype=np.uint16),
        "formation_energies": np.array([energy for _, energy in entries], dtype=np.float32),
    }


def _hull_from_arrays(
    arrays: Mapping[str, NDArray[np.generic]], elements: frozenset[int]
) -> CompositionHull:
    numbers, counts = arrays["numbers"].tolist(), arrays["counts"].tolist()
    compositions, start = [], 0
    for size in arrays["n_elements"].tolist():
        end = start + size
        compositions.append(dict(zip(numbers[start:end], counts[start:end], strict=True)))
        start = end
    return CompositionHull(compositions, arrays["formation_energies"], elements)


def _npz_bytes(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
