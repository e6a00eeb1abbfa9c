"""PySCF's periodic code: Gaussians and GTH pseudopotentials (Sun et al., JCP 153, 024109 (2020)).

It installs with nothing but pip, and it is slow: a choice for small cells and for tests. Crystals
that need spin are refused, because PySCF looks for the moments' arrangement only by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.dft.bands import Levels, band_gap
from ray_matdesign.dft.cells import is_polarised, kpoint_mesh, symmetry_lines
from ray_matdesign.dft.code import Task
from ray_matdesign.dft.result import DftError, DftResult, NotConverged

if TYPE_CHECKING:
    from pyscf.pbc.gto import Cell

HARTREE_EV = 27.211386245988
"""CODATA 2018."""

_FUNCTIONALS = {"lda": ("lda,pw", "gth-pade"), "pbe": ("pbe", "gth-pbe")}
"""Functional and pseudopotentials; PySCF ships none for PBEsol."""
_STATE = "density.chk"


def run(task: Task) -> DftResult:
    """Energy and gap by PySCF; goes on from the density of an earlier start."""
    try:
        import pyscf
    except ModuleNotFoundError as error:
        raise DftError("not installed here: pip install pyscf") from error

    cell = _cell(task)
    if is_polarised(task.crystal, task.settings.spin, int(cell.nelectron)):
        raise DftError("treats only crystals without spin; choose gpaw or espresso")
    ground = _ground_state(task, cell)
    points = symmetry_lines(task.crystal, task.settings.path_spacing_per_ang)
    lines = None
    if len(points):
        energies, _ = ground.get_bands(cell.get_abs_kpts(points))
        lines = np.array([energies]) * HARTREE_EV
    levels, fermi_ev = _levels(ground)
    gap = band_gap(levels, fermi_ev, lines)
    return DftResult(
        energy_ev_per_atom=float(ground.e_zero) * HARTREE_EV / len(task.crystal),
        band_gap_ev=gap.fundamental_ev,
        direct_gap_ev=gap.direct_ev,
        magnetization_mu_b=None,
        scf_steps=int(ground.cycles),
        program=f"PySCF {pyscf.__version__}",
    )


def _cell(task: Task) -> Cell:
    from pyscf.lib.exceptions import BasisNotFoundError
    from pyscf.pbc import gto

    settings, crystal = task.settings, task.crystal
    if settings.functional not in _FUNCTIONALS:
        raise DftError(f"has no pseudopotentials for functional {settings.functional}")
    atoms = list(zip((SYMBOLS[z] for z in crystal.numbers), crystal.positions, strict=True))
    try:
        return gto.M(
            atom=atoms,
            a=crystal.lattice,
            unit="Angstrom",
            basis=settings.basis,
            pseudo=_FUNCTIONALS[settings.functional][1],
            ke_cutoff=settings.grid_cutoff_ev / HARTREE_EV,
            precision=1e-6,
            spin=None,
            space_group_symmetry=True,
            symmorphic=False,
            verbose=4,
            output=str(task.folder / "pyscf.txt"),
        )
    except BasisNotFoundError as error:
        raise DftError(f"no basis {settings.basis} or no pseudopotential: {error}") from error


def _ground_state(task: Task, cell: Cell) -> Any:
    """The converged mean field."""
    from pyscf.pbc import dft
    from pyscf.pbc.dft.multigrid import MultiGridNumInt

    settings = task.settings
    mesh = kpoint_mesh(task.crystal, settings.kpoint_spacing_per_ang)
    kpoints = cell.make_kpts(mesh, space_group_symmetry=True, time_reversal_symmetry=True)
    field = dft.KRKS(cell, kpoints, xc=_FUNCTIONALS[settings.functional][0])
    field._numint = MultiGridNumInt(cell)
    field = field.smearing(sigma=settings.smearing_ev / HARTREE_EV, method="fermi")
    field.conv_tol = settings.energy_tolerance_ev * len(task.crystal) / HARTREE_EV
    field.max_cycle = settings.max_scf_steps
    state = task.folder / _STATE
    start = field.from_chk(str(state)) if state.exists() else None
    field.chkfile = str(state)
    field.kernel(dm0=start)
    if not field.converged:
        raise NotConverged(f"not converged in {settings.max_scf_steps} steps")
    return field


def _levels(ground: Any) -> tuple[Levels, float]:
    """Levels on the mesh and a Fermi level, eV.

    The Fermi level is put half way between the levels more and less than half filled: where exactly
    it lies between them counts for nothing.
    """
    energies = np.array(ground.mo_energy) * HARTREE_EV
    filled = np.array(ground.mo_occ) > 1.0
    return energies[None], float(energies[filled].max() + energies[~filled].min()) / 2.0
