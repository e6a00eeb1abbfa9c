"""Instruments of the simulated laboratory: what they give, and how they fail.

Everything that chance decides comes from the laboratory's seed and the key of the order, so that an
experiment has one outcome, whenever and however often the laboratory is asked for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_matdesign.agents.laboratory.balancing import molar_mass
from ray_matdesign.agents.laboratory.diffraction import (
    WAVELENGTH_ANGSTROM,
    powder,
    profile,
    uniaxial,
    widths,
)
from ray_matdesign.agents.laboratory.impedance import Circuit
from ray_matdesign.agents.laboratory.kinetics import AMORPHOUS, World
from ray_matdesign.agents.laboratory.messages import (
    Impedance,
    Pattern,
    Result,
    Sample,
    Spectrum,
    Synthesis,
    Xrd,
)
from ray_matdesign.agents.laboratory.phases import PHASES
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.config.settings import Fraction, Settings

Floats = NDArray[np.float64]

_WEIGHING = 0.002
"""Relative standard deviation of a weighed mass."""
_STRETCH = 0.0015
"""Standard deviation of a sample's cell lengths, relative: impurities, thermal history."""
_ZERO_DEG = 0.04
_FULL_SCALE = 4000.0
"""Counts a second in the strongest reflection of a sample."""
_BACKGROUND = 40.0
_UNLISTED_LINES = 28
_THICKNESS_CM, _AREA_CM2 = 0.1, 0.785
_PERMITTIVITY_F_PER_CM = 8.8541878128e-14 * 15.0
_BOLTZMANN_EV_PER_K = 8.617333262e-5
_ROOM_K = 298.15
_CONDUCTIVITIES = {
    # S/cm at 25 C and activation energy in eV, of the right order
    "Li2Fe0.8Ni0.2Cl4": (1.0e-5, 0.45),
    "Li6FeCl8": (2.0e-7, 0.55),
    "LiCl": (1.0e-9, 0.70),
}
_INSULATOR = (1.0e-10, 0.8)


class Mishaps(Settings):
    """How often things go wrong, each between 0 and 1."""

    furnace: float = Field(default=0.05, ge=0.0, le=1.0)
    """A furnace trips."""
    sample_lost: float = Field(default=0.03, ge=0.0, le=1.0)
    """A crucible cracks or a robot drops it."""
    measurement: float = Field(default=0.03, ge=0.0, le=1.0)
    """A measurement fails; the sample stays."""
    delay_h: float = Field(default=0.3, ge=0.0)
    """Mean time that a device takes to be ready, beyond what is planned."""
    noise: Fraction = 1.0
    """Part of the usual noise of patterns and spectra."""


class Content(Settings):
    """What a sample is in truth; nobody outside the laboratory sees it."""

    moles: dict[str, float]
    stretches: dict[str, tuple[float, float, float]]
    size_angstrom: float
    porosity: float


@dataclass(frozen=True)
class Outcome:
    """What becomes of a job once it has started.

    Attributes:
        hours: How long it keeps its device.
        result: What it gives; ``None`` if it fails.
        reason: Why it failed; empty if it did not.
        content: Of the sample that comes of a synthesis.
    """

    hours: float
    result: Result | None
    reason: str = ""
    content: Content | None = None


class Instruments:
    """Balance, mill, furnaces, diffractometer and impedance analyser.

    Args:
        seed: Of this laboratory's chance, and of its hidden chemistry.
        mishaps: How often things go wrong.
    """

    def __init__(self, seed: int, mishaps: Mishaps) -> None:
        self._seed = seed
        self._mishaps = mishaps
        self._world = World(seed)

    def synthesise(self, key: str, synthesis: Synthesis, sample: str) -> Outcome:
        """Weighs, mills and heats."""
        rng = self._chance(key)
        hours = _duration_h(synthesis) + self._delay(rng)
        trips, lost = rng.random(2)
        if trips < self._mishaps.furnace:
            reached = float(rng.uniform(0.3, 1.0)) * synthesis.hottest_c
            return Outcome(0.5 * hours, None, f"the furnace tripped at {reached:.0f} C")
        if lost < self._mishaps.sample_lost:
            return Outcome(hours, None, "the crucible cracked; the sample is lost")
        moles = {
            dose.precursor: dose.mass_g
            * (1.0 + _WEIGHING * float(rng.standard_normal()))
            / molar_mass(PRECURSORS[dose.precursor].composition)
            for dose in synthesis.doses
        }
        heated = self._world.heat(moles, synthesis)
        masses = _masses(heated.moles)
        stretches = {phase: _stretch(rng, phase) for phase in masses}
        # Crystallites grow with temperature; the figures are those of ordinary oxide powders.
        grown = 250.0 * float(np.exp(synthesis.hottest_c / 500.0))
        content = Content(
            moles={phase: n for phase, n in heated.moles.items() if n > 0.0},
            stretches=stretches,
            size_angstrom=min(grown, 3000.0),
            porosity=float(rng.uniform(0.05, 0.25)),
        )
        mass = max(sum(masses.values()), 1e-6)
        result = Sample(sample=sample, mass_g=round(mass, 6), remarks=tuple(heated.remarks))
        return Outcome(hours, result, content=content)

    def diffract(self, key: str, xrd: Xrd, content: Content) -> Outcome:
        """Measures a powder pattern."""
        rng = self._chance(key)
        points = int((xrd.to_deg - xrd.from_deg) / xrd.step_deg) + 1
        hours = 0.1 + points * xrd.seconds_per_step / 3600.0 + self._delay(rng)
        if rng.random() < self._mishaps.measurement:
            return Outcome(0.5 * hours, None, "the X-ray generator tripped; the sample is intact")
        grid: Floats = np.asarray(xrd.from_deg + xrd.step_deg * np.arange(points))
        seen = self._pattern(grid, content, rng)
        # Full scale is reached whatever the sample is, as the beam is absorbed by all of it.
        strongest = max(float(seen.max()), 1e-300)
        glass = sum(n for phase, n in _masses(content.moles).items() if phase in AMORPHOUS)
        glassy = glass / max(sum(_masses(content.moles).values()), 1e-300)
        rate: Floats = np.asarray(_FULL_SCALE * seen / strongest) + _background(grid, glassy)
        expected = rate * xrd.seconds_per_step
        noise = self._mishaps.noise
        counts = expected + noise * (rng.poisson(expected) - expected)
        result = Pattern(
            sample=xrd.sample,
            wavelength_angstrom=WAVELENGTH_ANGSTROM,
            two_theta_deg=tuple(np.round(grid, 4).tolist()),
            counts=tuple(np.round(np.maximum(counts, 0.0), 3).tolist()),
        )
        return Outcome(hours, result)

    def impede(self, key: str, work: Impedance, content: Content) -> Outcome:
        """Presses a pellet and measures its impedance."""
        rng = self._chance(key)
        decades = np.log10(work.to_hz / work.from_hz)
        points = int(decades * work.points_per_decade) + 1
        hours = 0.5 + 3.0 / work.from_hz / 3600.0 + self._delay(rng)
        if rng.random() < self._mishaps.measurement:
            return Outcome(0.5 * hours, None, "the pellet broke; the rest of the powder is intact")
        frequency = np.geomspace(work.to_hz, work.from_hz, points)
        impedance = pellet(content, work.temperature_c).impedance(frequency)
        scatter = 0.004 * self._mishaps.noise * np.abs(impedance)
        noisy = impedance + scatter * (
            rng.standard_normal(points) + 1j * rng.standard_normal(points)
        )
        result = Spectrum(
            sample=work.sample,
            temperature_c=work.temperature_c,
            thickness_cm=_THICKNESS_CM,
            area_cm2=_AREA_CM2,
            frequency_hz=tuple(frequency.tolist()),
            real_ohm=tuple(noisy.real.tolist()),
            imag_ohm=tuple(noisy.imag.tolist()),
        )
        return Outcome(hours, result)

    def _pattern(self, grid: Floats, content: Content, rng: np.random.Generator) -> Floats:
        shift = _ZERO_DEG * float(rng.standard_normal())
        total = np.zeros_like(grid)
        for phase, mass in _masses(content.moles).items():
            if phase in AMORPHOUS:
                continue
            stretch = content.stretches[phase]
            if phase in PHASES:
                march = float(rng.uniform(0.85, 1.05)) if uniaxial(phase) else 1.0
                total += mass * powder(
                    grid,
                    phase,
                    scales=np.asarray(stretch) + 1.0,
                    size_angstrom=content.size_angstrom,
                    march=march,
                    shift_deg=shift,
                )
            else:
                total += mass * _unlisted(grid, phase, content.size_angstrom, shift)
        return total

    def _delay(self, rng: np.random.Generator) -> float:
        return float(rng.exponential(self._mishaps.delay_h)) if self._mishaps.delay_h else 0.0

    def _chance(self, key: str) -> np.random.Generator:
        return np.random.default_rng(_digits(f"{self._seed}/{key}"))


def pellet(content: Content, temperature_c: float) -> Circuit:
    """The circuit that a pellet of a sample is: bulk, grain boundaries, blocking electrodes.

    The bulk's conductivity is the geometric mean of the phases' by mass, an effective medium that
    needs no shape; each has an Arrhenius law of its own.
    """
    masses = _masses(content.moles)
    total = sum(masses.values())
    logarithm = 0.0
    for phase, mass in masses.items():
        at_room, activation_ev = _CONDUCTIVITIES.get(phase, _INSULATOR)
        inverse = 1.0 / (temperature_c + 273.15) - 1.0 / _ROOM_K
        exponent = -activation_ev / _BOLTZMANN_EV_PER_K * inverse
        logarithm += mass / total * (np.log(at_room) + exponent)
    bulk_s_per_cm = float(np.exp(logarithm)) * (1.0 - content.porosity) ** 1.5
    bulk = _THICKNESS_CM / (_AREA_CM2 * bulk_s_per_cm)
    capacity = _PERMITTIVITY_F_PER_CM * _AREA_CM2 / _THICKNESS_CM
    boundary = bulk * (0.3 + 2.0 * content.porosity)
    values = (bulk, capacity, 1.0, boundary, 300.0 * capacity, 0.9, 2e-6, 0.85)
    return Circuit(("RQ", "RQ", "Q"), values)


def conductivity_s_per_cm(content: Content, temperature_c: float) -> float:
    """What a perfect measurement of a sample's pellet would give."""
    resistance = pellet(content, temperature_c).resistance_ohm
    return _THICKNESS_CM / (_AREA_CM2 * resistance)


def mass_fractions(content: Content) -> dict[str, float]:
    """True shares of mass of a sample's phases."""
    masses = _masses(content.moles)
    total = sum(masses.values())
    return {phase: mass / total for phase, mass in masses.items()}


def _masses(moles: Mapping[str, float]) -> dict[str, float]:
    return {phase: n * molar_mass(_formula(phase)) for phase, n in moles.items() if n > 0.0}


def _formula(phase: str) -> str:
    if phase in PHASES:
        return PHASES[phase].composition
    return PRECURSORS[phase].composition if phase in PRECURSORS else phase


def _stretch(rng: np.random.Generator, phase: str) -> tuple[float, float, float]:
    free = PHASES[phase].free_axes if phase in PHASES else (0, 0, 0)
    drawn = _STRETCH * rng.standard_normal(3)
    a, b, c = (float(drawn[axis]) for axis in free)
    return a, b, c


def _duration_h(synthesis: Synthesis) -> float:
    """Half an hour of weighing, the mill, the furnace, and cooling at 5 C/min."""
    temperature, hours = 25.0, 0.5 + synthesis.milling.minutes / 60.0
    for step in synthesis.furnace:
        hours += abs(step.temperature_c - temperature) / step.ramp_c_per_min / 60.0 + step.hold_h
        temperature = step.temperature_c
    return hours + (temperature - 25.0) / 5.0 / 60.0


def _background(grid: Floats, glassy: float) -> Floats:
    """Air scatter at low angles, fluorescence, and the broad maximum of a glass."""
    scatter = 1.0 + 3.0 * np.exp(-grid / 15.0)
    hump = 20.0 * glassy * np.exp(-(((grid - 24.0) / 7.0) ** 2))
    return np.asarray(_BACKGROUND * (scatter + hump))


def _unlisted(grid: Floats, phase: str, size_angstrom: float, shift_deg: float) -> Floats:
    """Pattern of a unit mass of a phase that no reference is at hand for: always the same one."""
    rng = np.random.default_rng(_digits(phase))
    angles = np.sort(rng.uniform(14.0, 75.0, _UNLISTED_LINES))
    strengths = rng.exponential(1.0, _UNLISTED_LINES) * np.exp(-angles / 40.0)
    strengths *= _UNLISTED_AREA / strengths.sum()
    return profile(grid, angles + shift_deg, strengths, widths(angles, size_angstrom))


_UNLISTED_AREA = 60.0
"""Area of a pattern per mass, as phases of light elements have it; see ``Reflections``."""


def _digits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
