"""Hits of a run as files that other programs read: CIF, extended XYZ, CSV and parquet."""

from __future__ import annotations

import base64
import gzip
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.codec import CodecError, decode_crystals
from ray_matdesign.crystals.convert import write_extxyz_text
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.files import target_problem
from ray_matdesign.report.run_data import read_run
from ray_matdesign.report.summary import sun_hits

if TYPE_CHECKING:
    import pandas as pd

_LEFT_OUT = ("generated", "relaxed")
"""Columns of bytes only this package reads."""


class ExportError(ValueError):
    """A place hits cannot be exported to."""


@dataclass(frozen=True)
class Hit:
    """A relaxed crystal of a run with its record.

    Attributes:
        key: Of the candidate.
        loop: In which it was made.
        crystal: Relaxed.
        e_above_hull_ev_per_atom: By the run's potential and reference.
        reward: ``None`` where the property was not evaluated.
        values: Property by scorer, in the scorer's unit; only those known.
    """

    key: str
    loop: int
    crystal: Crystal
    e_above_hull_ev_per_atom: float
    reward: float | None
    values: Mapping[str, float]

    @property
    def info(self) -> dict[str, str | float | int | bool]:
        """What goes into the comment line of an extended XYZ frame."""
        told: dict[str, str | float | int | bool] = {
            "name": self.key,
            "formula": self.crystal.formula,
            "loop": self.loop,
            "e_above_hull_ev_per_atom": self.e_above_hull_ev_per_atom,
            **self.values,
        }
        if self.reward is not None:
            told["reward"] = self.reward
        return told


def hits_from_table(table: pd.DataFrame) -> list[Hit]:
    """Decodes the relaxed crystals of candidate rows; rows without one are left out.

    Raises:
        CodecError: The bytes of a row are damaged; the message names the candidate.
    """
    hits = []
    for row in table.to_dict("records"):
        if not isinstance(row.get("relaxed"), bytes):
            continue
        try:
            crystal = decode_crystals(row["relaxed"])[0]
        except (CodecError, IndexError) as error:
            raise CodecError(f"candidate {row.get('key')}: {error}") from error
        hits.append(_hit(row, crystal))
    return hits


def _hit(row: Mapping[str, Any], crystal: Crystal) -> Hit:
    values = {
        str(name).removeprefix("value_"): float(value)
        for name, value in row.items()
        if str(name).startswith("value_") and _known(value)
    }
    reward = row.get("reward")
    return Hit(
        key=str(row.get("key", "")),
        loop=int(row["loop"]),
        crystal=crystal,
        e_above_hull_ev_per_atom=float(row.get("e_above_hull_ev_per_atom", math.nan)),
        reward=float(reward) if _known(reward) and reward is not None else None,
        values=values,
    )


def _known(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def cif_text(hit: Hit) -> str:
    """The relaxed crystal as a P1 CIF."""
    return write_cif_text(hit.crystal, f"{hit.crystal.formula}_{hit.key}")


def extxyz_text(hits: Sequence[Hit]) -> str:
    """All crystals as frames of one extended XYZ file, records in the comment lines."""
    return "".join(write_extxyz_text(hit.crystal, hit.info) for hit in hits)


def cif_uri(hit: Hit) -> str:
    """A CIF as a ``data:`` address to download from."""
    encoded = base64.b64encode(cif_text(hit).encode()).decode()
    return f"data:chemical/x-cif;base64,{encoded}"


def extxyz_uri(hits: Sequence[Hit]) -> str:
    """A gzipped extended XYZ file as a ``data:`` address to download from."""
    packed = gzip.compress(extxyz_text(hits).encode(), mtime=0)
    return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"


def check_export(out: Path) -> None:
    """Refuses, before any work is done, what :func:`export_hits` could not write.

    Raises:
        ExportError: The ending is unknown, or the place is taken by something else.
    """
    if problem := target_problem(out, _WRITERS, "export to"):
        raise ExportError(problem)


def export_hits(run_dir: Path, out: Path) -> list[Path]:
    """Writes every stable, unique and novel crystal of a run, relaxed.

    Args:
        run_dir: A run directory, finished or not.
        out: ``FILE.extxyz`` or ``FILE.xyz`` with the records in the comment lines; ``FILE.csv`` or
            ``FILE.parquet`` with a ``cif`` column; or a folder for ``hits.extxyz``,
            ``hits.parquet`` and ``cif/<loop>-<formula>-<key>.cif``. Folders are made where absent,
            files replaced.

    Returns:
        The files written; the CIFs in order of loops, then the two tables.

    Raises:
        ExportError: Such a file cannot be written.
        RunDirectoryError: ``run_dir`` is no run directory.
        CodecError: A crystal's bytes are damaged.
    """
    check_export(out)
    table = sun_hits(read_run(run_dir))
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, _WRITERS[out.suffix](table))
        return [out]
    folder = out / "cif"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for hit in hits_from_table(table):
        path = folder / f"{hit.loop:05d}-{hit.crystal.formula}-{hit.key}.cif"
        write_atomic(path, cif_text(hit))
        written.append(path)
    for path in (out / "hits.extxyz", out / "hits.parquet"):
        write_atomic(path, _WRITERS[path.suffix](table))
        written.append(path)
    return written


def _extxyz(table: pd.DataFrame) -> str:
    return extxyz_text(hits_from_table(table))


def _csv(table: pd.DataFrame) -> str:
    # ``name`` is what commands that read a CSV of crystals look for.
    return str(_readable(table).rename(columns={"key": "name"}).to_csv(index=False))


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    _readable(table).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """The records of candidates with a CIF column instead of bytes."""
    readable = table.drop(columns=[name for name in _LEFT_OUT if name in table])
    if "relaxed" not in table:
        return readable
    relaxed = table[table["relaxed"].notna()]
    cifs = [cif_text(hit) for hit in hits_from_table(relaxed)]
    return readable.loc[relaxed.index].assign(cif=cifs)


_WRITERS: dict[str, Callable[[pd.DataFrame], str | bytes]] = {
    ".extxyz": _extxyz,
    ".xyz": _extxyz,
    ".csv": _csv,
    ".parquet": _parquet,
}
