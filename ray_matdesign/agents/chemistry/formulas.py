"""Chemical formulas with brackets, hydrates, fractions and charges, counted exactly."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

from ray_matdesign.agents.tools.protocol import ToolError
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU, ATOMIC_NUMBERS

DEUTERIUM_MASS_AMU = 2.014101778
ELECTRON = "e-"
PHASES = ("s", "l", "g", "aq")

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_PHASE = re.compile(r"\((s|l|g|aq)\)$")
_CHARGE = re.compile(r"(?:\^\{?|\s+|\{)(\d*)([+-])\}?$|([+-])(\d+)$|([+-]+)$")
_MONATOMIC = re.compile(r"([A-Z][a-z]?)(\d+)")
_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[{])|([)\]}])|(\d+(?:\.\d+)?(?:/\d+)?|\.\d+)")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
NONMETALS = frozenset({
    "H", "D", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Ge", "As", "Se", "Br", "Te", "I",
    "At", "He", "Ne", "Ar", "Kr", "Xe", "Rn",
})  # fmt: skip
"""Nonmetals and metalloids, by symbol."""
_MOST_ATOMS = 1_000_000


class InvalidFormula(ToolError):
    """Text that is no chemical formula; the message says where."""


@dataclass(frozen=True)
class Formula:
    """What a formula counts.

    Attributes:
        text: As it was written, without phase.
        counts: Atoms by symbol, exact; ``D`` is an element of its own. Empty for the electron.
        charge: In elementary charges.
        phase: ``s``, ``l``, ``g``, ``aq`` or empty.
    """

    text: str
    counts: Mapping[str, Fraction]
    charge: int = 0
    phase: str = ""

    @cached_property
    def molar_mass_g_per_mol(self) -> float:
        """Of the atoms; electrons are not weighed."""
        return sum(float(n) * mass_amu(symbol) for symbol, n in self.counts.items())

    @cached_property
    def hill(self) -> str:
        """The counts in Hill's order (C, H, then the alphabet), with the charge."""
        first = ["C", "H"] if "C" in self.counts else []
        order = [s for s in first if s in self.counts]
        order += sorted(s for s in self.counts if s not in order)
        body = "".join(f"{s}{_number(self.counts[s])}" for s in order)
        if not self.charge:
            return body
        size = "" if abs(self.charge) == 1 else abs(self.charge)
        return f"{body}^{size}{'+' if self.charge > 0 else '-'}"

    @property
    def key(self) -> tuple[tuple[tuple[str, Fraction], ...], int]:
        """Equal for formulas of the same atoms and charge, however written."""
        return tuple(sorted(self.counts.items())), self.charge

    def by_number(self) -> dict[int, int]:
        """Whole numbers of atoms by atomic number, the smallest that keep the proportions.

        Raises:
            InvalidFormula: It holds no atoms.
        """
        if not self.counts:
            raise InvalidFormula(f"{self.text}: no atoms")
        common = lcm(*(count.denominator for count in self.counts.values()))
        amounts: defaultdict[int, int] = defaultdict(int)
        for symbol, count in self.counts.items():
            amounts[1 if symbol == "D" else ATOMIC_NUMBERS[symbol]] += int(count * common)
        divisor = gcd(*amounts.values())
        return {z: n // divisor for z, n in sorted(amounts.items())}


def mass_amu(symbol: str) -> float:
    """Standard atomic mass of an element, or of deuterium."""
    if symbol == "D":
        return DEUTERIUM_MASS_AMU
    return float(ATOMIC_MASSES_AMU[ATOMIC_NUMBERS[symbol]])


def parse_formula(text: str) -> Formula:
    """Reads ``Fe2(SO4)3``, ``CuSO4·5H2O``, ``[Cu(NH3)4]^2+``, ``LiNi0.8Co0.2O2``, ``SO4^2-(aq)``.

    A hydrate's dot may be ``·``, ``*`` or, before water, a full stop. A charge is ``^2-``, ``-2``,
    ``--`` or, after a space, ``2-``; a bare ``+`` or ``-`` is one charge, except that ``Fe3+`` is
    read as everyone reads it for a metal. ``SO42-`` and ``O2-`` can be read in two ways and are
    refused.

    Raises:
        InvalidFormula: It cannot be read, or in more than one way.
    """
    cleaned = _plain(text)
    phase = ""
    if found := _PHASE.search(cleaned):
        phase, cleaned = found[1], cleaned[: found.start()].strip()
    if cleaned in {ELECTRON, "e^-", "e"}:
        return Formula(ELECTRON, {}, -1, phase)
    body, charge = _split_charge(cleaned)
    counts: defaultdict[str, Fraction] = defaultdict(Fraction)
    for factor, part in _parts(body, text):
        for symbol, count in _count(part, text).items():
            counts[symbol] += factor * count
    exact = {symbol: count for symbol, count in counts.items() if count}
    if not exact:
        raise InvalidFormula(f"{text!r} is no formula: it counts no atoms")
    if sum(exact.values()) > _MOST_ATOMS:
        raise InvalidFormula(f"{text!r} counts more than {_MOST_ATOMS:,} atoms")
    return Formula(cleaned, exact, charge, phase)


def _plain(text: str) -> str:
    raised = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text.strip())
    plain = raised.translate(_SUBSCRIPTS)
    return plain.replace("−", "-").replace("–", "-").replace("•", "·").replace("*", "·")


def _split_charge(text: str) -> tuple[str, int]:
    found = _CHARGE.search(text)
    if found is None:
        return text, 0
    body = text[: found.start()].strip()
    size, sign, sign_first, size_last, signs = found.groups()
    if sign:
        return body, _signed(sign, int(size or 1))
    if sign_first:
        return body, _signed(sign_first, int(size_last))
    if len(set(signs)) != 1:
        raise InvalidFormula(f"{text!r}: charge {signs!r} cannot be read; write {body}^2- or so")
    if len(signs) > 1:
        return body, _signed(signs[0], len(signs))
    single = _MONATOMIC.fullmatch(body)
    if single and single[1] in ATOMIC_NUMBERS:
        symbol, digits = single.groups()
        # No metal forms a chain with one charge, but I3-, N3- and O2- are ions of several atoms.
        if symbol not in NONMETALS and signs == "+":
            return symbol, int(digits)
        raise InvalidFormula(
            f"{text!r} can be read in two ways: write {body}^{signs} or {symbol}^{digits}{signs}"
        )
    if tail := re.search(r"[A-Za-z)\]}](\d{2,})$", body):
        count, size = tail[1][:-1], tail[1][-1]
        stem = body[: tail.start(1)]
        raise InvalidFormula(
            f"{text!r} can be read in two ways: write {stem}{count}^{size}{signs} for a charge "
            f"of {size}{signs}"
        )
    return body, _signed(signs, 1)


def _signed(sign: str, size: int) -> int:
    return size if sign == "+" else -size


def _parts(body: str, text: str) -> list[tuple[Fraction, str]]:
    """A hydrate's parts with the numbers before them."""
    body = re.sub(r"[.·](\d*(?:\.\d+)?(?:H2O|D2O))$", r"·\1", body.replace(" ", ""))
    body = re.sub(r"(?<![\d])\.(?=\d*[A-Z(\[])", "·", body)
    parts = []
    for part in body.split("·"):
        found = re.match(r"(\d+/\d+|\d*\.?\d+)?(.*)$", part)
        assert found is not None
        if not found[2]:
            raise InvalidFormula(f"{text!r} is no formula: nothing stands at one side of a dot")
        parts.append((_fraction(found[1] or "1", text), found[2]))
    return parts


def _count(part: str, text: str) -> dict[str, Fraction]:
    stack: list[tuple[str, defaultdict[str, Fraction]]] = [("", defaultdict(Fraction))]
    position = 0
    last: dict[str, Fraction] = {}
    while position < len(part):
        found = _TOKEN.match(part, position)
        if found is None:
            raise InvalidFormula(f"{text!r} is no formula: {part[position:]!r} cannot be read")
        symbol, opening, closing, number = found.groups()
        position = found.end()
        if opening:
            stack.append((opening, defaultdict(Fraction)))
            last = {}
            continue
        if symbol:
            if symbol not in ATOMIC_NUMBERS and symbol != "D":
                raise InvalidFormula(f"{text!r} is no formula: {symbol} is no element")
            last = {symbol: Fraction(1)}
        elif closing:
            opened, inside = stack.pop()
            if not stack or _CLOSING[opened] != closing:
                raise InvalidFormula(f"{text!r} is no formula: {closing} closes nothing")
            last = dict(inside)
        else:
            if not last:
                raise InvalidFormula(f"{text!r} is no formula: {number} counts nothing")
            extra = _fraction(number, text) - 1
            last = {s: n * extra for s, n in last.items()}
        for s, n in last.items():
            stack[-1][1][s] += n
        if number:
            last = {}
    if len(stack) > 1:
        raise InvalidFormula(f"{text!r} is no formula: {stack[-1][0]} is not closed")
    return dict(stack[0][1])


def _fraction(number: str, text: str) -> Fraction:
    try:
        return Fraction(number)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidFormula(f"{text!r} is no formula: {number} is no number") from error


def _number(count: Fraction) -> str:
    if count == 1:
        return ""
    return str(count) if count.denominator == 1 else f"{float(count):.10g}"
