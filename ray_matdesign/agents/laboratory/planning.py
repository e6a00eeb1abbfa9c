"""From a formula to experiments that a laboratory can do: routes, and schedules.

A route is a set of precursors whose reaction to the target balances exactly. Routes are ranked by
what is known before the first experiment: the driving force from reference energies, how many known
compounds compete, what is volatile or dangerous, and the price.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ray_matdesign.agents.laboratory.balancing import (
    Reaction,
    Unbalanced,
    atoms_of,
    balance_in,
    molar_mass,
)
from ray_matdesign.agents.laboratory.messages import (
    Atmosphere,
    Dose,
    FurnaceStep,
    Limits,
    Milling,
    Synthesis,
)
from ray_matdesign.agents.laboratory.phases import within
from ray_matdesign.agents.laboratory.precursors import PRECURSORS, Precursor
from ray_matdesign.agents.laboratory.safety import judge

if TYPE_CHECKING:
    from ray_matdesign.stability.reference import ReferenceSet

BYPRODUCTS: Mapping[Atmosphere, tuple[str, ...]] = {
    "air": ("CO2", "H2O", "NH3", "O2", "NO2"),
    "oxygen": ("CO2", "H2O", "NH3", "O2", "NO2"),
    "argon": ("CO2", "H2O", "NH3", "CO", "O2", "NO2"),
}
"""Gases that may leave, most welcome first."""
SUPPLIED: Mapping[Atmosphere, tuple[str, ...]] = {"air": ("O2",), "oxygen": ("O2",), "argon": ()}
"""Gases that may be taken up."""

_FORMATION_KJ = {
    # standard enthalpies of formation of gases at 298 K, kJ/mol: NIST Chemistry WebBook
    "CO2": -393.5, "CO": -110.5, "H2O": -241.8, "NH3": -45.9, "O2": 0.0, "NO2": 33.1,
}  # fmt: skip
_ENTROPY_KJ_PER_K = {
    # standard entropies of gases at 298 K, kJ/(mol K): NIST Chemistry WebBook
    "CO2": 0.2138, "CO": 0.1977, "H2O": 0.1888, "NH3": 0.1928, "O2": 0.2052, "NO2": 0.2400,
}  # fmt: skip
_KJ_PER_MOL_PER_EV = 96.485
_ROOM_K = 298.15
_TOLERANCE = 1e-6
_FINEST = 1000
"""Atoms that decimals of a formula are brought to whole numbers with, at most."""

_MOST_PRECURSORS = 4
_REDUCTANT = "C"
_DRIVING_WEIGHT, _GAS_WEIGHT, _UNREDUCED_WEIGHT = 1.0, 0.05, 0.5
"""The last is for cations that would have to be reduced by giving off oxygen: few are."""
_MILD = frozenset({"hydrate", "corrosive", "ammonium", "fuel"})
"""Classes that ordinary care is enough for; what fuels must not meet is not planned at all."""
_ENOUGH_EV = -0.05
"""A stronger driving force is of no more use."""
_COST_WEIGHT, _HAZARD_WEIGHT, _COUNT_WEIGHT, _COMPETING_WEIGHT = 0.1, 0.2, 0.15, 0.02
_GAS_TEMPERATURE_C = 600.0
"""Temperature that routes are compared at; the order hardly depends on it."""
_TAMMANN = 0.6
"""Solids begin to move at about this share of their melting point, in kelvin."""
_USUAL_C = 700.0
"""What is taken for a precursor that decomposes, or whose melting point is not known."""
_LATEST_C = 800.0
"""A refractory precursor need not move itself, if the other does."""


class NoRoute(ValueError):
    """No set of precursors makes the target; the message says what is lacking."""


@dataclass(frozen=True)
class Route:
    """A set of precursors, and the reaction that makes the target of it.

    Attributes:
        target: Formula.
        precursors: Names, sorted.
        reaction: Balanced for one mole of the target; formulas, not names.
        atmosphere: It is balanced for.
        driving_ev_per_atom: Gibbs energy of the reaction per atom of the target at 600 C, from
            reference energies of solids and tabulated gases; negative runs by itself; ``None``
            where a reference is lacking.
        competing: Reference phases that two of the precursors could form instead.
        hazards: Classes that apply to a precursor.
        starts_c: About where the precursors become mobile: Tammann's rule.
        score: What routes are ranked by; the less the better.
    """

    target: str
    precursors: tuple[str, ...]
    reaction: Reaction
    atmosphere: Atmosphere
    driving_ev_per_atom: float | None
    competing: int
    hazards: tuple[str, ...]
    starts_c: float
    score: float


def routes(
    target: str,
    *,
    stock: Collection[str] = tuple(PRECURSORS),
    atmospheres: Sequence[Atmosphere] = ("air", "argon"),
    limits: Limits | None = None,
    reference: ReferenceSet | None = None,
) -> list[Route]:
    """Routes to a target, best first; those that a laboratory would refuse are left out.

    Args:
        target: Formula.
        stock: Names of the precursors there are.
        atmospheres: To choose from.
        limits: Of the laboratory.
        reference: Energies of solids; without, driving forces are unknown.

    Raises:
        BadFormula: The target is no formula.
        NoRoute: There is none.
    """
    wanted = frozenset(atoms_of(target))
    found = []
    for atmosphere in atmospheres:
        gaseous = {e for gas in BYPRODUCTS[atmosphere] for e in atoms_of(gas)}
        fitting = [
            PRECURSORS[name]
            for name in stock
            if name in PRECURSORS
            and PRECURSORS[name].composition != target
            and PRECURSORS[name].elements <= wanted | gaseous
        ]
        for chosen in _sets(fitting, wanted, gaseous):
            route = _route(target, chosen, atmosphere, reference)
            if route is not None and _allowed(route, limits or Limits(), stock):
                found.append(route)
    if not found:
        lacking = sorted(
            wanted - {e for n in stock if n in PRECURSORS for e in PRECURSORS[n].elements}
        )
        why = (
            f"no precursor of {', '.join(lacking)}" if lacking else "no set of precursors balances"
        )
        raise NoRoute(f"{target}: {why}")
    return sorted(found, key=lambda route: (route.score, route.precursors, route.atmosphere))


def synthesis_of(
    route: Route,
    temperature_c: float,
    hold_h: float,
    *,
    batch_g: float = 2.0,
    milling: Milling | None = None,
    ramp_c_per_min: float = 5.0,
) -> Synthesis:
    """The experiment that tries a route at a temperature.

    A mixture that gives off much gas is first held where its precursors decompose, so that it does
    not foam.

    Args:
        route: What to weigh.
        temperature_c: Of the furnace.
        hold_h: Hours there.
        batch_g: Mass of the target if all goes well; less where it would take more precursors than
            that.
        milling: Of the mixture.
        ramp_c_per_min: Of the furnace.
    """
    moles = {
        name: float(route.reaction.consumed[PRECURSORS[name].composition])
        for name in route.precursors
    }
    masses = {name: n * molar_mass(PRECURSORS[name].composition) for name, n in moles.items()}
    scale = batch_g / max(molar_mass(route.target), sum(masses.values()))
    steps = [FurnaceStep(temperature_c=temperature_c, hold_h=hold_h, ramp_c_per_min=ramp_c_per_min)]
    early = [PRECURSORS[n].decomposes_c for n in route.precursors]
    foams = max((t for t in early if t is not None), default=None)
    if foams is not None and foams + 50.0 < temperature_c - 100.0:
        first = FurnaceStep(temperature_c=foams + 50.0, hold_h=1.0, ramp_c_per_min=ramp_c_per_min)
        steps.insert(0, first)
    return Synthesis(
        target=route.target,
        doses=tuple(
            Dose(precursor=name, mass_g=round(mass * scale, 5)) for name, mass in masses.items()
        ),
        milling=milling or Milling(),
        furnace=tuple(steps),
        atmosphere=route.atmosphere,
    )


def _sets(
    precursors: Sequence[Precursor], wanted: frozenset[str], gaseous: Collection[str]
) -> Iterable[tuple[Precursor, ...]]:
    """Sets that hold the target's elements, of which every one is needed for that.

    Carbon, which is there to burn, is the one exception; two modifications of one formula do not
    meet.
    """
    solid = wanted - set(gaseous) or wanted
    for size in range(1, min(_MOST_PRECURSORS, len(solid) + 1) + 1):
        for chosen in itertools.combinations(precursors, size):
            needed = [one for one in chosen if one.elements & solid]
            burning = [one for one in chosen if not one.elements & solid]
            if (
                solid <= frozenset().union(*(one.elements for one in needed))
                and len(needed) <= len(solid)
                and all(one.composition == _REDUCTANT for one in burning)
                and len({one.composition for one in chosen}) == size
            ):
                yield chosen


def _route(
    target: str,
    chosen: Sequence[Precursor],
    atmosphere: Atmosphere,
    reference: ReferenceSet | None,
) -> Route | None:
    formulas = [one.composition for one in chosen]
    if not _possible(formulas, target, atmosphere):
        return None
    try:
        reaction = balance_in(formulas, target, BYPRODUCTS[atmosphere], SUPPLIED[atmosphere])
    except Unbalanced:
        return None
    driving = None if reference is None else _driving(reaction, target, reference)
    competing = _competing(target, chosen)
    hazards = sorted({hazard for one in chosen for hazard in one.hazards})
    gases = {gas: n for gas, n in reaction.produced.items() if gas != target}
    score = (
        _DRIVING_WEIGHT * max(driving or 0.0, _ENOUGH_EV)
        + _UNREDUCED_WEIGHT * _reduces_by_itself(chosen, reaction)
        + _COST_WEIGHT * sum(one.cost - 1 for one in chosen)
        + _HAZARD_WEIGHT * len(set(hazards) - _MILD)
        + _COUNT_WEIGHT * len(chosen)
        + _GAS_WEIGHT * float(sum(gases.values()))
        + _COMPETING_WEIGHT * competing
    )
    return Route(
        target=target,
        precursors=tuple(sorted(one.name for one in chosen)),
        reaction=reaction,
        atmosphere=atmosphere,
        driving_ev_per_atom=driving,
        competing=competing,
        hazards=tuple(hazards),
        starts_c=_mobile_c(chosen),
        score=score,
    )


def _reduces_by_itself(chosen: Sequence[Precursor], reaction: Reaction) -> bool:
    """Whether more oxygen leaves than the precursors give off anyway: few cations do that."""
    given = sum(one.oxygen_mol * float(reaction.consumed[one.composition]) for one in chosen)
    return float(reaction.produced.get("O2", 0)) > given + _TOLERANCE


def _possible(formulas: Sequence[str], target: str, atmosphere: Atmosphere) -> bool:
    """Whether amounts that are not negative balance it in floating point: quick, and no proof."""
    from scipy.optimize import nnls

    left = [*formulas, *SUPPLIED[atmosphere]]
    signed = [(1.0, name) for name in left] + [(-1.0, gas) for gas in BYPRODUCTS[atmosphere]]
    elements = sorted(set().union(*(atoms_of(name) for _, name in signed), atoms_of(target)))
    columns = [[sign * float(atoms_of(n).get(e, 0)) for e in elements] for sign, n in signed]
    wanted = [float(atoms_of(target).get(e, 0)) for e in elements]
    _, residual = nnls(np.array(columns).T, np.array(wanted))
    return bool(residual < _TOLERANCE)


def _allowed(route: Route, limits: Limits, stock: Collection[str]) -> bool:
    """Whether a laboratory would take it at some temperature."""
    mild = synthesis_of(route, 100.0, 0.1, batch_g=min(0.1, limits.max_batch_g), ramp_c_per_min=1.0)
    return not judge(mild, limits, stock).refusals


def _mobile_c(chosen: Sequence[Precursor]) -> float:
    """Mean of the precursors' temperatures of Tammann, the usual one where none is known."""
    known = [
        _USUAL_C if one.melts_c is None else _TAMMANN * (one.melts_c + 273.15) - 273.15
        for one in chosen
    ]
    return sum(min(t, _LATEST_C) for t in known) / len(known)


def _driving(reaction: Reaction, target: str, reference: ReferenceSet) -> float | None:
    """Gibbs energy of a reaction per atom of the target, eV.

    Entropy is that of gases: those of solids nearly cancel.
    """
    from ray_matdesign.stability.hull import MissingElements

    kelvin = _GAS_TEMPERATURE_C + 273.15
    total = 0.0
    signed = [(-float(n), name) for name, n in reaction.consumed.items()]
    signed += [(float(n), name) for name, n in reaction.produced.items()]
    for n, name in signed:
        if name in _FORMATION_KJ and name != target:
            free = _FORMATION_KJ[name] - kelvin * _ENTROPY_KJ_PER_K[name]
            # Elements it is made of are at their enthalpy at 298 K, as the solids' are.
            total += n * free / _KJ_PER_MOL_PER_EV
            continue
        counts = _whole(name)
        try:
            per_atom = reference.hull.energy(counts)
        except MissingElements:
            return None
        total += n * per_atom * float(sum(atoms_of(name).values()))
    return total / float(sum(atoms_of(target).values()))


def _competing(target: str, chosen: Sequence[Precursor]) -> int:
    """Reference phases that two of the precursors could form instead of the target.

    Each must hold an element of the target from either of the two that the other does not bring.
    """
    wanted = frozenset(atoms_of(target))
    known = {one.composition for one in chosen} | {target}
    found = set()
    for one, other in itertools.combinations(chosen, 2):
        first = (one.elements - other.elements) & wanted
        second = (other.elements - one.elements) & wanted
        for phase in within(one.elements | other.elements):
            if phase.elements & first and phase.elements & second:
                found.add(phase.composition)
    return len(found - known)


def _whole(formula: str) -> dict[int, int]:
    """Atoms by atomic number, in whole numbers."""
    from math import lcm

    from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

    atoms = {s: n.limit_denominator(_FINEST) for s, n in atoms_of(formula).items()}
    factor = lcm(*(n.denominator for n in atoms.values()))
    return {ATOMIC_NUMBERS[symbol]: int(n * factor) for symbol, n in atoms.items()}
