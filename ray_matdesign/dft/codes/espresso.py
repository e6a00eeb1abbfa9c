"""Quantum ESPRESSO's pw.x (Giannozzi et al., J. Phys.: Condens. Matter 29, 465901 (2017)).

Results come from the XML file that pw.x leaves (6.0 and later).
"""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.dft.bands import Levels, band_gap
from ray_matdesign.dft.cells import (
    band_count,
    initial_moments,
    is_polarised,
    kpoint_mesh,
    symmetry_lines,
)
from ray_matdesign.dft.code import Task
from ray_matdesign.dft.codes.upf import Pseudopotential, find_pseudopotentials
from ray_matdesign.dft.result import DftError, DftResult, NotConverged

HARTREE_EV = 27.211386245988
RYDBERG_EV = HARTREE_EV / 2.0
"""CODATA 2018."""

_PREFIX = "crystal"
_SHARED = "/usr/share/espresso/pseudo"
"""Where Debian and its kin put pseudopotentials."""
_SHARE_OF_TIME = 0.95
"""Of what is left: pw.x stops by itself then, and writes what a restart needs."""


def run(task: Task) -> DftResult:
    """Energy and gap by pw.x; goes on from an interrupted run of its own."""
    chosen = find_pseudopotentials(_folder(task), task.crystal.counts, task.settings.functional)
    electrons = round(
        sum(chosen[SYMBOLS[z]].valence * count for z, count in task.crystal.counts.items())
    )
    polarised = is_polarised(task.crystal, task.settings.spin, electrons)
    bands = band_count(electrons)
    ground = _ground_state(task, chosen, polarised, bands)
    lines = _levels_along_lines(task, chosen, polarised, bands)
    gap = band_gap(ground.levels, ground.fermi_ev, lines)
    return DftResult(
        energy_ev_per_atom=ground.energy_ev / len(task.crystal),
        band_gap_ev=gap.fundamental_ev,
        direct_gap_ev=gap.direct_ev,
        magnetization_mu_b=ground.magnetization_mu_b if polarised else None,
        scf_steps=ground.steps,
        program=ground.program,
    )


@dataclass(frozen=True)
class _Output:
    """What is read of pw.x's XML file; energies in eV."""

    energy_ev: float
    fermi_ev: float
    levels: Levels
    magnetization_mu_b: float
    steps: int
    program: str


def _ground_state(
    task: Task, chosen: dict[str, Pseudopotential], polarised: bool, bands: int
) -> _Output:
    record, live = task.folder / "ground.xml", _record(task)
    if not record.exists():
        mode = "restart" if live.exists() else "from_scratch"
        mesh = kpoint_mesh(task.crystal, task.settings.kpoint_spacing_per_ang)
        sampling = "K_POINTS automatic\n{} {} {} 0 0 0".format(*mesh)
        _call(task, "scf", _input(task, chosen, polarised, bands, ("scf", mode), sampling))
        write_atomic(record, live.read_bytes())
    return _read(record)


def _levels_along_lines(
    task: Task, chosen: dict[str, Pseudopotential], polarised: bool, bands: int
) -> Levels | None:
    points = symmetry_lines(task.crystal, task.settings.path_spacing_per_ang)
    if not len(points):
        return None
    rows = "\n".join(f"{x:.10f} {y:.10f} {z:.10f} 1.0" for x, y, z in points)
    sampling = f"K_POINTS crystal\n{len(points)}\n{rows}"
    mode = ("bands", "from_scratch")
    _call(task, "bands", _input(task, chosen, polarised, bands, mode, sampling))
    return _read(_record(task)).levels


def _record(task: Task) -> Path:
    return task.folder / f"{_PREFIX}.save" / "data-file-schema.xml"


def _input(
    task: Task,
    chosen: dict[str, Pseudopotential],
    polarised: bool,
    bands: int,
    mode: tuple[str, str],
    sampling: str,
) -> str:
    settings, crystal = task.settings, task.crystal
    symbols = [SYMBOLS[z] for z in crystal.counts]
    numbers = [repr(float(x)) for x in crystal.lattice.ravel()]
    system: dict[str, object] = {
        "ibrav": "0",
        "nat": len(crystal),
        "ntyp": len(symbols),
        "nbnd": bands,
        "ecutwfc": settings.wavefunction_cutoff_ev / RYDBERG_EV,
        "ecutrho": settings.density_cutoff_ev / RYDBERG_EV,
        "occupations": "'smearing'",
        "smearing": "'fermi-dirac'",
        "degauss": settings.smearing_ev / RYDBERG_EV,
    }
    if polarised:
        system["nspin"] = 2
        moments = dict(zip(crystal.numbers.tolist(), initial_moments(crystal), strict=True))
        for index, z in enumerate(crystal.counts, start=1):
            share = min(1.0, moments[z] / chosen[SYMBOLS[z]].valence)
            system[f"starting_magnetization({index})"] = share
    control: dict[str, object] = {
        "calculation": f"'{mode[0]}'",
        "restart_mode": f"'{mode[1]}'",
        "prefix": f"'{_PREFIX}'",
        "outdir": "'.'",
        "pseudo_dir": f"'{_folder(task)}'",
        "max_seconds": max(1.0, _SHARE_OF_TIME * task.seconds_left),
    }
    electrons: dict[str, object] = {
        "conv_thr": settings.energy_tolerance_ev * len(crystal) / RYDBERG_EV,
        "electron_maxstep": settings.max_scf_steps,
    }
    blocks = {"control": control, "system": system, "electrons": electrons}
    text = "".join(_namelist(name, values) for name, values in blocks.items())
    masses = (f"{s} 1.0 {chosen[s].path.name}" for s in symbols)
    atoms = (
        f"{SYMBOLS[z]} {x:.12f} {y:.12f} {w:.12f}"
        for z, (x, y, w) in zip(crystal.numbers.tolist(), crystal.frac_coords, strict=True)
    )
    rows = (" ".join(numbers[i : i + 3]) for i in (0, 3, 6))
    parts = ["ATOMIC_SPECIES", *masses, "ATOMIC_POSITIONS crystal", *atoms]
    return text + "\n".join([*parts, "CELL_PARAMETERS angstrom", *rows, sampling]) + "\n"


def _namelist(name: str, values: Mapping[str, object]) -> str:
    lines = "".join(f"  {key} = {value}\n" for key, value in values.items())
    return f"&{name}\n{lines}/\n"


def _call(task: Task, kind: str, text: str) -> None:
    """Runs pw.x on an input.

    Raises:
        NotConverged: The density did not settle within the steps allowed.
        DftError: pw.x is missing, stopped for lack of time, or stopped with an error of its own.
    """
    write_atomic(task.folder / f"{kind}.in", text)
    command = [*task.settings.command, "-in", f"{kind}.in"]
    try:
        process = subprocess.run(
            command, cwd=task.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise DftError(f"there is no program {command[0]!r} here; set command") from error
    write_atomic(task.folder / f"{kind}.out", process.stdout)
    output = process.stdout
    if "convergence NOT achieved" in output:
        raise NotConverged(f"not converged in {task.settings.max_scf_steps} steps")
    if "Maximum CPU time exceeded" in output:
        raise DftError(f"out of time: stopped within wall_clock_s={task.settings.wall_clock_s:.0f}")
    if "JOB DONE" not in output:
        raise DftError(f"pw.x ended with status {process.returncode}: {_complaint(process)}")


def _complaint(process: subprocess.CompletedProcess[str]) -> str:
    """The error pw.x printed between its lines of percent signs, or else its last line."""
    framed = re.search(r"%%%+\s*(.*?)\s*%%%+", process.stdout, re.DOTALL)
    lines = (process.stdout + process.stderr).strip().splitlines() or ["it printed nothing"]
    return re.sub(r"\s+", " ", framed.group(1) if framed else lines[-1])[:200]


def _folder(task: Task) -> Path:
    """Of the pseudopotentials: the setting, ``$ESPRESSO_PSEUDO``, or where distributions put them.

    Raises:
        DftError: There is none.
    """
    candidates = [task.settings.pseudopotentials, os.environ.get("ESPRESSO_PSEUDO", ""), _SHARED]
    for candidate in filter(None, candidates):
        if Path(candidate).is_dir():
            return Path(candidate).absolute()
    raise DftError("no folder of pseudopotentials: set pseudopotentials or ESPRESSO_PSEUDO")


def _read(path: Path) -> _Output:
    """Reads the XML file of pw.x, which counts energies in Hartree."""
    root = ElementTree.parse(path).getroot()
    bands = _find(root, "output/band_structure")
    levels = [
        [float(x) for x in (_find(point, "eigenvalues").text or "").split()]
        for point in bands.findall("ks_energies")
    ]
    spins = 2 if _find(bands, "lsda").text == "true" else 1
    # With two spins the levels of each k-point are all of spin up, then all of spin down.
    array = np.array(levels).reshape(len(levels), spins, -1).swapaxes(0, 1)
    energy = _find(root, "output/total_energy")
    smearing = energy.find("demet")
    free = float(_find(energy, "etot").text or "nan")
    entropy = float(smearing.text or "nan") if smearing is not None else 0.0
    moment = root.find("output/magnetization/total")
    creator = _find(root, "general_info/creator")
    return _Output(
        # F and E = F + TS extrapolate to zero width at their mean.
        energy_ev=(free - 0.5 * entropy) * HARTREE_EV,
        fermi_ev=float(_find(bands, "fermi_energy").text or "nan") * HARTREE_EV,
        levels=array * HARTREE_EV,
        magnetization_mu_b=float(moment.text or "nan") if moment is not None else 0.0,
        steps=int(_find(root, "output/convergence_info/scf_conv/n_scf_steps").text or 0),
        program=f"Quantum ESPRESSO {creator.get('VERSION')}",
    )


def _find(node: ElementTree.Element, path: str) -> ElementTree.Element:
    found = node.find(path)
    if found is None:
        raise DftError(f"the XML file of pw.x has no {path}; versions from 6.0 on do")
    return found
