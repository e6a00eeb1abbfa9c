"""Makes the reference set that ships with the package, from public tables.

The hull is a snapshot of the Materials Project of about 2018, as the ``crabnet`` wheel carries it
(matbench ``mp_e_form``, completed by CritExam's table). Its energies predate the Materials
Project's present corrections (MP2020; Wang et al., Sci. Rep. 11, 15496 (2021)): they are shifted,
element by element, by what fits the formulas common to both and agrees with the published
differences of the corrections. Without the shift bromides, iodides, selenides and tellurides would
look stable that are not, by up to 0.5 eV/atom.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.crystals.files import Unreadable, read_crystals
from ray_matdesign.stability.build import (
    build_reference,
    lowest_per_formula,
    parse_formula,
    read_elemental_energies,
)
from ray_matdesign.stability.reference import ReferenceSet

_MATBENCH = ("crabnet/data/matbench/mp_e_form.csv",)
_CRITEXAM = tuple(
    f"crabnet/data/benchmark_data/CritExam__Ef/{part}.csv" for part in ("train", "val", "test")
)
_ELEMENTS = "refs/mbd-mp-elemental-reference-entries-2023-02-07.json.gz"
_CRYSTALS = ("crystals_le20.csv.gz", "crystals_gt20.csv.gz")

SHIFT_EV_PER_ATOM_OF_ELEMENT = {
    "Br": -0.53, "I": -0.37, "S": 0.165, "Se": -0.47, "Te": -0.42, "Sb": -0.19, "Si": 0.06,
    "Nb": -0.09, "Ir": -0.035, "Rb": -0.033, "Cl": -0.02,
}  # fmt: skip
"""From the corrections of the snapshot to MP2020, in every compound of these elements."""

OXIDE_SHIFT_EV_PER_ATOM_OF_ELEMENT = {
    "O": 0.024, "F": 0.025, "Fe": 0.43, "Co": 0.085, "Ni": -0.57, "Mo": 0.32, "W": -0.10,
    "Cr": -0.056,
}  # fmt: skip
"""The same, in compounds that hold oxygen or fluorine (where the metals are treated with DFT+U)."""

OXIDISED_SHIFT_EV_PER_ATOM_OF_ELEMENT = {
    "S": (2.9, 100.0, 0.66), "Se": (2.9, 100.0, 0.0), "Te": (2.01, 100.0, 0.0),
    "Sb": (1.25, 100.0, 0.0), "Si": (0.01, 100.0, 0.0), "I": (2.5, 3.6, 0.0),
    "Br": (2.5, 3.6, 0.0), "N": (2.0, 100.0, 0.365),
}  # fmt: skip
"""The same, where the element is oxidised (sulfates, tellurates, nitrates, ...): MP2020 corrects
anions only. Told by the oxygen atoms (a fluorine counts half) for each of its own: from, below,
shift in place of the one above."""

UNSHIFTED_BESIDE = {"Sb": {"S", "Se", "Te", "Cl", "Br"}, "Te": {"Cl"}}
"""Elements that are no anions in the company of these, and keep their energy."""

REPLACED_EV_PER_ATOM = {((51, 2), (52, 3)): -0.383}
"""Entries refuted since, on the MP2020 scale: the snapshot's Sb2Te3 lies 0.8 eV/atom below anything
known today and would drag every compound of antimony and tellurium up with it."""

PROTON_SHIFT_EV = 0.152
"""The same, for each hydrogen bound to something more electronegative (not in hydrides)."""

_PROTON_HOLDERS = {"N", "O", "F", "S", "Cl", "Br", "I"}

EXCLUDED = {
    **dict.fromkeys(("He", "Ne", "Ar", "Kr", "Xe"), "noble gas: next to no compounds on record"),
    **dict.fromkeys(("Pu", "Np", "Eu", "Gd"), "energies on record disagree by tenths of an eV"),
}
"""Elements the packaged set does not judge, and why."""

DESCRIPTION = (
    "Hull: Materials Project snapshot of about 2018 (matbench mp_e_form and CritExam, from the "
    "crabnet 2.0.8 wheel, MIT) shifted to the MP2020 scale. Elements: Materials Project reference "
    "entries of 2023-02-07. Crystals: Materials Project (Jain et al. 2013, "
    "doi:10.1063/1.4812323) and WBM (Wang et al. 2021, doi:10.1038/s41524-020-00481-6), both CC BY "
    "4.0."
)


def build_packaged_reference(
    crabnet_wheel: str | Path,
    data_dir: str | Path,
    out: str | Path,
    progress: Callable[[int], None] | None = None,
) -> ReferenceSet:
    """Rebuilds the packaged reference set.

    Args:
        crabnet_wheel: ``crabnet-2.0.8-py3-none-any.whl``.
        data_dir: Folder with the crystals (CSV) and the elemental reference entries.
        out: Folder to write.
        progress: Called with the number of crystals done, now and then.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or one of the crystals is unreadable.
    """
    data = Path(data_dir)
    entries = [entry for name in _CRYSTALS for entry in read_crystals(data / name)]
    crystals = []
    for name, crystal in entries:
        if isinstance(crystal, Unreadable):
            raise ValueError(f"{data}: {name}: {crystal.reason}")
        crystals.append((name, crystal))
    return build_reference(
        crystals,
        ((dict(key), energy) for key, energy in mp2020_hull_table(crabnet_wheel).items()),
        read_elemental_energies(data / _ELEMENTS),
        out,
        excluded=EXCLUDED,
        description=DESCRIPTION,
        progress=progress,
    )


def mp2020_hull_table(crabnet_wheel: str | Path) -> dict[tuple[tuple[int, int], ...], float]:
    """Lowest formation energy of each compound, eV/atom, on the MP2020 scale.

    Matbench's table comes first, since it is the later snapshot; CritExam's adds the compositions
    it lacks.
    """
    with zipfile.ZipFile(crabnet_wheel) as wheel:
        matbench = lowest_per_formula(_rows(wheel, _MATBENCH))
        critexam = lowest_per_formula(_rows(wheel, _CRITEXAM))
    snapshot = {**critexam, **matbench}
    shifted = {key: energy + mp2020_shift(dict(key)) for key, energy in snapshot.items()}
    return shifted | REPLACED_EV_PER_ATOM


def mp2020_shift(counts: Mapping[int, int]) -> float:
    """What takes a compound's formation energy from the snapshot's scale to MP2020, eV/atom."""
    amounts = {SYMBOLS[z]: n for z, n in counts.items()}
    oxygen = amounts.get("O", 0) + 0.5 * amounts.get("F", 0)
    shifts = dict(SHIFT_EV_PER_ATOM_OF_ELEMENT)
    if oxygen:
        shifts.update(OXIDE_SHIFT_EV_PER_ATOM_OF_ELEMENT)
    for symbol, (start, stop, shift) in OXIDISED_SHIFT_EV_PER_ATOM_OF_ELEMENT.items():
        if start <= oxygen / amounts.get(symbol, float("inf")) < stop:
            shifts[symbol] = shift
    shifts.update({s: 0.0 for s, others in UNSHIFTED_BESIDE.items() if others & amounts.keys()})
    if _PROTON_HOLDERS & amounts.keys():
        shifts["H"] = PROTON_SHIFT_EV
    total = sum(amounts.get(symbol, 0) * shift for symbol, shift in shifts.items())
    return total / sum(counts.values())


def _rows(
    wheel: zipfile.ZipFile, members: tuple[str, ...]
) -> Iterator[tuple[dict[int, int], float]]:
    for member in members:
        with wheel.open(member) as raw:
            for row in csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8")):
                yield parse_formula(row["formula"]), float(row["target"])
