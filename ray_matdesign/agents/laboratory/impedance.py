"""Impedance spectra: equivalent circuits, their fit, and the conductivity that follows.

A circuit is a series of elements. Its parameters are fitted to the complex impedance by non-linear
least squares, each point weighted by its modulus, in logarithms where they are positive. Of several
circuits the one with the least Bayesian information criterion is chosen. Elements and their symbols
are those of Barsoukov and Macdonald, Impedance Spectroscopy (2005).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.laboratory.messages import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Element = Literal["R", "Q", "RQ", "W"]
"""A resistor; a constant-phase element; both in parallel; a Warburg element of infinite length."""

_PARAMETERS: Mapping[Element, tuple[str, ...]] = {
    "R": ("r_ohm",),
    "Q": ("q", "n"),
    "RQ": ("r_ohm", "q", "n"),
    "W": ("sigma",),
}
_EXPONENTS = (0.4, 1.0)
_STARTS = (0.9, 0.75)
"""Exponents that fits start from."""
_MOST_EVALUATIONS = 400

CIRCUITS: tuple[tuple[Element, ...], ...] = (
    ("RQ", "Q"),
    ("RQ", "RQ", "Q"),
    ("RQ", "W"),
    ("RQ", "RQ", "W"),
    ("RQ",),
    ("R", "Q"),
)
"""What is tried on a pellet between blocking electrodes: one or two arcs and the electrodes."""


@dataclass(frozen=True)
class Circuit:
    """Elements in series, with values.

    Attributes:
        elements: In series.
        values: Of their parameters, one after another: resistances in ohm, ``q`` in
            S s^n, exponents ``n``, Warburg coefficients in ohm/s^0.5.
    """

    elements: tuple[Element, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Checks that there is a value for each parameter."""
        wanted = len(parameters(self.elements))
        if len(self.values) != wanted:
            raise ValueError(f"{'-'.join(self.elements)} has {wanted} values")

    def impedance(self, frequency_hz: Floats) -> Complexes:
        """Complex impedance in ohm, shape ``(n,)``.

        Args:
            frequency_hz: Shape ``(n,)``.
        """
        jw: Complexes = np.asarray(2j * np.pi * frequency_hz, dtype=np.complex128)
        total = np.zeros(jw.shape, dtype=np.complex128)
        left = iter(self.values)
        for element in self.elements:
            values = list(itertools.islice(left, len(_PARAMETERS[element])))
            total += _ELEMENTS[element](jw, values)
        return total

    @property
    def resistance_ohm(self) -> float:
        """Of all resistors together: what a direct current through the pellet would meet."""
        named = zip(parameters(self.elements), self.values, strict=True)
        return sum(value for name, value in named if name.endswith("r_ohm"))


@dataclass(frozen=True)
class Fit:
    """A circuit fitted to a spectrum.

    Attributes:
        circuit: With the best values.
        resistance_error_ohm: Standard error of its resistance.
        misfit: Root of the mean squared relative difference.
        criterion: Schwarz's, of Bayes; the less the better.
        conductivity_s_per_cm: Of the pellet.
        conductivity_error_s_per_cm: Its standard error, of the fit alone.
    """

    circuit: Circuit
    resistance_error_ohm: float
    misfit: float
    criterion: float
    conductivity_s_per_cm: float
    conductivity_error_s_per_cm: float


def parameters(elements: Sequence[Element]) -> list[str]:
    """Names of a circuit's parameters, such as ``1.r_ohm``."""
    return [f"{i}.{name}" for i, element in enumerate(elements, 1) for name in _PARAMETERS[element]]


def fit_best(spectrum: Spectrum, circuits: Sequence[tuple[Element, ...]] = CIRCUITS) -> Fit:
    """The circuit that describes a spectrum best for the parameters it has.

    Raises:
        ValueError: There are fewer points than parameters, or no circuit has a resistor.
    """
    fits = [fit(spectrum, elements) for elements in circuits]
    return min(fits, key=lambda one: one.criterion)


def fit(spectrum: Spectrum, elements: Sequence[Element]) -> Fit:
    """Fits a circuit, from several starting points.

    Raises:
        ValueError: There are fewer points than parameters, or the circuit has no resistor.
    """
    from scipy.optimize import least_squares

    elements = tuple(elements)
    names = parameters(elements)
    frequency = np.asarray(spectrum.frequency_hz)
    measured = np.asarray(spectrum.real_ohm) + 1j * np.asarray(spectrum.imag_ohm)
    if 2 * len(frequency) <= len(names):
        raise ValueError(f"{len(frequency)} points are too few for {'-'.join(elements)}")
    if not any(name.endswith("r_ohm") for name in names):
        raise ValueError(f"{'-'.join(elements)} has no resistor")
    modulus = np.abs(measured)

    def misfit(vector: Floats) -> Floats:
        model = Circuit(elements, _values(names, vector)).impedance(frequency)
        difference = (model - measured) / modulus
        return np.concatenate([difference.real, difference.imag])

    low, high = _bounds(names)
    best = min(
        (
            least_squares(
                misfit, np.clip(start, low, high), bounds=(low, high), max_nfev=_MOST_EVALUATIONS
            )
            for start in _starts(names, frequency, measured)
        ),
        key=lambda found: float(found.cost),
    )
    return _report(spectrum, Circuit(elements, _values(names, best.x)), best.jac, best.fun)


def _report(spectrum: Spectrum, circuit: Circuit, jacobian: Floats, misfit: Floats) -> Fit:
    names = parameters(circuit.elements)
    squares = float(misfit @ misfit)
    freedom = len(misfit) - len(names)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * squares / freedom
    # Resistances are fitted as logarithms: dR = R d(ln R).
    slope = np.array(
        [v if n.endswith("r_ohm") else 0.0 for n, v in zip(names, circuit.values, strict=True)]
    )
    error = float(np.sqrt(max(slope @ covariance @ slope, 0.0)))
    resistance = circuit.resistance_ohm
    conductivity = spectrum.thickness_cm / (spectrum.area_cm2 * resistance)
    criterion = len(misfit) * np.log(max(squares, 1e-300) / len(misfit)) + np.log(
        len(misfit)
    ) * len(names)
    return Fit(
        circuit=circuit,
        resistance_error_ohm=error,
        misfit=float(np.sqrt(squares / len(misfit))),
        criterion=float(criterion),
        conductivity_s_per_cm=conductivity,
        conductivity_error_s_per_cm=conductivity * error / resistance,
    )


def _starts(names: Sequence[str], frequency: Floats, measured: Complexes) -> list[Floats]:
    """Points to start from: arcs whose peaks are spread over the spectrum in several ways."""
    order = np.argsort(frequency)
    frequency, measured = frequency[order], measured[order]
    low, high = np.log(frequency[0]), np.log(frequency[-1])
    arcs = sum(name.endswith("r_ohm") for name in names)
    real = np.sort(measured.real)
    plateaus = np.quantile(
        real[real > 0.0] if (real > 0.0).any() else np.abs(real), [0.3, 0.6, 0.9]
    )
    starts = []
    for exponent, plateau, place in itertools.product(_STARTS, plateaus, (0.6, 0.85)):
        vector, arc = [], 0
        resistance = max(float(plateau), 1e-3) / max(arcs, 1)
        for name in names:
            kind = name.split(".")[1]
            if kind == "r_ohm":
                arc += 1
                vector.append(np.log(resistance))
            elif kind == "q":
                # The peak of an arc is where (R Q)^(1/n) 2 pi f = 1; electrodes come last.
                peak = high + (low - high) * (1.0 - place) * (2 * arc - 1)
                vector.append(-np.log(resistance) - exponent * (peak + np.log(2.0 * np.pi)))
            elif kind == "n":
                vector.append(exponent)
            else:
                vector.append(np.log(resistance) + 0.5 * low)
        starts.append(np.array(vector))
    return starts


def _bounds(names: Sequence[str]) -> tuple[Floats, Floats]:
    low = [_EXPONENTS[0] if name.endswith(".n") else -60.0 for name in names]
    high = [_EXPONENTS[1] if name.endswith(".n") else 60.0 for name in names]
    return np.array(low), np.array(high)


def _values(names: Sequence[str], vector: Floats) -> tuple[float, ...]:
    pairs = zip(names, vector, strict=True)
    return tuple(float(x if name.endswith(".n") else np.exp(x)) for name, x in pairs)


def _resistor(jw: Complexes, values: Sequence[float]) -> Complexes:
    return np.full(jw.shape, values[0], dtype=np.complex128)


def _constant_phase(jw: Complexes, values: Sequence[float]) -> Complexes:
    q, n = values
    return np.asarray(1.0 / (q * jw**n))


def _arc(jw: Complexes, values: Sequence[float]) -> Complexes:
    r, q, n = values
    return np.asarray(r / (1.0 + r * q * jw**n))


def _warburg(jw: Complexes, values: Sequence[float]) -> Complexes:
    return np.asarray(values[0] * (1.0 - 1.0j) / np.sqrt(jw.imag))


_ELEMENTS: Mapping[Element, Callable[[Complexes, Sequence[float]], Complexes]] = {
    "R": _resistor,
    "Q": _constant_phase,
    "RQ": _arc,
    "W": _warburg,
}
