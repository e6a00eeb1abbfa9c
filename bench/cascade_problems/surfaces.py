"""Simulation: surfaces of metals, and atoms on them, with ASE's effective medium theory."""

from __future__ import annotations

from random import Random
from typing import Any

from cascade_problems.simulation import EMT, METALS, metal
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("simulation")


def _slab(rng: Random) -> dict[str, Any]:
    return metal(rng) | {"facet": rng.choice(("100", "110", "111")), "layers": rng.randint(5, 8)}


@BOOK.problem(
    "surface-energy",
    functions="With ASE's `EMT` and `ase.build.fcc{facet}({element!r}, (1, 1, {layers}), a={a}, "
    "vacuum=10)`, compute the surface energy of the unrelaxed slab, (E_slab - N E_bulk) / 2A, with "
    "the bulk at the same lattice constant.",
    goal="What is the surface energy of the unrelaxed ({facet}) surface of fcc {element} at the "
    "lattice constant {a} Angstrom, from a slab of {layers} layers, with " + EMT + "?",
    answer_type="number",
    unit="J/m^2",
    tolerance=Tolerance(relative=5e-3),
    packages=("ase",),
    draw=_slab,
)
def surface_energy(element: str, a: float, facet: str, layers: int) -> float:
    """Surface energy in J/m^2."""
    import ase.build
    import numpy as np
    from ase.calculators.emt import EMT as Calculator
    from ase.units import J, m

    slab = getattr(ase.build, f"fcc{facet}")(element, (1, 1, layers), a=a, vacuum=10.0)
    slab.calc = Calculator()
    crystal = ase.build.bulk(element, "fcc", a=a)
    crystal.calc = Calculator()
    area = float(np.linalg.norm(np.cross(slab.cell[0], slab.cell[1])))
    excess = slab.get_potential_energy() - len(slab) * crystal.get_potential_energy()
    return float(excess / (2 * area) / (J / m**2))


def _adsorbed(rng: Random) -> dict[str, Any]:
    element = rng.choice(("Cu", "Ag", "Au", "Ni", "Pd", "Pt"))
    return {
        "element": element,
        "a": round(METALS[element] * rng.uniform(0.99, 1.01), 3),
        "adatom": rng.choice(("Cu", "Ag", "Au", "Ni", "Pd", "Pt")),
        "site": rng.choice(("hollow", "bridge", "ontop")),
    }


def _fixed_slab(element: str, a: float, layers: int) -> Any:
    """A (100) slab of 2 x 2 cells whose lowest layer is fixed."""
    from ase.build import fcc100
    from ase.constraints import FixAtoms

    slab = fcc100(element, (2, 2, layers), a=a, vacuum=8.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag == layers for atom in slab]))
    return slab


@BOOK.problem(
    "adsorption-height",
    functions="With ASE's `EMT`, build `fcc100({element!r}, (2, 2, 3), a={a}, vacuum=8)`, put "
    "{adatom} on it with `add_adsorbate(slab, {adatom!r}, 1.9, {site!r})`, keep all atoms of the "
    "slab fixed (`FixAtoms`), relax the adatom along z alone, and give its height above the top "
    "layer.",
    goal="How high above the top layer does an adatom of {adatom} sit at the {site} site of the "
    "rigid "
    "(100) surface of {element} (lattice constant {a} Angstrom, 2 x 2 cells, 3 layers), with "
    + EMT
    + "?",
    answer_type="number",
    unit="A",
    tolerance=Tolerance(absolute=5e-3),
    packages=("ase", "scipy"),
    draw=_adsorbed,
)
def adsorption_height(element: str, a: float, adatom: str, site: str) -> float:
    """Height in Angstrom."""
    from ase.build import add_adsorbate, fcc100
    from ase.calculators.emt import EMT as Calculator
    from scipy.optimize import minimize_scalar

    def energy(height: float) -> float:
        slab = fcc100(element, (2, 2, 3), a=a, vacuum=8.0)
        add_adsorbate(slab, adatom, height, site)
        slab.calc = Calculator()
        return float(slab.get_potential_energy())

    return float(minimize_scalar(energy, bounds=(1.0, 3.5), method="bounded").x)


def _hop(rng: Random) -> dict[str, Any]:
    element = rng.choice(("Cu", "Ag", "Au", "Ni", "Pd", "Pt"))
    return {"element": element, "a": round(METALS[element] * rng.uniform(0.99, 1.01), 3)}


@BOOK.problem(
    "diffusion-barrier",
    functions="With ASE's `EMT` and `ase.mep.NEB` (3 images, climbing, `improvedtangent`, "
    "`BFGS` to fmax = 0.03), compute the barrier of a {element} adatom that hops from one hollow "
    "of `fcc100({element!r}, (2, 2, 3), a={a}, vacuum=8)` to the next along the first cell vector; "
    "the lowest layer is fixed, the ends are relaxed to 0.01 eV/A.",
    goal="How high is the barrier for a {element} adatom to hop over the bridge from one hollow "
    "of the (100) surface of {element} to the next (lattice constant {a} Angstrom, 2 x 2 cells, "
    "3 layers of which the lowest is fixed), with " + EMT + "?",
    answer_type="number",
    unit="eV",
    tolerance=Tolerance(absolute=0.02),
    packages=("ase",),
    draw=_hop,
)
def diffusion_barrier(element: str, a: float) -> float:
    """Barrier in eV."""
    from ase.build import add_adsorbate
    from ase.calculators.emt import EMT as Calculator
    from ase.mep import NEB
    from ase.optimize import BFGS

    start = _fixed_slab(element, a, 3)
    add_adsorbate(start, element, 1.7, "hollow")
    end = start.copy()
    end.positions[-1] += start.cell[0] / 2
    for image in (start, end):
        image.calc = Calculator()
        BFGS(image, logfile=None).run(fmax=0.01, steps=200)
    images = [start, *(start.copy() for _ in range(3)), end]
    for image in images[1:-1]:
        image.calc = Calculator()
    band = NEB(images, climb=True, method="improvedtangent")
    band.interpolate()
    BFGS(band, logfile=None).run(fmax=0.03, steps=200)
    energies = [image.get_potential_energy() for image in images]
    return float(max(energies) - energies[0])
