"""Crystals given as files on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ray_matdesign.cli.console import notes

if TYPE_CHECKING:
    from ray_matdesign.crystals.crystal import Crystal


class NoCrystals(ValueError):
    """None of the files given holds a crystal."""


def read_files(paths: Sequence[Path]) -> list[tuple[str, Crystal]]:
    """Reads files and folders; what is no crystal is named on stderr, and the others go on.

    Raises:
        NoCrystals: Nothing could be read.
    """
    from ray_matdesign.crystals.files import CrystalFileError, Entry, Unreadable, read_crystals

    entries: list[Entry] = []
    for path in paths:
        try:
            entries += read_crystals(path)
        except (CrystalFileError, FileNotFoundError) as error:
            if len(paths) == 1:
                raise NoCrystals(str(error)) from error
            entries.append((str(path), Unreadable(str(path), str(error))))
    crystals = [(name, c) for name, c in entries if not isinstance(c, Unreadable)]
    skipped = [c for _, c in entries if isinstance(c, Unreadable)]
    if not crystals and skipped:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise NoCrystals(
            f"no crystal to work on: {complaint(skipped[0].name, skipped[0].reason)}{more}"
        )
    if not crystals:
        raise NoCrystals(f"no crystal to work on in {', '.join(map(str, paths))}")
    for entry in skipped:
        complain(entry.name, entry.reason)
    return crystals


def complain(name: str, reason: str) -> None:
    """Names a crystal that could not be treated, on stderr."""
    notes().print(f"skipped {complaint(name, reason)}", markup=False, style="yellow")


def complaint(name: str, reason: str) -> str:
    """Name and reason, the name once."""
    return reason if reason.startswith(name) else f"{name}: {reason}"
