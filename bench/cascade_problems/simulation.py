"""Simulation: energies and relaxations with ASE's effective medium theory and pair potentials."""

from __future__ import annotations

from random import Random
from typing import Any

from cascade_problems.crystals import extxyz
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("simulation")

METALS = {"Al": 3.99, "Cu": 3.61, "Ag": 4.06, "Au": 4.06, "Ni": 3.49, "Pd": 3.88, "Pt": 3.93}
"""Lattice constants of fcc metals near the minimum of effective medium theory, in Angstrom."""

EMT = "ASE's effective medium theory potential (EMT)"


def metal(rng: Random) -> dict[str, Any]:
    """A metal and a lattice constant near its own."""
    element = rng.choice(sorted(METALS))
    return {"element": element, "a": round(METALS[element] * rng.uniform(0.985, 1.015), 3)}


@BOOK.problem(
    "equation-of-state",
    functions="With ASE's `EMT` calculator and `ase.eos.EquationOfState(..., "
    "eos='birchmurnaghan')`, fit the energies of primitive fcc {element} at 7 lattice constants "
    "evenly spaced from 0.97 to 1.03 times {a} Angstrom, and give the bulk modulus.",
    goal="Fit a Birch-Murnaghan equation of state to the energies that " + EMT + " gives for fcc "
    "{element} at 7 lattice constants evenly spaced from 0.97 to 1.03 times {a} Angstrom. What is "
    "the bulk modulus?",
    answer_type="number",
    unit="GPa",
    tolerance=Tolerance(relative=0.01),
    packages=("ase",),
    draw=metal,
)
def equation_of_state(element: str, a: float) -> float:
    """Bulk modulus in GPa."""
    import numpy as np
    from ase.build import bulk
    from ase.calculators.emt import EMT as Calculator
    from ase.eos import EquationOfState
    from ase.units import GPa

    volumes, energies = [], []
    for scale in np.linspace(0.97, 1.03, 7):
        atoms = bulk(element, "fcc", a=a * scale)
        atoms.calc = Calculator()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    _, _, modulus = EquationOfState(volumes, energies, eos="birchmurnaghan").fit()
    return float(modulus / GPa)


def _alloy(rng: Random) -> dict[str, Any]:
    host, guest = rng.sample(("Cu", "Au", "Ag", "Ni", "Pd", "Pt"), 2)
    return {"host": host, "guest": guest}


def _ordered(host: str, guest: str, a: float) -> Any:
    """The L1_2 crystal host3 guest."""
    from ase.build import bulk

    atoms = bulk(host, "fcc", a=a, cubic=True)
    atoms.symbols[0] = guest
    return atoms


def _minimum(atoms: Any) -> tuple[float, float]:
    """Length of a cubic cell's edge, and energy, where its energy is lowest."""
    from ase.calculators.emt import EMT as Calculator
    from scipy.optimize import minimize_scalar

    start = atoms.cell.lengths()[0]

    def energy(edge: float) -> float:
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell * edge / start, scale_atoms=True)
        scaled.calc = Calculator()
        return float(scaled.get_potential_energy())

    found = minimize_scalar(
        energy, bounds=(0.9 * start, 1.1 * start), method="bounded", options={"xatol": 1e-6}
    )
    return float(found.x), float(found.fun)


@BOOK.problem(
    "alloy-lattice",
    functions="With ASE's `EMT` and `FrechetCellFilter` (or a scan of the cell), relax the cubic "
    "cell of the L1_2 alloy {host}3{guest}: `bulk({host!r}, cubic=True)` with one atom made "
    "{guest}. Give its lattice constant.",
    goal="What is the equilibrium lattice constant of the ordered alloy {host}3{guest} in the L1_2 "
    "structure with " + EMT + "?",
    answer_type="number",
    unit="A",
    tolerance=Tolerance(absolute=3e-3),
    packages=("ase", "scipy"),
    draw=_alloy,
)
def alloy_lattice(host: str, guest: str) -> float:
    """Lattice constant in Angstrom."""
    a, _ = _minimum(_ordered(host, guest, METALS[host]))
    return a


@BOOK.problem(
    "mixing-energy",
    functions="With ASE's `EMT`, relax the lattice constants of L1_2 {host}3{guest}, fcc {host} "
    "and fcc {guest}, and give the formation energy of the alloy per atom.",
    goal="What is the formation energy per atom of the ordered alloy {host}3{guest} (L1_2) from "
    "the fcc metals, each at its own equilibrium lattice constant, with " + EMT + "?",
    answer_type="number",
    unit="eV/atom",
    tolerance=Tolerance(absolute=5e-4),
    packages=("ase", "scipy"),
    draw=_alloy,
)
def mixing_energy(host: str, guest: str) -> float:
    """Formation energy in eV an atom."""
    from ase.build import bulk

    _, alloy = _minimum(_ordered(host, guest, METALS[host]))
    pure = {
        metal: _minimum(bulk(metal, "fcc", a=METALS[metal], cubic=True))[1] / 4
        for metal in (host, guest)
    }
    return alloy / 4 - 0.75 * pure[host] - 0.25 * pure[guest]


def _vacancy(rng: Random) -> dict[str, Any]:
    return metal(rng) | {"repeats": rng.choice((2, 3))}


@BOOK.problem(
    "vacancy-energy",
    functions="With ASE's `EMT`, build `bulk({element!r}, 'fcc', a={a}, cubic=True)` repeated "
    "{repeats} times along each axis, delete one atom, relax positions with `BFGS` to fmax = "
    "0.01 eV/A at fixed cell, and give E(N-1) - (N-1)/N E(N).",
    goal="What is the formation energy of a vacancy in fcc {element} at the lattice constant {a} "
    "Angstrom, in a cubic cell of {repeats} x {repeats} x {repeats} conventional cells, with "
    + EMT
    + "? The cell is fixed, the atoms are relaxed to 0.01 eV/A.",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(absolute=5e-3),
    packages=("ase",),
    draw=_vacancy,
)
def vacancy_energy(element: str, a: float, repeats: int) -> float:
    """Formation energy in eV."""
    from ase.build import bulk
    from ase.calculators.emt import EMT as Calculator
    from ase.optimize import BFGS

    atoms = bulk(element, "fcc", a=a, cubic=True) * (repeats, repeats, repeats)
    atoms.calc = Calculator()
    perfect = atoms.get_potential_energy()
    count = len(atoms)
    del atoms[0]
    atoms.calc = Calculator()
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=200)
    return float(atoms.get_potential_energy() - (count - 1) / count * perfect)


def _moving(rng: Random) -> dict[str, Any]:
    return {
        "element": rng.choice(("Cu", "Ag", "Au", "Ni", "Pd", "Pt")),
        "kelvin": rng.choice((200, 300, 400, 600)),
        "seed": rng.randrange(10**6),
        "steps": rng.randint(20, 50),
    }


def _moving_file(element: str, kelvin: int, seed: int, steps: int) -> dict[str, str]:
    import numpy as np
    from ase.build import bulk
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

    atoms = bulk(element, "fcc", a=METALS[element], cubic=True) * (2, 2, 2)
    MaxwellBoltzmannDistribution(atoms, temperature_K=kelvin, rng=np.random.default_rng(seed))
    return {"start.xyz": extxyz([atoms])}


@BOOK.problem(
    "molecular-dynamics",
    functions="start.xyz holds positions and momenta. With ASE's `EMT` and `VelocityVerlet` with "
    "a time step of 2 fs, run {steps} steps and give `get_temperature()`.",
    goal="start.xyz holds a crystal with the momenta of its atoms. Which instantaneous temperature "
    "(3 N degrees of freedom) does it have after {steps} steps of 2 fs at constant energy "
    "(velocity Verlet), with " + EMT + "?",
    answer_type="number",
    unit="K",
    tolerance=Tolerance(absolute=0.5),
    packages=("ase",),
    draw=_moving,
    files=_moving_file,
)
def molecular_dynamics(element: str, kelvin: int, seed: int, steps: int) -> float:
    """Temperature in K."""
    from io import StringIO

    from ase.calculators.emt import EMT as Calculator
    from ase.io import read
    from ase.md.verlet import VelocityVerlet
    from ase.units import fs

    text = _moving_file(element, kelvin, seed, steps)["start.xyz"]
    atoms = read(StringIO(text), format="extxyz")
    atoms.calc = Calculator()
    VelocityVerlet(atoms, timestep=2 * fs).run(steps)
    return float(atoms.get_temperature())


def _pair(rng: Random) -> dict[str, Any]:
    return {
        "epsilon": round(rng.uniform(0.005, 0.05), 4),
        "sigma": round(rng.uniform(2.5, 3.8), 3),
        "count": rng.choice((3, 4, 7, 13)),
    }


_MINIMA = {
    3: ((0, 0, 0), (1, 0, 0), (0.5, 0.87, 0)),
    4: ((0, 0, 0), (1, 0, 0), (0.5, 0.87, 0), (0.5, 0.29, 0.82)),
    7: ((0, 0, 0.54), (0, 0, -0.54), (0.85, 0, 0), (0.263, 0.809, 0), (-0.688, 0.5, 0),
        (-0.688, -0.5, 0), (0.263, -0.809, 0)),
    13: ((0, 0, 0), (0, 0.53, 0.85), (0, 0.53, -0.85), (0, -0.53, 0.85), (0, -0.53, -0.85),
         (0.53, 0.85, 0), (0.53, -0.85, 0), (-0.53, 0.85, 0), (-0.53, -0.85, 0),
         (0.85, 0, 0.53), (0.85, 0, -0.53), (-0.85, 0, 0.53), (-0.85, 0, -0.53)),
}  # fmt: skip
"""Near the lowest minima of clusters: triangle, tetrahedron, pentagonal bipyramid, icosahedron."""


def _cluster_file(epsilon: float, sigma: float, count: int) -> dict[str, str]:
    import numpy as np
    from ase import Atoms

    positions = 1.12 * sigma * np.array(_MINIMA[count], dtype=float)
    return {"cluster.xyz": extxyz([Atoms(f"Ar{count}", positions)])}


@BOOK.problem(
    "cluster-energy",
    functions="With ASE's `LennardJones(epsilon={epsilon}, sigma={sigma}, rc=100)` and `BFGS`, "
    "relax cluster.xyz to fmax = 1e-4 eV/A and give the energy.",
    goal="Relax the cluster in cluster.xyz with a Lennard-Jones potential of depth {epsilon} eV "
    "and sigma = {sigma} Angstrom that is not cut off (nor shifted). What is the energy of the "
    "minimum?",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(relative=1e-3),
    packages=("ase",),
    draw=_pair,
    files=_cluster_file,
)
def cluster_energy(epsilon: float, sigma: float, count: int) -> float:
    """Energy in eV."""
    from io import StringIO

    from ase.calculators.lj import LennardJones
    from ase.io import read
    from ase.optimize import BFGS

    text = _cluster_file(epsilon, sigma, count)["cluster.xyz"]
    atoms = read(StringIO(text), format="extxyz")
    atoms.calc = LennardJones(epsilon=epsilon, sigma=sigma, rc=100)
    BFGS(atoms, logfile=None).run(fmax=1e-4, steps=500)
    return float(atoms.get_potential_energy())


@BOOK.problem(
    "cubic-constants",
    functions="With ASE's `EMT`, compute C11, C12 and C44 of fcc {element} at a = {a} Angstrom "
    "from `get_stress()` under strains of +0.002 and -0.002 (central differences): a dictionary "
    "with the keys c11, c12, c44.",
    goal="Which elastic constants C11, C12 and C44 (keys c11, c12, c44) does " + EMT + " give fcc "
    "{element} at the lattice constant {a} Angstrom? They are the derivatives of the stress with "
    "respect to small strain at that very lattice constant.",
    answer_type="object",
    unit="GPa",
    tolerance=Tolerance(absolute=1.0, relative=0.01),
    packages=("ase",),
    draw=metal,
)
def cubic_constants(element: str, a: float) -> dict[str, float]:
    """Constants in GPa."""
    import numpy as np
    from ase.build import bulk
    from ase.calculators.emt import EMT as Calculator
    from ase.units import GPa

    def stress(strain: Any) -> Any:
        atoms = bulk(element, "fcc", a=a, cubic=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        atoms.calc = Calculator()
        return atoms.get_stress()

    size, stretched, sheared = 0.002, np.zeros((3, 3)), np.zeros((3, 3))
    stretched[0, 0] = size
    sheared[1, 2] = sheared[2, 1] = size / 2
    along = (stress(stretched) - stress(-stretched)) / (2 * size * GPa)
    across = (stress(sheared) - stress(-sheared)) / (2 * size * GPa)
    return {"c11": float(along[0]), "c12": float(along[1]), "c44": float(across[3])}
