"""Making a reference set from crystals, compounds and elemental energies."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import gcd
from pathlib import Path
from typing import Any

from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.files import Unreadable, read_crystals
from ray_matdesign.crystals.matching import Matcher
from ray_matdesign.stability.hull import CompositionHull
from ray_matdesign.stability.known import KnownCrystals
from ray_matdesign.stability.reference import ReferenceSet

HullTable = Iterable[tuple[Mapping[int, int], float]]
"""Composition (atoms by atomic number) and formation energy, eV/atom, of compounds."""


@dataclass
class Sources:
    """What a reference set is made from, gathered from any number of files.

    Attributes:
        crystals: Names and crystals that count as known.
        compounds: Compositions and formation energies, eV/atom.
        elemental_energies: Lowest energy of each element, eV/atom, by atomic number.
        unreadable: Entries that hold no crystal, and why.
    """

    crystals: list[tuple[str, Crystal]] = field(default_factory=list)
    compounds: list[tuple[Mapping[int, int], float]] = field(default_factory=list)
    elemental_energies: dict[int, float] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)


def build_reference(
    crystals: Sequence[tuple[str, Crystal]],
    hull_table: HullTable,
    elemental_energies_ev_per_atom: Mapping[int, float],
    out: str | Path,
    *,
    excluded: Mapping[str, str] | None = None,
    description: str = "",
    progress: Callable[[int], None] | None = None,
) -> ReferenceSet:
    """Makes a reference set and writes it.

    Args:
        crystals: Names and crystals that count as known.
        hull_table: Compounds; of one reduced formula the lowest is kept, elements are dropped.
        elemental_energies_ev_per_atom: By atomic number, on the scale of the potential whose
            crystals will be judged.
        out: Folder to write.
        excluded: Symbols of elements not to judge, and why.
        description: What it was made from.
        progress: Called with the number of crystals done, now and then.

    Raises:
        ValueError: There are no elemental energies.
    """
    if not elemental_energies_ev_per_atom:
        raise ValueError("a reference set needs elemental energies: none were given")
    lowest = lowest_per_formula(hull_table)
    elements = frozenset(elemental_energies_ev_per_atom)
    elements -= {ATOMIC_NUMBERS[symbol] for symbol in excluded or {}}
    inside = [
        (dict(key), energy) for key, energy in lowest.items() if {z for z, _ in key} <= elements
    ]
    hull = CompositionHull([c for c, _ in inside], [e for _, e in inside], elements)
    reference = ReferenceSet(
        elemental_energies_ev_per_atom,
        hull,
        KnownCrystals.pack(crystals, Matcher(), progress),
        excluded=excluded,
        description=description,
    )
    reference.save(out)
    return reference


def lowest_per_formula(table: HullTable) -> dict[tuple[tuple[int, int], ...], float]:
    """The lowest formation energy of each reduced composition, elements left out.

    Returns:
        Energies, eV/atom, by ``((atomic number, count), ...)``, ascending by number.
    """
    lowest: dict[tuple[tuple[int, int], ...], float] = {}
    for counts, energy in table:
        if len(counts) < 2:
            continue
        divisor = reduce(gcd, counts.values())
        key = tuple(sorted((z, n // divisor) for z, n in counts.items()))
        lowest[key] = min(energy, lowest.get(key, energy))
    return lowest


def read_sources(
    crystals: Sequence[str | Path] = (),
    entries: Sequence[str | Path] = (),
    hull_tables: Sequence[str | Path] = (),
    elements: str | Path | None = None,
) -> Sources:
    """Gathers the makings of a reference set from files.

    Args:
        crystals: Anything :func:`~ray_matdesign.crystals.files.read_crystals` reads.
        entries: JSON (also gzipped) of pymatgen ``ComputedEntry`` or ``ComputedStructureEntry``
            dictionaries, as a list or by name. Corrected energies; formation energies are taken
            against the elements among them or in ``elements``.
        hull_tables: CSV (also gzipped) with columns ``formula`` and ``formation_energy_per_atom``.
        elements: JSON of energies by symbol, eV/atom, or of entries by symbol.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged or not of its kind; the message names it.
    """
    sources = Sources()
    for path in crystals:
        for name, crystal in read_crystals(path):
            if isinstance(crystal, Unreadable):
                sources.unreadable.append(crystal)
            else:
                sources.crystals.append((name, crystal))
    for path in hull_tables:
        sources.compounds += _read_hull_csv(Path(path))
    if elements is not None:
        sources.elemental_energies.update(read_elemental_energies(elements))
    _add_entries(sources, [Path(path) for path in entries])
    return sources


def read_elemental_energies(path: str | Path) -> dict[int, float]:
    """Energies of the elements, eV/atom, by atomic number.

    Args:
        path: JSON, also gzipped: ``{"Fe": -8.47, ...}`` or ``{"Fe": {entry}, ...}``.

    Raises:
        ValueError: The file is not of this kind.
    """
    data = _read_json(Path(path))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected energies or entries by element symbol")
    energies = {}
    for symbol, value in data.items():
        if symbol not in ATOMIC_NUMBERS:
            raise ValueError(f"{path}: unknown element {symbol!r}")
        if isinstance(value, dict):
            counts, energy = _entry_energy(value, f"{path}: {symbol}")
            value = energy / sum(counts.values())
        energies[ATOMIC_NUMBERS[symbol]] = float(value)
    return energies


def parse_formula(formula: str) -> dict[int, int]:
    """Atoms of each element, by atomic number.

    Raises:
        InvalidCrystal: It names an unknown element or holds fractions.
    """
    from pymatgen.core import Composition

    try:
        amounts = Composition(formula).get_el_amt_dict()
    except ValueError as error:
        raise InvalidCrystal(f"{formula!r} is no formula: {error}") from error
    counts = {}
    for symbol, amount in amounts.items():
        if symbol not in ATOMIC_NUMBERS or amount != round(amount):
            raise InvalidCrystal(f"{formula!r} is no formula of whole numbers of known elements")
        counts[ATOMIC_NUMBERS[symbol]] = round(amount)
    return counts


def _add_entries(sources: Sources, paths: Sequence[Path]) -> None:
    """Adds pymatgen entries: elements first, since the others' formation energies need them."""
    compounds: list[tuple[str, dict[int, int], float]] = []
    for path in paths:
        for name, entry in _named_entries(path):
            counts, energy = _entry_energy(entry, f"{path}: {name}")
            if len(counts) == 1:
                ((z, n),) = counts.items()
                known = sources.elemental_energies.get(z, energy / n)
                sources.elemental_energies[z] = min(known, energy / n)
            else:
                compounds.append((name, counts, energy))
            if "structure" in entry:
                _add_structure(sources, name, entry["structure"])
    for name, counts, energy in compounds:
        missing = sorted(set(counts) - set(sources.elemental_energies))
        if missing:
            symbols = ", ".join(SYMBOLS[z] for z in missing)
            raise ValueError(f"entry {name}: no elemental energy of {symbols}; give --elements")
        elements = sum(n * sources.elemental_energies[z] for z, n in counts.items())
        sources.compounds.append((counts, (energy - elements) / sum(counts.values())))


def _add_structure(sources: Sources, name: str, data: dict[str, Any]) -> None:
    from pymatgen.core import Structure

    from ray_matdesign.crystals.convert import from_pymatgen

    try:
        sources.crystals.append((name, from_pymatgen(Structure.from_dict(data))))
    except (InvalidCrystal, KeyError, ValueError) as error:
        sources.unreadable.append(Unreadable(name, str(error)))


def _named_entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    data = _read_json(path)
    if isinstance(data, dict) and "entries" in data:
        data = data["entries"]
    items = data.items() if isinstance(data, dict) else enumerate(data)
    named = []
    for key, entry in items:
        if not isinstance(entry, dict) or "energy" not in entry:
            raise ValueError(f"{path}: entry {key} is no pymatgen ComputedEntry (no 'energy')")
        named.append((str(entry.get("entry_id") or f"{path.stem}:{key}"), entry))
    return named


def _entry_energy(entry: dict[str, Any], where: str) -> tuple[dict[int, int], float]:
    """Composition and corrected energy (eV per formula as given) of a pymatgen entry."""
    from pymatgen.entries.computed_entries import ComputedEntry

    plain = {key: value for key, value in entry.items() if key != "structure"}
    if "composition" not in plain and "structure" in entry:
        from pymatgen.core import Structure

        plain["composition"] = Structure.from_dict(entry["structure"]).composition.as_dict()
    try:
        parsed = ComputedEntry.from_dict(plain)
        amounts = parsed.composition.get_el_amt_dict()
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{where}: no readable pymatgen entry: {error}") from error
    if any(symbol not in ATOMIC_NUMBERS or n != round(n) for symbol, n in amounts.items()):
        raise ValueError(f"{where}: composition {amounts} is not whole numbers of known elements")
    counts = {ATOMIC_NUMBERS[symbol]: round(n) for symbol, n in amounts.items()}
    return counts, float(parsed.energy)


def _read_hull_csv(path: Path) -> list[tuple[Mapping[int, int], float]]:
    opened = gzip.open if path.suffix == ".gz" else open
    table: list[tuple[Mapping[int, int], float]] = []
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for column in ("formula", "formation_energy_per_atom"):
            if column not in (reader.fieldnames or ()):
                raise ValueError(f"{path}: no column {column!r}")
        for line, row in enumerate(reader, start=2):
            try:
                energy = float(row["formation_energy_per_atom"])
                table.append((parse_formula(row["formula"]), energy))
            except ValueError as error:
                raise ValueError(f"{path}: line {line}: {error}") from error
    return table


def _read_json(path: Path) -> Any:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (json.JSONDecodeError, gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged JSON: {error}") from error
