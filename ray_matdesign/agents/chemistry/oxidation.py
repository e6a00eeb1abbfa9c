"""Oxidation states from a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from ray_matdesign.agents.chemistry.formulas import Formula

_ALKALI = ("Li", "Na", "K", "Rb", "Cs", "Fr")
_ALKALINE_EARTH = ("Be", "Mg", "Ca", "Sr", "Ba", "Ra")
_TRIVALENT = ("Al", "Ga", "In", "Sc", "Y", "La", "Nd", "Gd", "Lu")
_LADDER: tuple[tuple[str, int], ...] = (
    ("F", -1),
    *((symbol, 1) for symbol in _ALKALI),
    *((symbol, 2) for symbol in _ALKALINE_EARTH),
    *((symbol, 3) for symbol in _TRIVALENT),
    ("Zn", 2), ("Cd", 2), ("Ag", 1), ("Zr", 4), ("Hf", 4), ("Th", 4), ("Ta", 5),
    ("B", 3), ("Si", 4), ("H", 1), ("D", 1), ("O", -2), ("Cl", -1), ("Br", -1), ("I", -1),
    ("S", -2), ("Se", -2), ("Te", -2), ("N", -3), ("P", -3),
)  # fmt: skip
"""States by convention, the firmest first; the last of a formula's elements takes the rest."""

_CENTRES_OF_OXYANIONS = frozenset(("Cl", "Br", "I", "S", "Se", "Te", "N", "P"))
"""Anions by convention, but mostly not where there is oxygen."""


@dataclass(frozen=True)
class OxidationStates:
    """Mean oxidation states of a formula's elements.

    Attributes:
        states: By symbol, exact; a fraction is the mean over atoms in different states.
        method: How they were found, in a few words.
        notes: What is unusual about them.
    """

    states: Mapping[str, Fraction]
    method: str
    notes: tuple[str, ...]


def oxidation_states(formula: Formula) -> OxidationStates | None:
    """Mean oxidation states.

    The conventions are gone through in order (F, group 1, group 2, ..., H, O, halogens, S, N), and
    the last element takes what makes the charges add up. Where two elements without a convention
    are left, the likeliest combination by how often states occur in known crystals (pymatgen's
    tables) is taken.

    Returns:
        ``None`` where no combination adds up.
    """
    present = list(formula.counts)
    if len(present) == 1:
        state = Fraction(formula.charge) / formula.counts[present[0]]
        return OxidationStates({present[0]: state}, "an element, or an ion of one", ())
    known = [
        (symbol, state)
        for symbol, state in _LADDER
        if symbol in formula.counts
        and not ("O" in formula.counts and symbol in _CENTRES_OF_OXYANIONS)
    ]
    unknown = [symbol for symbol in present if symbol not in dict(known)]
    if len(unknown) > 1:
        return _likeliest(formula)
    if unknown:
        last, fixed = unknown[0], known
    else:
        last, fixed = known[-1][0], known[:-1]
    states = {symbol: Fraction(_hydridic(symbol, state, formula)) for symbol, state in fixed}
    rest = formula.charge - sum(states[s] * formula.counts[s] for s in states)
    states[last] = rest / formula.counts[last]
    ordered = {symbol: states[symbol] for symbol in present}
    return OxidationStates(ordered, f"conventions; {last} takes the rest", _notes(ordered))


def _hydridic(symbol: str, state: int, formula: Formula) -> int:
    """Hydrogen is the negative partner of what is less electronegative."""
    if symbol not in {"H", "D"}:
        return state
    electropositive = {s for s, q in _LADDER if q > 0 and s not in {"H", "D"}}
    others = set(formula.counts) - {"H", "D"}
    return -1 if others <= electropositive else state


def _likeliest(formula: Formula) -> OxidationStates | None:
    from pymatgen.core import Composition

    scale = lcm(*(count.denominator for count in formula.counts.values()))
    amounts = {"H" if s == "D" else s: int(n * scale) for s, n in formula.counts.items()}
    guesses: Sequence[Mapping[str, float]] = ()
    # States that occur in known crystals first; then, for perchlorates and the like, all of them.
    for every in (False, True):
        try:
            guesses = Composition(amounts).oxi_state_guesses(
                target_charge=formula.charge * scale, max_sites=-20, all_oxi_states=every
            )
        except ValueError:
            return None  # more than 20 atoms in the smallest unit
        if guesses:
            break
    else:
        return None
    states = {s: Fraction(state).limit_denominator(1000) for s, state in guesses[0].items()}
    return OxidationStates(states, "likeliest by how often states occur", _notes(states))


def _notes(states: Mapping[str, Fraction]) -> tuple[str, ...]:
    from pymatgen.core import Element

    notes = []
    for symbol, state in states.items():
        # Carbon takes every state between -4 and 4 in ordinary molecules.
        if symbol in {"C", "D"}:
            continue
        common = Element(symbol).common_oxidation_states
        if state.denominator != 1:
            notes.append(f"{symbol}: {state} is a mean over atoms in different states")
        elif common and state != 0 and int(state) not in common:
            notes.append(
                f"{symbol}: {int(state):+d} is not among its common states; a peroxide, a "
                "polyanion, or a mean over atoms in different states?"
            )
    return tuple(notes)
