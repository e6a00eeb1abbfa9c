"""Values of scorers on disk, so that no crystal is paid for twice, in whichever run or process.

One small file holds one value::

    <folder>/magnetic_density-1-3f9c.../scorer.json    what the values of this folder depend on
    <folder>/magnetic_density-1-3f9c.../a4/a4d1....json    {"formula": "Fe3N", "value": 0.18}

Files are written beside their place and renamed into it, so readers on any file system, shared ones
included, meet a whole value or none, and neither several writers nor a kill can change that. A
database was no option: SQLite's write-ahead log must not be used across a network.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ray_matdesign.config.schema import PotentialSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.rewards.scorer import Specimen

logger = logging.getLogger(__name__)

FORMAT = 1
"""Enters every key: raised when keys are made otherwise."""

LENGTH_RESOLUTION_ANG = 1e-3
COORDINATE_RESOLUTION = 1e-4
ENERGY_RESOLUTION_EV_PER_ATOM = 1e-4


class CacheError(RuntimeError):
    """A cache that cannot be used where it was asked for."""


class ScoreCache:
    """A folder of values.

    Args:
        folder: Made if it is missing.
        instruments: What every scorer works with, as JSON-like data: the potential's settings, say.
            Values obtained with other instruments are other values.

    Raises:
        CacheError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, instruments: Mapping[str, Any]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"cache {folder}: {error.strerror or error}") from error
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise CacheError(f"cache {folder}: not readable and writable; choose another folder")
        self._folder = folder
        self._instruments = dict(instruments)

    def shelf(
        self, scorer: str, version: str, factory: str, options: Mapping[str, Any]
    ) -> CacheShelf:
        """The values of one scorer.

        Args:
            scorer: Its name.
            version: Of its numbers.
            factory: Import path of what makes it.
            options: What it was made with, JSON-like.
        """
        facts = {
            "format": FORMAT,
            "scorer": scorer,
            "version": version,
            "factory": factory,
            "options": dict(options),
            "instruments": self._instruments,
        }
        text = json.dumps(facts, sort_keys=True)
        label = re.sub(r"[^\w.-]+", "_", f"{scorer}-{version}")
        return CacheShelf(self._folder / f"{label}-{_digest(text.encode())[:16]}", facts)


class CacheShelf:
    """The values of one scorer with one set of options and instruments.

    Trouble with the disk is told once to the log and costs an evaluation, never a run.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        self._facts = facts
        self._complained = False

    def recall(self, specimens: Sequence[Specimen]) -> list[float | None]:
        """The value kept for each specimen, or ``None``; same order and length."""
        return [self._read(specimen) for specimen in specimens]

    def keep(self, specimens: Sequence[Specimen], results: Sequence[float | Failed]) -> None:
        """Keeps the values; failures are forgotten, as another attempt may fare better."""
        for specimen, result in zip(specimens, results, strict=True):
            if not isinstance(result, Failed):
                self._write(specimen, result)

    def _read(self, specimen: Specimen) -> float | None:
        path = self._path(specimen)
        try:
            value = float(json.loads(path.read_bytes())["value"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._complain(f"{path} cannot be read ({error}); the value is computed again")
            return None
        return value if math.isfinite(value) else None

    def _write(self, specimen: Specimen, value: float) -> None:
        path = self._path(specimen)
        entry = {"formula": specimen.crystal.formula, "value": value}
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                facts = json.dumps(self._facts, indent=2, sort_keys=True) + "\n"
                write_atomic(self._folder / "scorer.json", facts)
            write_atomic(path, json.dumps(entry) + "\n")
        except OSError as error:
            self._complain(f"{path} cannot be written ({error.strerror or error})")

    def _path(self, specimen: Specimen) -> Path:
        key = specimen_key(specimen)
        return self._folder / key[:2] / f"{key}.json"

    def _complain(self, problem: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("cache: %s; further trouble in this folder is not told", problem)


def open_cache(folder: Path, settings: PotentialSettings, potential: Potential) -> ScoreCache:
    """The cache of whoever scores with this potential: runs and commands share their values.

    Args:
        folder: Made if it is missing.
        settings: What was configured.
        potential: What was made of it.

    Raises:
        CacheError: The folder cannot be made or written to.
    """
    return ScoreCache(
        folder, {"potential": settings.model_dump(mode="json"), "version": potential.name}
    )


def cache_of(folder: str, settings: PotentialSettings, potential: Potential) -> ScoreCache | None:
    """The cache a configuration asks for; none where it says ``off``."""
    return None if folder == "off" else open_cache(Path(folder), settings, potential)


def specimen_key(specimen: Specimen) -> str:
    """Name of everything a scorer is told: the crystal and its energies, rounded.

    Two crystals share it only if they are the same atom by atom: lengths to 0.001 Angstrom, cosines
    of the angles and fractional coordinates to 0.0001, energies to 0.0001 eV/atom. That is above
    what the company of other crystals in a batch changes and below what any scorer resolves. The
    order of the atoms and the orientation of the cell in space do not matter, and mirror images
    share it, as no property scored here tells them apart. Another cell or origin of the same
    crystal is another key: a value is then computed once more, never mistaken.

    :func:`ray_matdesign.crystals.matching.structure_key` would not do, as stacking variants may
    share it.
    """
    energies = (
        specimen.energy_ev_per_atom,
        specimen.formation_energy_ev_per_atom,
        specimen.e_above_hull_ev_per_atom,
    )
    rounded = [
        round(energy / ENERGY_RESOLUTION_EV_PER_ATOM) if math.isfinite(energy) else None
        for energy in energies
    ]
    return _digest(json.dumps(rounded).encode() + b"\n" + _rounded(specimen.crystal))


def _rounded(crystal: Crystal) -> bytes:
    lengths = crystal.lengths
    unit = crystal.lattice / lengths[:, None]
    cosines = (unit @ unit.T)[[1, 2, 0], [2, 0, 1]]
    cell = np.concatenate(
        [np.round(lengths / LENGTH_RESOLUTION_ANG), np.round(cosines / COORDINATE_RESOLUTION)]
    )
    steps = round(1.0 / COORDINATE_RESOLUTION)
    places = np.round(crystal.frac_coords * steps).astype(np.int64) % steps
    atoms = np.column_stack([crystal.numbers, places])
    order = np.lexsort(atoms.T[::-1])
    return cell.astype("<i8").tobytes() + atoms[order].astype("<i8").tobytes()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
