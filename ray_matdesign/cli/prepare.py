"""From a file of crystals to the set a training reads, made once for each folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ray_matdesign.config.schema import TrainSettings
    from ray_matdesign.crystals.crystal import Crystal
    from ray_matdesign.crystals.dataset import Dataset
    from ray_matdesign.generators.diffusion.data import TrainingSet

E_HULL_COLUMN = "e_above_hull"
"""Column of a CSV file that may hold the energy above hull, eV/atom."""
FORMATION_COLUMN = "formation_energy_per_atom"
"""Column that may hold the formation energy on the MP2020 scale, eV/atom."""


class NoLabels(ValueError):
    """Properties asked of a file that cannot hold any."""


def prepared_set(
    data: Path, settings: TrainSettings, conditions: Sequence[str], out: Path, *, resume: bool
) -> Path:
    """The file of prepared crystals a training reads: ``data`` itself, or one in its folder.

    One that is in the folder already is used again if it was made from the same data in the same
    way. If it was not, it is made anew, unless a training that has begun depends on it.

    Args:
        data: Crystals in any format, or a prepared set.
        settings: Of the training.
        conditions: Columns of properties to condition on.
        out: Folder of the training.
        resume: A training in it goes on.

    Raises:
        PreparedSetError: A prepared set holds other crystals than those asked for.
        NoLabels: Conditions, and a file without columns.
        FileNotFoundError: There is no such file.
    """
    from ray_matdesign.generators.diffusion.data import (
        PREPARED_NAME,
        PreparedSetError,
        TrainingSet,
    )

    if not data.exists():
        raise FileNotFoundError(f"{data}: no such file")
    if data.suffix == ".safetensors":
        _check(TrainingSet.load(data), settings, conditions or None, data)
        return data
    path = out / PREPARED_NAME
    digest = _digest(data)
    if path.is_file():
        try:
            _check(TrainingSet.load(path), settings, conditions, path, digest)
        except PreparedSetError:
            if resume:
                raise
        else:
            return path
    prepared = _prepare(data, settings, conditions, digest)
    out.mkdir(parents=True, exist_ok=True)
    prepared.save(path)
    return path


def _check(
    found: TrainingSet,
    settings: TrainSettings,
    conditions: Sequence[str] | None,
    where: Path,
    digest: str | None = None,
) -> None:
    from ray_matdesign.generators.diffusion.data import PreparedSetError

    if digest is not None and found.origin.get("digest") != digest:
        raise PreparedSetError(
            f"{where} was prepared from other data ({found.origin.get('data')}, "
            f"{found.origin.get('crystals')} crystals): give those, or train in another folder"
        )
    if conditions is not None and found.conditions != tuple(conditions):
        then, now = (", ".join(names) or "none" for names in (found.conditions, conditions))
        raise PreparedSetError(f"{where} was prepared for conditions: {then}, not {now}")
    found.check_settings(settings, where)


def _prepare(
    data: Path, settings: TrainSettings, conditions: Sequence[str], digest: str
) -> TrainingSet:
    from ray_matdesign.cli.console import progress_bar
    from ray_matdesign.generators.diffusion.data import prepare

    crystals, labels = _read_stable(data, settings.max_e_above_hull_ev_per_atom, conditions)
    origin: dict[str, Any] = {"data": data.name, "digest": digest, "crystals": len(crystals)}
    with progress_bar("finding symmetry", len(crystals)) as bar:
        return prepare(
            crystals,
            settings,
            labels,
            origin=origin,
            processes=len(os.sched_getaffinity(0)),
            progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )


def _digest(data: Path) -> str:
    """Of the content of a file, or of all files of a folder and their names."""
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(p for p in data.rglob("*") if p.is_file()) if data.is_dir() else [data]
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "blake2b").digest()
        digest.update(path.relative_to(data).as_posix().encode() + b"\0" + content)
    return digest.hexdigest()


def _read_stable(
    data: Path, max_e_above_hull_ev_per_atom: float, conditions: Sequence[str]
) -> tuple[list[Crystal], dict[str, NDArray[np.float64]]]:
    """Crystals and labels of a file, without those it says are too far above the hull.

    Where the file tells a formation energy but no energy above hull, the packaged hull gives it. A
    crystal of which neither is known is kept.
    """
    from ray_matdesign.cli.console import notes
    from ray_matdesign.cli.inputs import complain, read_files
    from ray_matdesign.crystals.dataset import load_dataset
    from ray_matdesign.crystals.files import read_csv_rows

    is_csv = data.is_file() and data.name.endswith((".csv", ".csv.gz"))
    if conditions and not is_csv:
        raise NoLabels(f"{data}: conditions are columns of a CSV file, and this is none")
    columns = next(read_csv_rows(data), {}) if is_csv else {}
    known = [column for column in (E_HULL_COLUMN, FORMATION_COLUMN) if column in columns]
    if not known and not conditions:
        return [crystal for _, crystal in read_files([data])], {}
    dataset = load_dataset(data, list(dict.fromkeys([*known, *conditions])))
    for entry in dataset.unreadable:
        complain(entry.name, entry.reason)
    stable = ~(_e_above_hull(dataset) > max_e_above_hull_ev_per_atom)  # true where unknown
    notes().print(
        f"{data}: {len(dataset)} crystals, {int((~stable).sum())} of them left out for an energy "
        f"above hull of more than {max_e_above_hull_ev_per_atom:g} eV/atom",
        markup=False,
    )
    kept = dataset.subset(stable.nonzero()[0])
    return list(kept.crystals), {name: kept.labels[name] for name in conditions}


def _e_above_hull(dataset: Dataset) -> NDArray[np.float64]:
    """Energy above hull of each crystal, eV/atom; NaN where the file does not tell enough."""
    import numpy as np

    from ray_matdesign.stability.reference import ReferenceSet

    unknown = np.full(len(dataset), np.nan)
    above = np.array(dataset.labels.get(E_HULL_COLUMN, unknown))
    formation = dataset.labels.get(FORMATION_COLUMN, unknown)
    rows = np.flatnonzero(np.isnan(above) & ~np.isnan(formation))
    if not len(rows):
        return above
    reference = ReferenceSet.load("packaged")
    for row in rows:
        crystal = dataset.crystals[row]
        if not reference.missing_elements(crystal):
            above[row] = reference.e_above_hull(crystal, float(formation[row]))
    return above
