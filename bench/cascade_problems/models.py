"""Specialised: a pretrained interatomic potential, named in every question."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from cascade_problems.crystals import (
    PEROVSKITES,
    ROCKSALTS,
    cif,
    cubic,
    from_cif,
    layered_oxide,
    near,
    rattled,
)
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("specialised")

MODEL = "the pretrained CHGNet 0.3.0 (the weights in the package chgnet)"


@cache
def _model() -> Any:
    from chgnet.model import CHGNet

    return CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)


def _predict(text: str) -> dict[str, Any]:
    prediction: dict[str, Any] = _model().predict_structure(from_cif(text))
    return prediction


def _total_energy(text: str) -> float:
    return float(_predict(text)["e"]) * len(from_cif(text))


def _shaken(rng: Random) -> dict[str, Any]:
    kind, table = rng.choice((("rocksalt", ROCKSALTS), ("perovskite", PEROVSKITES)))
    formula, a = near(rng, table)
    return {"kind": kind, "formula": formula, "a": a, "seed": rng.randrange(10**6)}


def _shaken_cif(kind: str, formula: str, a: float, seed: int) -> dict[str, str]:
    return {"crystal.cif": cif(rattled(cubic(kind, formula, a), seed, 0.05))}


@BOOK.problem(
    "chgnet-energy",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, predict the "
    "energy of crystal.cif (key `e`).",
    goal="Which energy per atom does " + MODEL + " predict for the crystal in crystal.cif?",
    answer_type="number",
    unit="eV/atom",
    tolerance=Tolerance(absolute=1e-3),
    packages=("chgnet", "pymatgen"),
    draw=_shaken,
    files=_shaken_cif,
)
def chgnet_energy(**told: Any) -> float:
    """Energy in eV an atom."""
    return float(_predict(_shaken_cif(**told)["crystal.cif"])["e"])


@BOOK.problem(
    "chgnet-force",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, predict the "
    "forces on the atoms of crystal.cif (key `f`) and give the length of the longest.",
    goal="How large is the largest force that " + MODEL + " predicts on an atom of the crystal in "
    "crystal.cif?",
    answer_type="number",
    unit="eV/A",
    tolerance=Tolerance(absolute=5e-3),
    packages=("chgnet", "pymatgen"),
    draw=_shaken,
    files=_shaken_cif,
)
def chgnet_force(**told: Any) -> float:
    """Largest force in eV/A."""
    import numpy as np

    forces = _predict(_shaken_cif(**told)["crystal.cif"])["f"]
    return float(np.linalg.norm(forces, axis=1).max())


@BOOK.problem(
    "chgnet-pressure",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, predict the "
    "stress of crystal.cif (key `s`, in GPa, positive under tension) and give the pressure, "
    "minus a third of its trace.",
    goal="Under which pressure (positive where the crystal pushes outwards) is the crystal in "
    "crystal.cif, according to " + MODEL + "?",
    answer_type="number",
    unit="GPa",
    tolerance=Tolerance(absolute=0.1),
    packages=("chgnet", "pymatgen"),
    draw=_shaken,
    files=_shaken_cif,
)
def chgnet_pressure(**told: Any) -> float:
    """Pressure in GPa."""
    import numpy as np

    stress = _predict(_shaken_cif(**told)["crystal.cif"])["s"]
    return float(-np.trace(stress) / 3)


_OXIDES = {"Co": (2.82, 14.05), "Ni": (2.88, 14.19), "Mn": (2.87, 14.2), "Fe": (2.95, 14.4),
           "V": (2.84, 14.7), "Cr": (2.90, 14.4)}  # fmt: skip


def _oxide(rng: Random) -> dict[str, Any]:
    metal = rng.choice(sorted(_OXIDES))
    a, c = _OXIDES[metal]
    stretch = rng.uniform(0.99, 1.02)
    return {"metal": metal, "a": round(a * stretch, 3), "c": round(c * stretch, 3)}


def _oxide_cif(metal: str, a: float, c: float) -> dict[str, str]:
    return {"crystal.cif": cif(layered_oxide(metal, a, c))}


@BOOK.problem(
    "chgnet-moments",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, predict the "
    "magnetic moments of crystal.cif (key `m`) and list them in the order of its sites.",
    goal="Which magnetic moments does " + MODEL + " predict for the atoms of crystal.cif? List "
    "them in the order of the sites in the file.",
    answer_type="list",
    unit="mu_B",
    tolerance=Tolerance(absolute=0.01),
    packages=("chgnet", "pymatgen"),
    draw=_oxide,
    files=_oxide_cif,
)
def chgnet_moments(metal: str, a: float, c: float) -> list[float]:
    """Moments in Bohr magnetons."""
    return [float(moment) for moment in _predict(_oxide_cif(metal, a, c)["crystal.cif"])["m"]]


def _both_cifs(metal: str, a: float, c: float, **_: Any) -> dict[str, str]:
    return {
        "full.cif": cif(layered_oxide(metal, a, c)),
        "empty.cif": cif(layered_oxide(metal, a, c, lithium=False)),
    }


@BOOK.problem(
    "chgnet-voltage",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure` (energy per "
    "atom under `e`), compute E(empty.cif) + {lithium} eV - E(full.cif) of the cells as they "
    "are, which is the voltage of the cathode: full.cif holds one Li more than empty.cif.",
    goal="full.cif and empty.cif hold one formula unit of a lithium-ion cathode with and without "
    "its lithium. What is its mean voltage against lithium metal, whose energy per atom is "
    "{lithium} eV, by the energies of " + MODEL + " without relaxation?",
    answer_type="number",
    unit="V",
    tolerance=Tolerance(absolute=5e-3),
    packages=("chgnet", "pymatgen"),
    draw=lambda rng: _oxide(rng) | {"lithium": round(rng.uniform(-2.0, -1.8), 3)},
    files=_both_cifs,
)
def chgnet_voltage(metal: str, a: float, c: float, lithium: float) -> float:
    """Voltage in V."""
    texts = _both_cifs(metal, a, c)
    return _total_energy(texts["empty.cif"]) + lithium - _total_energy(texts["full.cif"])


def _soft(rng: Random) -> dict[str, Any]:
    formula, a = near(rng, ROCKSALTS, 0.01)
    return {"formula": formula, "a": a}


def _soft_cif(formula: str, a: float) -> dict[str, str]:
    return {"crystal.cif": cif(cubic("rocksalt", formula, a).get_primitive_structure())}


@BOOK.problem(
    "chgnet-bulk-modulus",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, compute the "
    "energies of crystal.cif scaled to 0.94, 0.96, ..., 1.06 of its volume (`scale_lattice`), "
    "fit them with pymatgen's `EOS('birch_murnaghan')`, and give the bulk modulus (`b0_GPa`).",
    goal="What is the bulk modulus of the crystal in crystal.cif by a Birch-Murnaghan fit to the "
    "energies of " + MODEL + " at 0.94, 0.96, 0.98, 1.00, 1.02, 1.04 and 1.06 of its volume?",
    answer_type="number",
    unit="GPa",
    tolerance=Tolerance(relative=0.02),
    packages=("chgnet", "pymatgen"),
    draw=_soft,
    files=_soft_cif,
)
def chgnet_bulk_modulus(formula: str, a: float) -> float:
    """Bulk modulus in GPa."""
    from pymatgen.analysis.eos import EOS

    crystal = from_cif(_soft_cif(formula, a)["crystal.cif"])
    volumes = [crystal.volume * (94 + 2 * step) / 100 for step in range(7)]
    energies = []
    for volume in volumes:
        scaled = crystal.copy()
        scaled.scale_lattice(volume)
        energies.append(float(_model().predict_structure(scaled)["e"]) * len(scaled))
    return float(EOS("birch_murnaghan").fit(volumes, energies).b0_GPa)


@BOOK.problem(
    "chgnet-relaxation",
    functions="With chgnet's `StructOptimizer(model=CHGNet.load(model_name='0.3.0'))`, relax "
    "crystal.cif (`relax(structure, fmax=0.02, steps=200)`, cell included) and give the volume "
    "of the relaxed cell.",
    goal="Relax atoms and cell of crystal.cif with " + MODEL + " until no force is above 0.02 "
    "eV/A. What is the volume of the cell then?",
    answer_type="number",
    unit="A^3",
    tolerance=Tolerance(relative=2e-3),
    packages=("chgnet", "pymatgen"),
    draw=_soft,
    files=_soft_cif,
)
def chgnet_relaxation(formula: str, a: float) -> float:
    """Volume in cubic Angstrom."""
    from chgnet.model import StructOptimizer

    crystal = from_cif(_soft_cif(formula, a)["crystal.cif"])
    optimizer = StructOptimizer(model=_model(), use_device="cpu")
    relaxed = optimizer.relax(crystal, fmax=0.02, steps=200, verbose=False)
    return float(relaxed["final_structure"].volume)


_POLYMORPHS = ("rocksalt", "zincblende", "CsCl")


def _polymorphs(rng: Random) -> dict[str, Any]:
    formula, a = near(rng, ROCKSALTS)
    order = rng.sample(_POLYMORPHS, 3)
    return {"formula": formula, "a": a, "order": order, "squeeze": round(rng.uniform(0.6, 1.1), 3)}


def _polymorph_cifs(formula: str, a: float, order: list[str], squeeze: float) -> dict[str, str]:
    # All at one volume a formula unit, but for the random squeeze of the open zincblende.
    edges = {"rocksalt": a, "zincblende": a * squeeze ** (1 / 3) * 1.08, "CsCl": a * 0.63}
    return {
        f"crystal_{number}.cif": cif(cubic(kind, formula, edges[kind]))
        for number, kind in enumerate(order, start=1)
    }


@BOOK.problem(
    "chgnet-ranking",
    functions="With chgnet's `CHGNet.load(model_name='0.3.0').predict_structure`, predict the "
    "energies per atom of crystal_1.cif, crystal_2.cif and crystal_3.cif, and list those of the "
    "second and the third relative to the first.",
    goal="crystal_1.cif, crystal_2.cif and crystal_3.cif are polymorphs. How much higher (or "
    "lower: "
    "negative) per atom are the second and the third than the first, by the energies of "
    + MODEL
    + "? Answer with a list of two numbers.",
    answer_type="list",
    unit="eV/atom",
    tolerance=Tolerance(absolute=2e-3),
    packages=("chgnet", "pymatgen"),
    draw=_polymorphs,
    files=_polymorph_cifs,
)
def chgnet_ranking(**told: Any) -> list[float]:
    """Relative energies in eV an atom."""
    first, *others = (float(_predict(text)["e"]) for text in _polymorph_cifs(**told).values())
    return [energy - first for energy in others]
