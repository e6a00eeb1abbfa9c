"""Simulation: vibrations of crystals and molecules, and what follows for their thermodynamics."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

from cascade_problems.simulation import EMT, METALS
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("simulation")

_POINTS = {"X": [0.5, 0.0, 0.5], "L": [0.5, 0.5, 0.5]}
"""In the primitive reciprocal basis of an fcc crystal."""


def _zone(rng: Random) -> dict[str, Any]:
    element = rng.choice(sorted(METALS))
    a = round(METALS[element] * rng.uniform(0.99, 1.01), 3)
    return {"element": element, "a": a, "point": rng.choice(sorted(_POINTS))}


def _phonons(element: str, a: float, repeats: int = 3) -> Any:
    """Phonopy's force constants of an fcc crystal, from displacements of 0.01 Angstrom."""
    import numpy as np
    from ase import Atoms
    from ase.build import bulk
    from ase.calculators.emt import EMT as Calculator
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = bulk(element, "fcc", a=a)
    primitive = PhonopyAtoms(
        symbols=[element], cell=cell.cell.array, scaled_positions=[[0.0, 0.0, 0.0]]
    )
    phonons = Phonopy(primitive, repeats * np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    phonons.generate_displacements(distance=0.01)
    forces = []
    for moved in phonons.supercells_with_displacements:
        atoms = Atoms(
            moved.symbols, scaled_positions=moved.scaled_positions, cell=moved.cell, pbc=True
        )
        atoms.calc = Calculator()
        forces.append(atoms.get_forces())
    phonons.forces = forces
    phonons.produce_force_constants()
    return phonons


@BOOK.problem(
    "zone-boundary-phonon",
    functions="With ASE's `EMT` and phonopy (supercell of 3 x 3 x 3 primitive cells, "
    "displacement 0.01 Angstrom), compute the phonons of fcc {element} at a = {a} Angstrom and "
    "give the highest frequency at the {point} point of the Brillouin zone.",
    goal="How high is the highest phonon frequency of fcc {element} (lattice constant {a} "
    "Angstrom) at the {point} point, from finite displacements of 0.01 Angstrom in a supercell "
    "of 3 x 3 x 3 primitive cells, with " + EMT + "?",
    answer_type="number",
    unit="THz",
    tolerance=Tolerance(absolute=0.03),
    packages=("ase", "phonopy"),
    draw=_zone,
)
def zone_boundary_phonon(element: str, a: float, point: str) -> float:
    """Frequency in THz."""
    import numpy as np

    found = _phonons(element, a).run_qpoints([_POINTS[point]])
    return float(np.max(found.frequencies[0]))


def _warm(rng: Random) -> dict[str, Any]:
    element = rng.choice(sorted(METALS))
    a = round(METALS[element] * rng.uniform(0.99, 1.01), 3)
    return {"element": element, "a": a, "kelvin": rng.randrange(40, 200, 10)}


@BOOK.problem(
    "heat-capacity",
    functions="With ASE's `EMT` and phonopy (supercell of 3 x 3 x 3 primitive cells, "
    "displacement 0.01 Angstrom, `run_mesh([12, 12, 12])`, `run_thermal_properties`), compute "
    "the harmonic heat capacity of fcc {element} (a = {a} Angstrom) at {kelvin} K.",
    goal="What is the harmonic heat capacity at constant volume, per mole of atoms, of fcc "
    "{element} (lattice constant {a} Angstrom) at {kelvin} K, with " + EMT + "? Take force "
    "constants from a supercell of 3 x 3 x 3 primitive cells and a 12 x 12 x 12 mesh.",
    answer_type="number",
    unit="J/K/mol",
    tolerance=Tolerance(absolute=0.1),
    packages=("ase", "phonopy"),
    draw=_warm,
)
def heat_capacity(element: str, a: float, kelvin: int) -> float:
    """Heat capacity in J/K/mol."""
    phonons = _phonons(element, a)
    phonons.run_mesh([12, 12, 12])
    phonons.run_thermal_properties(temperatures=[float(kelvin)])
    return float(phonons.thermal_properties.heat_capacity[0])


def _dimer(rng: Random) -> dict[str, Any]:
    return {"first": rng.choice(("Cu", "Ag", "Au", "Ni")), "second": rng.choice(("Pd", "Pt", "Al"))}


@BOOK.problem(
    "dimer-frequency",
    functions="With ASE's `EMT`, `BFGS` (fmax = 0.001) and `ase.vibrations.Vibrations`, relax "
    "the dimer {first}{second} from a distance of 2.4 Angstrom and give its stretching frequency.",
    goal="At which wavenumber does the free dimer {first}{second} vibrate about its equilibrium "
    "with " + EMT + ", in the harmonic approximation and with the standard atomic masses?",
    answer_type="number",
    unit="1/cm",
    tolerance=Tolerance(relative=0.01),
    packages=("ase",),
    draw=_dimer,
)
def dimer_frequency(first: str, second: str) -> float:
    """Wavenumber in 1/cm."""
    from ase import Atoms
    from ase.calculators.emt import EMT as Calculator
    from ase.optimize import BFGS
    from ase.vibrations import Vibrations

    dimer = Atoms([first, second], [(0, 0, 0), (0, 0, 2.4)])
    dimer.calc = Calculator()
    BFGS(dimer, logfile=None).run(fmax=0.001, steps=200)
    with tempfile.TemporaryDirectory() as folder:
        vibrations = Vibrations(dimer, name=str(Path(folder) / "dimer"))
        vibrations.run()
        return float(vibrations.get_frequencies()[-1].real)


def _gas(rng: Random) -> dict[str, Any]:
    return {
        "wavenumbers": sorted(round(rng.uniform(150, 3600), 1) for _ in range(3)),
        "kelvin": rng.randrange(300, 1000, 25),
        "bar": round(rng.uniform(0.1, 20.0), 2),
    }


@BOOK.problem(
    "gas-free-energy",
    functions="With ASE's `IdealGasThermo` (`geometry='nonlinear'`, `symmetrynumber=2`, "
    "`spin=0`, atoms `ase.build.molecule('H2O')`, potential energy 0), compute the Gibbs free "
    "energy at {kelvin} K and {bar} bar for vibrations of {wavenumbers} 1/cm.",
    goal="What is the Gibbs free energy of one molecule with the geometry of ASE's H2O (nonlinear, "
    "symmetry number 2, singlet), the vibrational wavenumbers {wavenumbers} 1/cm and an electronic "
    "energy of 0, as an ideal gas at {kelvin} K and {bar} bar? Include the zero-point energy.",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(absolute=2e-3),
    packages=("ase",),
    draw=_gas,
)
def gas_free_energy(wavenumbers: list[float], kelvin: int, bar: float) -> float:
    """Gibbs free energy in eV."""
    from ase.build import molecule
    from ase.thermochemistry import IdealGasThermo
    from ase.units import invcm

    gas = IdealGasThermo(
        vib_energies=[wavenumber * invcm for wavenumber in wavenumbers],
        geometry="nonlinear",
        potentialenergy=0.0,
        atoms=molecule("H2O"),
        symmetrynumber=2,
        spin=0,
    )
    return float(gas.get_gibbs_energy(temperature=kelvin, pressure=bar * 1e5, verbose=False))
