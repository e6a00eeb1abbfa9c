"""The hidden chemistry of the simulated laboratory.

Solids react in pairs, as in Szymanski et al., Nature Communications 14, 6956 (2023): a few pairwise
reactions with Arrhenius rates, each limited by what is left of its reactants, and decompositions.
The reactions are those these systems are known for; rates are of the right order and no more. A
seed shifts every rate, so that what is best in one world is not in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.laboratory.messages import Atmosphere, Synthesis
from ray_matdesign.agents.laboratory.precursors import PRECURSORS

Floats = NDArray[np.float64]
Moles = dict[str, float]

GASES = frozenset({"CO2", "CO", "O2", "H2O", "NH3", "HCl", "Cl2", "NO2", "Li2O-vapour"})
AMORPHOUS = frozenset({"P2O5"})
"""What gives no reflections: a glass of phosphate between ammonium phosphates and products."""

_GAS_CONSTANT = 8.314462618e-3
"""kJ/(mol K)."""
_ZERO_C = 273.15
_FASTEST_PER_H = 20.0
"""Where solids meet, transport limits how fast the hottest of reactions goes."""
_LONGEST_STEP = 0.25
"""Of integration, in units of the time constant of the fastest reaction."""
_RAMP_STEPS = 24
_MOST_STEPS = 20_000
_DUST_MOL = 1e-12
_SHIFT_C = 35.0
"""Standard deviation, between worlds, of the temperature at which a reaction is brisk."""
_STEEPNESS = 0.1
"""Relative standard deviation, between worlds, of an activation energy."""


@dataclass(frozen=True)
class Step:
    """A reaction of one or two solids.

    Attributes:
        consumed: Moles of each phase that is used up; gases of the atmosphere are not named here.
        produced: Moles of each phase that comes of it.
        brisk_c: Temperature at which the rate constant is 1 per hour.
        activation_kj_per_mol: Its activation energy.
        taken_up: Moles of oxygen from the atmosphere.
        atmospheres: In which it happens.
    """

    consumed: Mapping[str, float]
    produced: Mapping[str, float]
    brisk_c: float
    activation_kj_per_mol: float
    taken_up: float = 0.0
    atmospheres: frozenset[Atmosphere] = frozenset({"air", "oxygen", "argon"})

    def rate_per_h(self, temperature_c: float) -> float:
        """Rate constant at a temperature."""
        inverse = 1.0 / (temperature_c + _ZERO_C) - 1.0 / (self.brisk_c + _ZERO_C)
        exponent = -self.activation_kj_per_mol / _GAS_CONSTANT * inverse
        return float(np.exp(min(exponent, np.log(_FASTEST_PER_H))))


_AIRY: frozenset[Atmosphere] = frozenset({"air", "oxygen"})
_AIRLESS: frozenset[Atmosphere] = frozenset({"argon"})

STEPS: tuple[Step, ...] = (
    # barium titanate: Ba2TiO4 forms early and goes late
    Step({"Ba(NO3)2": 1}, {"BaO": 1, "NO2": 2, "O2": 0.5}, 620, 200),
    Step({"BaO2": 1}, {"BaO": 1, "O2": 0.5}, 760, 190),
    Step({"TiO2-anatase": 1}, {"TiO2": 1}, 950, 400),
    Step({"BaCO3": 1, "TiO2": 1}, {"BaTiO3": 1, "CO2": 1}, 1010, 240),
    Step({"BaCO3": 1, "TiO2-anatase": 1}, {"BaTiO3": 1, "CO2": 1}, 920, 220),
    Step({"BaCO3": 1, "BaTiO3": 1}, {"Ba2TiO4": 1, "CO2": 1}, 960, 260),
    Step({"BaO": 1, "TiO2": 1}, {"BaTiO3": 1}, 820, 200),
    Step({"BaO": 1, "TiO2-anatase": 1}, {"BaTiO3": 1}, 760, 190),
    Step({"BaO": 1, "BaTiO3": 1}, {"Ba2TiO4": 1}, 770, 210),
    Step({"Ba2TiO4": 1, "TiO2": 1}, {"BaTiO3": 2}, 1120, 330),
    Step({"Ba2TiO4": 1, "TiO2-anatase": 1}, {"BaTiO3": 2}, 1060, 320),
    # lithium cobaltate: a low modification first, lithium lost when too hot
    Step({"LiNO3": 2}, {"Li2O": 1, "NO2": 2, "O2": 0.5}, 600, 180),
    Step({"CoCO3": 1}, {"CoO": 1, "CO2": 1}, 330, 130),
    Step({"CoO": 3}, {"Co3O4": 1}, 600, 150, taken_up=0.5, atmospheres=_AIRY),
    Step({"Co3O4": 1}, {"CoO": 3, "O2": 0.5}, 980, 350, atmospheres=_AIRY),
    Step({"Co3O4": 1}, {"CoO": 3, "O2": 0.5}, 800, 300, atmospheres=_AIRLESS),
    Step({"Li2CO3": 3, "Co3O4": 2}, {"LiCoO2-low": 6, "CO2": 3}, 640, 160, 0.5, _AIRY),
    Step({"LiOH": 3, "Co3O4": 1}, {"LiCoO2-low": 3, "H2O": 1.5}, 520, 140, 0.25, _AIRY),
    Step({"Li2O": 3, "Co3O4": 2}, {"LiCoO2-low": 6}, 600, 170, 0.5, _AIRY),
    Step({"Li2O": 1, "CoO": 2}, {"LiCoO2-low": 2}, 580, 170, 0.5, _AIRY),
    Step({"LiOH": 1, "CoO": 1}, {"LiCoO2-low": 1, "H2O": 0.5}, 500, 140, 0.25, _AIRY),
    Step({"LiCoO2-low": 1}, {"LiCoO2": 1}, 780, 300),
    Step({"LiCoO2": 6}, {"Co3O4": 2, "Li2O-vapour": 3, "O2": 0.5}, 1010, 330),
    # lithium iron nickel chloride: hydrates turn into oxides, Li6FeCl8 ties lithium up
    Step({"LiCl(H2O)": 1}, {"LiCl": 1, "H2O": 1}, 130, 80),
    Step({"FeCl2(H2O)4": 1}, {"FeCl2": 1, "H2O": 4}, 180, 90),
    Step({"FeCl2(H2O)4": 1}, {"FeO": 1, "HCl": 2, "H2O": 3}, 260, 110),
    Step({"NiCl2(H2O)6": 1}, {"NiCl2": 1, "H2O": 6}, 210, 90),
    Step({"NiCl2(H2O)6": 1}, {"NiO": 1, "HCl": 2, "H2O": 5}, 240, 110),
    Step({"FeCl2": 2}, {"Fe2O3": 1, "Cl2": 2}, 330, 120, 1.5, _AIRY),
    Step({"FeO": 2}, {"Fe2O3": 1}, 320, 110, 0.5, _AIRY),
    Step({"LiCl": 6, "FeCl2": 1}, {"Li6FeCl8": 1}, 330, 100),
    Step({"LiCl": 10, "FeCl2": 4, "NiCl2": 1}, {"Li2Fe0.8Ni0.2Cl4": 5}, 430, 150),
    Step({"Li6FeCl8": 5, "FeCl2": 7, "NiCl2": 3}, {"Li2Fe0.8Ni0.2Cl4": 15}, 470, 190),
    Step(
        {"Li2Fe0.8Ni0.2Cl4": 5},
        {"LiCl": 10, "Fe2O3": 2, "NiCl2": 1, "Cl2": 4},
        380,
        130,
        3.0,
        _AIRY,
    ),
    Step({"Li2Fe0.8Ni0.2Cl4": 15}, {"Li6FeCl8": 5, "FeCl2": 7, "NiCl2": 3}, 600, 420),
    # lithium iron phosphate: wuestite falls apart where it does not react
    Step({"NH4H2PO4": 2}, {"P2O5": 1, "NH3": 2, "H2O": 3}, 270, 100),
    Step({"(NH4)2HPO4": 2}, {"P2O5": 1, "NH3": 4, "H2O": 3}, 230, 95),
    Step({"FeC2O4(H2O)2": 1}, {"FeO": 1, "CO": 1, "CO2": 1, "H2O": 2}, 320, 120, 0.0, _AIRLESS),
    Step({"FeO": 4}, {"Fe3O4": 1, "Fe": 1}, 480, 130, 0.0, _AIRLESS),
    Step({"Fe3O4": 1, "Fe": 1}, {"FeO": 4}, 700, 240, 0.0, _AIRLESS),
    Step({"Fe2O3": 2, "C": 1}, {"FeO": 4, "CO2": 1}, 690, 200, 0.0, _AIRLESS),
    Step({"Li2CO3": 3, "P2O5": 1}, {"Li3PO4": 2, "CO2": 3}, 460, 130),
    Step({"LiOH": 6, "P2O5": 1}, {"Li3PO4": 2, "H2O": 3}, 380, 120),
    Step({"Fe2O3": 1, "P2O5": 1}, {"FePO4": 2}, 620, 160),
    Step({"Li3PO4": 1, "FeO": 3, "P2O5": 1}, {"LiFePO4": 3}, 610, 170, 0.0, _AIRLESS),
    Step({"FePO4": 4, "Li2CO3": 2, "C": 1}, {"LiFePO4": 4, "CO2": 3}, 660, 180, 0.0, _AIRLESS),
    Step(
        {"FePO4": 4, "LiOH": 4, "C": 1}, {"LiFePO4": 4, "CO2": 1, "H2O": 2}, 620, 170, 0.0, _AIRLESS
    ),
    Step({"FePO4": 4, "Li2O": 2, "C": 1}, {"LiFePO4": 4, "CO2": 1}, 650, 180, 0.0, _AIRLESS),
    Step({"LiFePO4": 6}, {"Li3PO4": 2, "FePO4": 4, "Fe2O3": 1}, 480, 140, 1.5, _AIRY),
)
"""Reactions of the nominal world; balanced with the oxygen they take up."""


@dataclass
class Heated:
    """What a furnace leaves behind.

    Attributes:
        moles: Of each solid phase.
        remarks: What an eye sees.
    """

    moles: Moles
    remarks: list[str] = field(default_factory=list)


class World:
    """One set of hidden rates.

    Args:
        seed: Of the world; ``None`` is the nominal one.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            self.steps = STEPS
            return
        rng = np.random.default_rng([seed, 0x6B])
        self.steps = tuple(
            Step(
                step.consumed,
                step.produced,
                step.brisk_c + _SHIFT_C * float(rng.standard_normal()),
                step.activation_kj_per_mol * float(np.exp(_STEEPNESS * rng.standard_normal())),
                step.taken_up,
                step.atmospheres,
            )
            for step in STEPS
        )

    def heat(self, moles: Mapping[str, float], synthesis: Synthesis) -> Heated:
        """Takes a milled mixture through the furnace.

        Args:
            moles: Of each precursor, by name.
            synthesis: Its milling, schedule and atmosphere.
        """
        heated = Heated(dict(moles))
        steps = [s for s in self.steps if synthesis.atmosphere in s.atmospheres]
        vigour = _vigour(synthesis)
        temperature = 25.0
        for part in synthesis.furnace:
            rise = abs(part.temperature_c - temperature)
            hours = rise / part.ramp_c_per_min / 60.0
            for at in np.linspace(temperature, part.temperature_c, _RAMP_STEPS + 1)[1:]:
                _hold(heated.moles, steps, float(at), vigour, hours / _RAMP_STEPS)
            _hold(heated.moles, steps, part.temperature_c, vigour, part.hold_h)
            temperature = part.temperature_c
            _look(heated, temperature)
        return heated


def _vigour(synthesis: Synthesis) -> float:
    """Factor of all rates that milling gives: finer powders touch in more places."""
    energy = synthesis.milling.minutes / 60.0 * (synthesis.milling.rpm / 300.0) ** 2
    return float(np.sqrt(0.5 + energy))


def _hold(
    moles: Moles, steps: list[Step], temperature_c: float, vigour: float, hours: float
) -> None:
    """Time at one temperature, in steps short enough for reactions that run both ways."""
    rates = [step.rate_per_h(temperature_c) * vigour for step in steps]
    fastest = max(rates, default=0.0)
    count = max(1, min(int(np.ceil(fastest * hours / _LONGEST_STEP)), _MOST_STEPS))
    gone = [-float(np.expm1(-rate * hours / count)) for rate in rates]
    for _ in range(count):
        if not _advance(moles, steps, gone):
            return


def _advance(moles: Moles, steps: list[Step], gone: list[float]) -> bool:
    """A moment in the furnace: every reaction goes on in proportion to its scarcest reactant.

    Reactions that compete for a phase share it in proportion to what each would take.

    Args:
        moles: Of each phase; changed.
        steps: Reactions.
        gone: Share of its scarcest reactant that each would use up.

    Returns:
        Whether anything reacts any more.
    """
    extents, wanted = [], dict.fromkeys(moles, 0.0)
    for step, part in zip(steps, gone, strict=True):
        scarcest = min(moles.get(phase, 0.0) / n for phase, n in step.consumed.items())
        if scarcest * part <= _DUST_MOL:
            continue
        extents.append((step, scarcest * part))
        for phase, n in step.consumed.items():
            wanted[phase] += n * extents[-1][1]
    share = {phase: min(1.0, moles[phase] / n) for phase, n in wanted.items() if n > 0.0}
    for step, extent in extents:
        extent *= min(share[phase] for phase in step.consumed)
        for phase, n in step.consumed.items():
            moles[phase] = max(0.0, moles[phase] - n * extent)
        for phase, n in step.produced.items():
            if phase not in GASES:
                moles[phase] = moles.get(phase, 0.0) + n * extent
    return bool(extents)


def _look(heated: Heated, temperature_c: float) -> None:
    total = sum(heated.moles.values())
    for phase, n in heated.moles.items():
        melts = PRECURSORS[phase].melts_c if phase in PRECURSORS else None
        if melts is not None and temperature_c > melts and n > 0.05 * total:
            remark = f"{phase} had been molten at {temperature_c:g} C"
            if remark not in heated.remarks:
                heated.remarks.append(remark)
