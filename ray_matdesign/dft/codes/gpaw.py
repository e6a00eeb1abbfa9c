"""GPAW: projector-augmented waves in a plane-wave basis (Mortensen et al., JCP 160, 092503 (2024)).

Its PAW datasets come with the package ``gpaw-data``, which GPAW requires.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ray_matdesign.crystals.convert import to_ase
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
from ray_matdesign.dft.result import DftError, DftResult, NotConverged

Calculator = Any
"""GPAW's calculator, which carries no types."""

_FUNCTIONALS = {"lda": "LDA", "pbe": "PBE", "pbesol": "PBEsol"}
# GPAW generates no setups for PBEsol; its manual uses those of PBE.
_SETUPS = {"lda": "LDA", "pbe": "PBE", "pbesol": "PBE"}
_STATE = "density.gpw"
_SAVE_EVERY = 5


def run(task: Task) -> DftResult:
    """Energy and gap by GPAW; goes on from the density of an earlier start."""
    try:
        import gpaw
    except ModuleNotFoundError as error:
        raise DftError("not installed here: pip install gpaw (wants libxc and BLAS)") from error

    settings = task.settings
    if settings.pseudopotentials:
        gpaw.setup_paths.insert(0, settings.pseudopotentials)
    electrons = _valence_electrons(task)
    polarised = is_polarised(task.crystal, settings.spin, electrons)
    bands = band_count(electrons)
    try:
        ground, energy_ev, steps = _ground_state(task, polarised, bands)
        lines = _levels_along_lines(ground, task, bands)
    except gpaw.KohnShamConvergenceError as error:
        raise NotConverged(f"not converged in {settings.max_scf_steps} steps") from error
    gap = band_gap(_levels(ground), float(ground.get_fermi_level()), lines)
    return DftResult(
        energy_ev_per_atom=energy_ev / len(task.crystal),
        band_gap_ev=gap.fundamental_ev,
        direct_gap_ev=gap.direct_ev,
        magnetization_mu_b=float(ground.get_magnetic_moment()) if polarised else None,
        scf_steps=steps,
        program=f"GPAW {gpaw.__version__}",
    )


def _ground_state(task: Task, polarised: bool, bands: int) -> tuple[Calculator, float, int]:
    """The self-consistent calculator, its energy (eV) and the steps this start took."""
    import gpaw

    calculator: Calculator
    state = task.folder / _STATE
    atoms = to_ase(task.crystal)
    if polarised:
        atoms.set_initial_magnetic_moments(initial_moments(task.crystal))
    if state.exists():
        calculator = gpaw.GPAW(str(state), txt=str(task.folder / "gpaw.txt"))
        atoms = calculator.get_atoms()
    else:
        calculator = gpaw.GPAW(**_parameters(task, polarised, bands))
        atoms.calc = calculator
    steps = 0
    for context in calculator.icalculate(atoms):
        steps = context.niter
        if steps % _SAVE_EVERY == 0:
            _save(calculator, state)
    energy = float(atoms.get_potential_energy())
    if steps:
        _save(calculator, state)
    return calculator, energy, steps


def _parameters(task: Task, polarised: bool, bands: int) -> dict[str, Any]:
    settings = task.settings
    mesh = kpoint_mesh(task.crystal, settings.kpoint_spacing_per_ang)
    return {
        "mode": {"name": "pw", "ecut": settings.wavefunction_cutoff_ev},
        "xc": _FUNCTIONALS[settings.functional],
        "kpts": {"size": mesh, "gamma": True},
        "occupations": {"name": "fermi-dirac", "width": settings.smearing_ev},
        "spinpol": polarised,
        "nbands": bands,
        "convergence": {"energy": settings.energy_tolerance_ev},
        "maxiter": settings.max_scf_steps,
        "txt": str(task.folder / "gpaw.txt"),
    }


def _levels_along_lines(ground: Calculator, task: Task, bands: int) -> Levels | None:
    points = symmetry_lines(task.crystal, task.settings.path_spacing_per_ang)
    if not len(points):
        return None
    # The topmost bands converge slowly and are never the band edge.
    fixed = ground.fixed_density(
        kpts=points,
        symmetry="off",
        nbands=bands,
        convergence={"bands": bands - 2},
        txt=str(task.folder / "lines.txt"),
    )
    return _levels(fixed)


def _levels(calculator: Calculator) -> Levels:
    points = range(len(calculator.get_ibz_k_points()))
    spins = range(calculator.get_number_of_spins())
    return np.array([[calculator.get_eigenvalues(kpt=k, spin=s) for k in points] for s in spins])


def _valence_electrons(task: Task) -> int:
    from gpaw import setup_data

    read: Any = setup_data.SetupData
    total = 0
    for z, count in task.crystal.counts.items():
        try:
            setup = read(SYMBOLS[z], _SETUPS[task.settings.functional])
        except FileNotFoundError as error:
            raise DftError(f"no PAW dataset for {SYMBOLS[z]}") from error
        total += count * int(setup.Nv)
    return total


def _save(calculator: Calculator, state: Path) -> None:
    """Density and waves, so that the next start goes on; whole or not at all."""
    scratch = state.with_name(f"partial-{state.name}")
    calculator.write(str(scratch), mode="all")
    scratch.replace(state)
