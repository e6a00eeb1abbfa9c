"""Files of crystals. One that cannot be read is a value with its name and reason; others go on."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.cif import parse_cif, split_cif, write_cif_text
from ray_matdesign.crystals.convert import (
    parse_extxyz_frame,
    parse_poscar,
    write_extxyz_text,
    write_poscar_text,
)
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal

_NAME_KEYS = ("material_id", "name", "id")
SUFFIXES = (".cif", ".extxyz", ".xyz", ".vasp", ".poscar", ".csv", ".csv.gz")
"""Endings of files :func:`read_crystals` reads, besides files called POSCAR or CONTCAR."""


@dataclass(frozen=True)
class Unreadable:
    """An entry of a file that is no crystal, and why, in one line."""

    name: str
    reason: str


class CrystalFileError(ValueError):
    """A file from which nothing can be read; the message names it and says what to do."""


Entry = tuple[str, Crystal | Unreadable]


def read_crystals(path: str | Path) -> list[Entry]:
    """Reads every crystal of a file, or of all such files in a folder.

    Args:
        path: CIF (one or more data blocks), extended XYZ, POSCAR/CONTCAR/.vasp, CSV with a ``cif``
            column (also gzipped), or a folder of them.

    Returns:
        Name and crystal, or name and reason, in the order of the file. Names come from
        ``material_id``, ``name`` or ``id`` where the file has them, otherwise from the file's name
        and the position in it.

    Raises:
        FileNotFoundError: There is no such file.
        CrystalFileError: The file is empty, of unknown kind, or lacks the ``cif`` column.
    """
    source = Path(path)
    if not source.is_dir():
        return list(_read_file(source))
    entries: list[Entry] = []
    for member in sorted(source.iterdir()):
        if member.is_file() and _kind(member) is not None:
            try:
                entries += _read_file(member)
            except CrystalFileError as error:
                entries.append((member.stem, Unreadable(member.stem, str(error))))
    if not entries:
        raise CrystalFileError(f"{source}: no files of crystals here ({', '.join(SUFFIXES)})")
    return entries


def write_cif(path: str | Path, crystal: Crystal, name: str = "") -> None:
    """Writes one crystal as a P1 CIF, atomically."""
    write_atomic(path, write_cif_text(crystal, name))


def write_poscar(path: str | Path, crystal: Crystal, comment: str = "") -> None:
    """Writes one crystal as a POSCAR, atomically."""
    write_atomic(path, write_poscar_text(crystal, comment))


def write_extxyz(
    path: str | Path,
    crystals: Sequence[Crystal],
    info: Sequence[Mapping[str, str | float | int | bool]] | None = None,
) -> None:
    """Writes crystals as one extended XYZ file, atomically.

    Args:
        path: Replaced where it exists.
        crystals: Any number.
        info: Extra keys of each crystal's comment line, e.g. ``{"name": ..., "density": ...}``.
    """
    extras = info if info is not None else [{}] * len(crystals)
    frames = (write_extxyz_text(c, dict(i)) for c, i in zip(crystals, extras, strict=True))
    write_atomic(path, "".join(frames))


def write_crystals(path: str | Path, crystals: Sequence[Crystal], names: Sequence[str]) -> None:
    """Writes named crystals into one file, its kind told by the ending.

    Raises:
        CrystalFileError: The ending is none of .cif, .extxyz, .xyz, .csv.
    """
    target = Path(path)
    if target.suffix in {".extxyz", ".xyz"}:
        write_extxyz(target, crystals, [{"name": name} for name in names])
    elif target.suffix == ".cif":
        blocks = (write_cif_text(c, n) for c, n in zip(crystals, names, strict=True))
        write_atomic(target, "\n".join(blocks))
    elif target.suffix == ".csv":
        write_atomic(target, _csv_text(crystals, names))
    else:
        raise CrystalFileError(f"{target}: cannot write {target.suffix!r}; use .cif, .extxyz, .csv")


def target_problem(out: Path, endings: Collection[str], doing: str) -> str | None:
    """Why crystals cannot go to a file of these endings, or to a folder; ``None`` if they can.

    Args:
        out: Where to; a name without ending stands for a folder.
        endings: Of the files that can be written.
        doing: What is being done, for the message: ``write``, ``export to``.
    """
    if out.suffix and out.suffix not in endings:
        known = ", ".join(endings)
        return f"{out}: cannot {doing} {out.suffix!r}; use {known}, or a folder"
    if out.suffix and out.is_dir():
        return f"{out}: is a folder"
    if not out.suffix and out.exists() and not out.is_dir():
        return f"{out}: is a file; a name without ending stands for a folder"
    return None


def read_csv_rows(path: str | Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file, gzipped or not, that has a ``cif`` column.

    Raises:
        CrystalFileError: The column is missing, or the file is damaged.
    """
    source = Path(path)
    # A CIF of a few thousand atoms outgrows the csv module's default limit of 128 kB a field.
    csv.field_size_limit(sys.maxsize)
    opened = gzip.open if source.suffix == ".gz" else open
    try:
        with opened(source, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None:
                raise CrystalFileError(f"{source}: the file is empty")
            if "cif" not in reader.fieldnames:
                raise CrystalFileError(
                    f"{source}: no column 'cif' among {', '.join(reader.fieldnames)}"
                )
            yield from reader
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CrystalFileError(f"{source}: damaged file: {error}") from error


def row_name(row: Mapping[str, object], otherwise: str) -> str:
    """The name an entry carries itself, or the given one."""
    return next((str(row[key]) for key in _NAME_KEYS if row.get(key)), otherwise)


def _kind(path: Path) -> str | None:
    if path.name.split(".")[0].upper() in {"POSCAR", "CONTCAR"}:
        return "poscar"
    kinds = {".cif": "cif", ".extxyz": "xyz", ".xyz": "xyz", ".vasp": "poscar", ".poscar": "poscar"}
    if path.name.endswith((".csv", ".csv.gz")):
        return "csv"
    return kinds.get(path.suffix.lower())


def _read_file(path: Path) -> Iterator[Entry]:
    kind = _kind(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if kind is None:
        raise CrystalFileError(f"{path}: unknown kind of file; known are {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise CrystalFileError(f"{path}: the file is empty")
    if kind == "csv":
        return _csv_entries(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CrystalFileError(f"{path}: not a text file ({error.reason})") from error
    if kind == "xyz":
        return _extxyz_entries(text, path.stem)
    if kind == "poscar":
        return iter([_entry(path.stem, text, parse_poscar)])
    return _cif_entries(text, path.stem)


def _entry(name: str, text: str, parse: Callable[[str], Crystal]) -> Entry:
    try:
        return name, parse(text)
    except InvalidCrystal as error:
        return name, Unreadable(name, str(error))


def _cif_entries(text: str, stem: str) -> Iterator[Entry]:
    blocks = list(split_cif(text))
    if len(blocks) <= 1:
        yield _entry(stem, text, parse_cif)
        return
    for block_name, block in blocks:
        yield _entry(f"{stem}:{block_name}", block, parse_cif)


def _csv_entries(path: Path) -> Iterator[Entry]:
    stem = path.name.split(".")[0]
    for number, row in enumerate(read_csv_rows(path), start=1):
        yield _entry(row_name(row, f"{stem}:{number}"), row["cif"] or "", parse_cif)


def _extxyz_entries(text: str, stem: str) -> Iterator[Entry]:
    lines = text.splitlines()
    position, number = 0, 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        number += 1
        name = f"{stem}:{number}"
        if not lines[position].strip().isdigit():
            reason = (
                f"line {position + 1}: expected a number of atoms, found {lines[position][:40]!r}; "
                "the rest of the file is not read"
            )
            yield name, Unreadable(name, reason)
            return
        end = position + 2 + int(lines[position])
        try:
            crystal, info = parse_extxyz_frame("\n".join(lines[position:end]) + "\n")
            yield row_name(info, name), crystal
        except InvalidCrystal as error:
            yield name, Unreadable(name, str(error))
        position = end


def _csv_text(crystals: Sequence[Crystal], names: Sequence[str]) -> str:
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["material_id", "formula", "cif"])
    for crystal, name in zip(crystals, names, strict=True):
        writer.writerow([name, crystal.formula, write_cif_text(crystal, name)])
    return buffer.getvalue()
