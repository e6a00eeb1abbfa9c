"""CIF text to crystals and back.

Files without symmetry (P1, full occupancy), which is what every generator, database dump and
this package itself writes, are read here, some hundred times faster than by a general parser; all
others go through pymatgen.
"""

from __future__ import annotations

import math
import re
import shlex
import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS

_CELL_TAGS = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
_SYMMETRY_LOOPS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_SPACE_GROUP_NAMES = ("_symmetry_space_group_name_h-m", "_space_group_name_h-m_alt")
_SPACE_GROUP_NUMBERS = ("_symmetry_int_tables_number", "_space_group_it_number")
_ELEMENT = re.compile(r"[A-Z][a-z]?")


def lattice_from_parameters(
    a: float, b: float, c: float, alpha: float, beta: float, gamma: float
) -> NDArray[np.float64]:
    """Cell vectors as rows from lengths (Angstrom) and angles (degrees).

    c points along z and a lies in the xz plane, as in pymatgen.

    Raises:
        InvalidCrystal: No cell has these angles.
    """
    ca, cb, cg = (math.cos(math.radians(angle)) for angle in (alpha, beta, gamma))
    sa, sb = math.sin(math.radians(alpha)), math.sin(math.radians(beta))
    if min(a, b, c) <= 0 or sa * sb == 0 or 1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg <= 0:
        raise InvalidCrystal(
            f"no cell has lengths {a}, {b}, {c} and angles {alpha}, {beta}, {gamma}"
        )
    gamma_star = math.acos(min(1.0, max(-1.0, (ca * cb - cg) / (sa * sb))))
    return np.array(
        [
            [a * sb, 0.0, a * cb],
            [-b * sa * math.cos(gamma_star), b * sa * math.sin(gamma_star), b * ca],
            [0.0, 0.0, c],
        ]
    )


def parse_cif(text: str) -> Crystal:
    """Reads the one crystal in a CIF.

    Raises:
        InvalidCrystal: There is none, it does not parse, holds partial occupancies or unknown
            elements; the reason in one line.
    """
    if not text.strip():
        raise InvalidCrystal("the CIF is empty")
    crystal = _parse_p1(text)
    return crystal if crystal is not None else _parse_general(text)


def write_cif_text(crystal: Crystal, name: str = "") -> str:
    """A P1 CIF with ten decimals.

    Args:
        crystal: What to write.
        name: Name of the data block; the formula by default. Spaces become underscores.
    """
    from ray_matdesign.crystals.elements import formula_from_counts

    lengths = crystal.lengths
    cosines = (crystal.lattice @ crystal.lattice.T) / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos(np.clip([cosines[1, 2], cosines[0, 2], cosines[0, 1]], -1, 1)))
    block = re.sub(r"\s+", "_", name.strip()) or formula_from_counts(crystal.counts)
    total = " ".join(f"{SYMBOLS[z]}{n}" for z, n in crystal.counts.items())
    lines = [f"data_{block}", "_symmetry_space_group_name_H-M   'P 1'"]
    lines += ["_symmetry_Int_Tables_number   1", f"_chemical_formula_sum   '{total}'"]
    values = (*lengths, *angles)
    lines += [f"{tag}   {value:.10f}" for tag, value in zip(_CELL_TAGS, values, strict=True)]
    lines += ["loop_", " _symmetry_equiv_pos_site_id", " _symmetry_equiv_pos_as_xyz"]
    lines += ["  1  'x, y, z'", "loop_", " _atom_site_type_symbol", " _atom_site_label"]
    lines += [f" _atom_site_fract_{axis}" for axis in "xyz"] + [" _atom_site_occupancy"]
    for i, (z, (x, y, w)) in enumerate(zip(crystal.numbers, crystal.frac_coords, strict=True)):
        symbol = SYMBOLS[z]
        lines.append(f"  {symbol}  {symbol}{i}  {x:.10f}  {y:.10f}  {w:.10f}  1")
    return "\n".join(lines) + "\n"


def split_cif(text: str) -> Iterator[tuple[str, str]]:
    """The data blocks of a CIF: name and text of each."""
    starts = [match.start() for match in re.finditer(r"^data_", text, flags=re.MULTILINE)]
    for start, end in pairwise([*starts, len(text)]):
        block = text[start:end]
        yield block.split(None, 1)[0].removeprefix("data_"), block


def element_number(symbol: str) -> int:
    """Atomic number of a symbol as found in files: ``Fe``, ``Fe3+``, ``FE``, ``O2-``.

    Raises:
        InvalidCrystal: It names no element. Deuterium and tritium are refused with a hint: turning
            them into hydrogen is the user's decision.
    """
    match = _ELEMENT.match(symbol.capitalize() if symbol.isalpha() else symbol)
    found = match.group() if match else symbol
    for candidate in (found, found[:1]):
        if candidate in ATOMIC_NUMBERS and (candidate == found or not symbol.isalpha()):
            return ATOMIC_NUMBERS[candidate]
    hint = "; write H for it" if symbol.strip() in {"D", "T"} else ""
    raise InvalidCrystal(f"unknown element {symbol!r}{hint}")


def _number(token: str) -> float:
    """A CIF number, its standard uncertainty in parentheses dropped: ``1.234(5)``."""
    return float(token.split("(", 1)[0])


def _parse_p1(text: str) -> Crystal | None:
    """Reads a CIF without symmetry; ``None`` where the general parser is needed."""
    tags, loops = _tokenised(text)
    if tags is None:
        return None
    for operations in (loop for loop in loops if loop[0][-1] in _SYMMETRY_LOOPS):
        rows = [row[-1].replace(" ", "").lower() for row in operations[1]]
        if rows != ["x,y,z"]:
            return None
    names = [tags[tag] for tag in _SPACE_GROUP_NAMES if tag in tags]
    numbers = [tags[tag] for tag in _SPACE_GROUP_NUMBERS if tag in tags]
    if any(name.replace(" ", "") not in {"P1", "?", "."} for name in names):
        return None
    if any(number not in {"1", "?", "."} for number in numbers):
        return None
    sites = [loop for loop in loops if "_atom_site_fract_x" in loop[0]]
    if len(sites) != 1 or not all(tag in tags for tag in _CELL_TAGS):
        return None
    columns, rows_ = sites[0]
    try:
        cell = lattice_from_parameters(*(_number(tags[tag]) for tag in _CELL_TAGS))
        where = {name: i for i, name in enumerate(columns)}
        axes = [where[f"_atom_site_fract_{axis}"] for axis in "xyz"]
        coords = [[_number(row[i]) for i in axes] for row in rows_]
    except (ValueError, KeyError):
        return None
    occupancy = where.get("_atom_site_occupancy")
    if occupancy is not None and any(row[occupancy] not in {"1", "1.0"} for row in rows_):
        return None
    symbol = where.get("_atom_site_type_symbol", where.get("_atom_site_label"))
    if symbol is None:
        return None
    return Crystal(cell, coords, [element_number(row[symbol]) for row in rows_])


Loop = tuple[list[str], list[list[str]]]


def _tokenised(text: str) -> tuple[dict[str, str] | None, list[Loop]]:
    """Tags and loops of a one-block CIF with one row per line; ``None`` for anything else."""
    tags: dict[str, str] = {}
    loops: list[Loop] = []
    loop: Loop | None = None
    blocks = 0
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(";"):
            return None, []
        if line.startswith("data_"):
            blocks += 1
            loop = None
        elif line == "loop_":
            loop = ([], [])
            loops.append(loop)
        elif line.startswith("_") and (loop is None or loop[1]):
            loop = None
            tag, _, value = line.partition(" ")
            tags[tag.lower()] = value.strip().strip("'\"")
        elif line.startswith("_") and loop is not None:
            loop[0].append(line.lower())
        elif loop is not None:
            row = shlex.split(line) if "'" in line or '"' in line else line.split()
            if len(row) != len(loop[0]):
                return None, []
            loop[1].append(row)
        else:
            return None, []
    return (tags, loops) if blocks == 1 else (None, [])


def _parse_general(text: str) -> Crystal:
    """Reads any CIF through pymatgen."""
    from pymatgen.io.cif import CifParser

    from ray_matdesign.crystals.convert import from_pymatgen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            structures = CifParser.from_str(text).parse_structures(primitive=False)
        except (ValueError, KeyError, IndexError, AssertionError, TypeError) as error:
            raise InvalidCrystal(f"the CIF does not parse: {_one_line(error)}") from error
    if not structures:
        raise InvalidCrystal("the CIF holds no crystal")
    return from_pymatgen(structures[0])


def _one_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
