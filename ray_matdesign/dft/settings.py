"""Settings of a calculation, common to all codes, and which of them its numbers depend on."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.settings import Settings


class JobflowSettings(Settings):
    """How VASP calculations are described and handed in, by atomate2 and jobflow."""

    maker: str = "atomate2.vasp.flows.mp:MPGGADoubleRelaxStaticMaker"
    """Import path of the maker; it is called without arguments, and its ``make`` with a pymatgen
    ``Structure``. The last job of the flow is the one that is read."""
    energy: str = "output.energy_per_atom"
    """Where in the last job's output the energy stands, eV/atom."""
    band_gap: str = "output.bandgap"
    """Where in the last job's output the band gap stands, eV; empty if there is none."""
    submit: Literal["local", "remote"] = "local"
    """``local`` runs the jobs here, one after another; ``remote`` hands them to jobflow-remote."""
    project: str = ""
    """Project of jobflow-remote; empty for its default one."""
    worker: str = ""
    """Worker of jobflow-remote; empty for the project's default one."""
    poll_s: PositiveFloat = 30.0
    """How often jobflow-remote is asked whether a flow has ended."""


class DftSettings(Settings):
    """One kind of calculation, with the same meaning in every code wherever it has one."""

    code: str = "gpaw"
    """Entry of ``CODES``, or an import path ``package.module:function``."""
    functional: Literal["lda", "pbe", "pbesol"] = "pbe"
    kpoint_spacing_per_ang: PositiveFloat = 0.25
    """Largest step of the Gamma-centred mesh; reciprocal lengths include 2 pi."""
    path_spacing_per_ang: NonNegativeFloat = 0.1
    """Largest step along the lattice's lines of high symmetry, where band edges are looked for
    besides the mesh; 0 leaves the lines out."""
    wavefunction_cutoff_ev: PositiveFloat = 500.0
    """Of plane waves (GPAW, Quantum ESPRESSO)."""
    density_cutoff_ev: PositiveFloat = 4000.0
    """Of the density in Quantum ESPRESSO, where ultrasoft potentials need eight times that of the
    waves."""
    grid_cutoff_ev: PositiveFloat = 2500.0
    """Of the real-space grid in PySCF."""
    basis: str = "gth-dzvp-molopt-sr"
    """PySCF's Gaussian basis; its GTH pseudopotentials follow the functional."""
    smearing_ev: PositiveFloat = 0.05
    """Width of the Fermi-Dirac occupations; energies are extrapolated to zero width."""
    spin: Literal["auto", "none", "collinear"] = "auto"
    """``auto`` polarises crystals with open d or f shells and those of an odd electron count."""
    energy_tolerance_ev: PositiveFloat = 1e-5
    """Change of the energy per atom below which the density counts as converged."""
    max_scf_steps: PositiveInt = 100
    symprec_ang: PositiveFloat = 0.01
    """Atoms this close to their symmetric places are put there, and the primitive cell is taken."""
    pseudopotentials: str = ""
    """Folder of UPF files or GPAW setups; empty for where the code keeps its own."""
    command: tuple[str, ...] = ("pw.x",)
    """How Quantum ESPRESSO is called, e.g. ``[mpirun, -n, 8, pw.x]``."""
    threads: PositiveInt = 1
    wall_clock_s: PositiveFloat = 7200.0
    """What all starts of one calculation may take together; it is killed at the end of it."""
    memory_mib: PositiveInt | None = None
    """Address space of each process; no limit without it."""
    concurrent: PositiveInt = 1
    """Calculations of one batch that run at the same time."""
    folder: str = ""
    """Where calculations are kept; empty for ``$XDG_CACHE_HOME/ray_matdesign/dft``."""
    jobflow: JobflowSettings = Field(default=JobflowSettings())
    """Only for code ``vasp``."""

    @model_validator(mode="after")
    def _grid_holds_density(self) -> Self:
        if self.density_cutoff_ev < 4.0 * self.wavefunction_cutoff_ev:
            raise ValueError(
                f"density_cutoff_ev ({self.density_cutoff_ev:g}) must be at least four times "
                f"wavefunction_cutoff_ev ({self.wavefunction_cutoff_ev:g})"
            )
        return self

    def numerics(self) -> dict[str, Any]:
        """The settings that numbers depend on, as JSON-like data; those of effort are left out.

        A calculation begun with less time, memory or company may go on with more.
        """
        effort = {"command", "threads", "wall_clock_s", "memory_mib", "concurrent", "folder"}
        kept = self.model_dump(mode="json", exclude=effort)
        if self.code != "vasp":
            del kept["jobflow"]
            return kept
        # VASP's numbers come from the maker's input set, not from the settings above.
        jobs = {k: kept["jobflow"][k] for k in ("maker", "energy", "band_gap")}
        return {"code": self.code, "symprec_ang": self.symprec_ang, "jobflow": jobs}
