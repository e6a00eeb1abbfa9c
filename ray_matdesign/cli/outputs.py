"""Crystals written to where the command line says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray_matdesign.crystals.crystal import Crystal

FILE_SUFFIXES = (".extxyz", ".xyz", ".cif", ".csv")


class UnknownTarget(ValueError):
    """A place crystals cannot be written to."""


def check_target(out: Path | None) -> None:
    """Refuses, before any work is done, what :func:`write_named` could not write.

    Raises:
        UnknownTarget: The ending is unknown, or the place is taken by something else.
    """
    from ray_matdesign.crystals.files import target_problem

    if out is not None and (problem := target_problem(out, FILE_SUFFIXES, "write")):
        raise UnknownTarget(problem)


def write_named(out: Path, crystals: Sequence[Crystal], names: Sequence[str]) -> None:
    """Writes named crystals into one file, or one CIF each into a folder."""
    from ray_matdesign.crystals.files import write_cif, write_crystals

    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_crystals(out, crystals, names)
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, crystal in zip(names, crystals, strict=True):
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
        write_cif(out / f"{safe}-{crystal.formula}.cif", crystal, name)
