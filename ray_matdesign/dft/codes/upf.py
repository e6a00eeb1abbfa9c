"""Pseudopotential files in the unified format (UPF), versions 1 and 2: finding the right ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.dft.result import DftError

_HEADER_BYTES = 200_000
"""Headers may follow long comments; the data after them is not read."""

_FUNCTIONALS = {
    "lda": ("SLA PZ NOGX NOGC", "SLA PW NOGX NOGC", "PZ", "PW", "LDA"),
    "pbe": ("SLA PW PBE PBE", "SLA PW PBX PBC", "PBE"),
    "pbesol": ("SLA PW PSX PSC", "PBESOL"),
}
"""How files name each functional."""


@dataclass(frozen=True)
class Pseudopotential:
    """What the header of a file says.

    Attributes:
        path: The file.
        element: Symbol.
        functional: As the file has it, upper case and with single spaces.
        valence: Electrons it leaves.
        spin_orbit: Whether it is fully relativistic.
        bare: Whether it is the bare Coulomb potential.
    """

    path: Path
    element: str
    functional: str
    valence: float
    spin_orbit: bool
    bare: bool

    @classmethod
    def read(cls, path: Path) -> Pseudopotential | None:
        """The header of a file; ``None`` if it has none that can be read."""
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(_HEADER_BYTES)
        attributes = re.search(r"<PP_HEADER\s([^>]*)/?>", head)
        if attributes:
            return cls._of_version_2(path, attributes.group(1))
        lines = re.search(r"<PP_HEADER>(.*?)</PP_HEADER>", head, re.DOTALL)
        return cls._of_version_1(path, lines.group(1)) if lines else None

    @classmethod
    def _of_version_2(cls, path: Path, text: str) -> Pseudopotential | None:
        # Attribute values may not be valid XML in files of old generators, so no parser is used.
        found = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', text))
        if not {"element", "functional", "z_valence"} <= found.keys():
            return None
        return cls(
            path,
            found["element"].strip().capitalize(),
            _plain(found["functional"]),
            float(found["z_valence"].replace("D", "E").replace("d", "e")),
            found.get("has_so", "F").strip().strip(".").upper().startswith("T"),
            found.get("pseudo_type", "").strip() == "1/r",
        )

    @classmethod
    def _of_version_1(cls, path: Path, text: str) -> Pseudopotential | None:
        element = re.search(r"^\s*(\w+)\s+Element", text, re.MULTILINE)
        functional = re.search(r"^\s*(.+?)\s+Exchange-Correlation functional", text, re.MULTILINE)
        valence = re.search(r"^\s*(\S+)\s+Z valence", text, re.MULTILINE)
        if not (element and functional and valence):
            return None
        # Four labels, and often the functional's common name after them.
        labels = " ".join(_plain(functional.group(1)).split()[:4])
        return cls(path, element.group(1), labels, float(valence.group(1)), False, False)


def find_pseudopotentials(
    folder: Path, elements: Iterable[int], functional: str
) -> dict[str, Pseudopotential]:
    """The file of each element; of several, the first by name.

    Args:
        folder: Holds files ``*.upf`` (any case).
        elements: Atomic numbers.
        functional: ``lda``, ``pbe`` or ``pbesol``.

    Returns:
        By symbol.

    Raises:
        DftError: The folder is missing, or has none for some element.
    """
    if not folder.is_dir():
        raise DftError(f"there is no folder {folder} of pseudopotentials")
    wanted = {SYMBOLS[z] for z in elements}
    chosen: dict[str, Pseudopotential] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() == ".upf"):
        # Every collection names its files after the element, which saves reading most of them.
        label = re.match(r"[A-Za-z]{1,2}(?![a-z])", path.name)
        if label is None or label.group().capitalize() not in wanted - chosen.keys():
            continue
        file = Pseudopotential.read(path)
        if file is not None and _suits(file, wanted, functional):
            chosen.setdefault(file.element, file)
    missing = sorted(wanted - chosen.keys())
    if missing:
        raise DftError(
            f"no {functional.upper()} pseudopotential for {', '.join(missing)} in {folder}"
        )
    return chosen


def _suits(file: Pseudopotential, wanted: set[str], functional: str) -> bool:
    known = file.functional in _FUNCTIONALS[functional]
    return known and file.element in wanted and not file.spin_orbit and not file.bare


def _plain(functional: str) -> str:
    return " ".join(functional.upper().replace("-", " ").replace("+", " ").split())
