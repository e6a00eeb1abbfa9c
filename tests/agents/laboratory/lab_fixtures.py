"""Samples of known composition, laboratories in a folder, and orders to send them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ray_matdesign.agents.laboratory.balancing import molar_mass
from ray_matdesign.agents.laboratory.book import HandClock
from ray_matdesign.agents.laboratory.instruments import Content, Mishaps
from ray_matdesign.agents.laboratory.messages import Dose, FurnaceStep, Limits, Order, Synthesis
from ray_matdesign.agents.laboratory.phases import PHASES
from ray_matdesign.agents.laboratory.simulated import SimulatedLab

NO_MISHAPS = Mishaps(furnace=0.0, sample_lost=0.0, measurement=0.0, delay_h=0.0)


def mixture(masses: Mapping[str, float], seed: int = 0) -> Content:
    """A powder of phases by mass, cells off by some 0.15 %, crystallites of 80 nm."""
    rng = np.random.default_rng(seed)
    stretches = {}
    for phase in masses:
        drawn = 0.0015 * rng.standard_normal(3)
        free = PHASES[phase].free_axes if phase in PHASES else (0, 0, 0)
        a, b, c = (float(drawn[axis]) for axis in free)
        stretches[phase] = (a, b, c)
    formulas = {p: PHASES[p].composition if p in PHASES else p for p in masses}
    return Content(
        moles={phase: mass / molar_mass(formulas[phase]) for phase, mass in masses.items()},
        stretches=stretches,
        size_angstrom=800.0,
        porosity=0.1,
    )


def batio3(
    temperature_c: float = 1100.0, hold_h: float = 12.0, barium: str = "BaCO3", **more: object
) -> Synthesis:
    """Two grams of barium titanate, if all goes well."""
    titanium = "TiO2"
    fields = {
        "target": "BaTiO3",
        "doses": (
            Dose(precursor=barium, mass_g=1.7),
            Dose(precursor=titanium, mass_g=1.7 * molar_mass("TiO2") / molar_mass(barium)),
        ),
        "furnace": (FurnaceStep(temperature_c=temperature_c, hold_h=hold_h),),
        **more,
    }
    return Synthesis.model_validate(fields)


def order(key: str, work: object) -> Order:
    return Order.model_validate({"key": key, "work": work})


def laboratory(
    folder: Path,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    mishaps: Mishaps = NO_MISHAPS,
    clock: HandClock | None = None,
) -> tuple[SimulatedLab, HandClock]:
    clock = clock or HandClock()
    book = folder / "book.sqlite"
    return SimulatedLab(book, seed=seed, limits=limits, mishaps=mishaps, clock=clock), clock
