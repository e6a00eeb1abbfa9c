from __future__ import annotations

import numpy as np
import pytest
from lab_fixtures import NO_MISHAPS, mixture

from ray_matdesign.agents.laboratory.impedance import Circuit, fit, fit_best, parameters
from ray_matdesign.agents.laboratory.instruments import Instruments, conductivity_s_per_cm
from ray_matdesign.agents.laboratory.messages import Impedance, Spectrum

HZ = np.geomspace(1e7, 0.1, 81)


def spectrum(circuit: Circuit, noise: float = 0.0, seed: int = 0) -> Spectrum:
    rng = np.random.default_rng(seed)
    z = circuit.impedance(HZ)
    z = z + noise * np.abs(z) * (rng.standard_normal(81) + 1j * rng.standard_normal(81))
    return Spectrum(
        sample="s",
        temperature_c=25.0,
        thickness_cm=0.1,
        area_cm2=0.5,
        frequency_hz=tuple(HZ.tolist()),
        real_ohm=tuple(z.real.tolist()),
        imag_ohm=tuple(z.imag.tolist()),
    )


def test_elements_are_those_of_the_textbook() -> None:
    omega = 2.0 * np.pi * HZ
    capacitor = Circuit(("Q",), (1e-6, 1.0)).impedance(HZ)
    assert capacitor == pytest.approx(1.0 / (1j * omega * 1e-6))
    arc = Circuit(("RQ",), (1000.0, 1e-9, 1.0))
    at_peak = arc.impedance(np.array([1.0 / (2.0 * np.pi * 1000.0 * 1e-9)]))
    assert at_peak[0] == pytest.approx(500.0 - 500.0j)  # the top of the semicircle
    warburg = Circuit(("W",), (20.0,)).impedance(HZ)
    assert np.degrees(np.angle(warburg)) == pytest.approx(-45.0)
    assert np.abs(warburg) == pytest.approx(20.0 * np.sqrt(2.0 / omega))


def test_a_circuit_is_found_again_from_its_spectrum() -> None:
    true = Circuit(("RQ", "RQ", "Q"), (2e4, 2e-11, 1.0, 3e4, 5e-9, 0.9, 2e-6, 0.85))
    found = fit(spectrum(true), true.elements)
    assert found.misfit < 1e-6
    assert found.circuit.resistance_ohm == pytest.approx(5e4, rel=1e-4)
    assert found.conductivity_s_per_cm == pytest.approx(0.1 / (0.5 * 5e4), rel=1e-4)


def test_errors_of_the_resistance_are_honest() -> None:
    true = Circuit(("RQ", "Q"), (1e4, 1e-9, 0.95, 1e-6, 0.9))
    fits = [fit(spectrum(true, 0.01, seed), true.elements) for seed in range(12)]
    scores = [(f.circuit.resistance_ohm - 1e4) / f.resistance_error_ohm for f in fits]
    assert 0.4 < float(np.std(scores)) < 2.0


@pytest.mark.parametrize(
    "true",
    [
        Circuit(("RQ", "Q"), (1e4, 1e-9, 0.95, 1e-6, 0.9)),
        Circuit(("RQ", "RQ", "Q"), (2e4, 2e-11, 1.0, 3e4, 5e-9, 0.9, 2e-6, 0.85)),
        Circuit(("RQ", "W"), (5e3, 1e-9, 0.9, 2e3)),
    ],
    ids=lambda circuit: "-".join(circuit.elements),
)
def test_the_right_circuit_is_chosen(true: Circuit) -> None:
    found = fit_best(spectrum(true, 0.004))
    # A Warburg element is a constant-phase element of exponent 1/2: either describes it.
    assert found.circuit.elements in (true.elements, ("RQ", "Q")[: len(true.elements)])
    assert found.circuit.resistance_ohm == pytest.approx(true.resistance_ohm, rel=0.02)


def test_the_conductivity_of_a_pellet_is_measured_and_arrhenius_holds() -> None:
    content = mixture({"Li2Fe0.8Ni0.2Cl4": 0.9, "Li6FeCl8": 0.1})
    found = {}
    for celsius in (25.0, 100.0):
        work = Impedance(sample="s", temperature_c=celsius)
        result = Instruments(0, NO_MISHAPS).impede("k", work, content).result
        assert isinstance(result, Spectrum)
        found[celsius] = fit_best(result).conductivity_s_per_cm
        true = conductivity_s_per_cm(content, celsius)
        assert found[celsius] == pytest.approx(true, rel=0.01)
    slope = np.log(found[100.0] / found[25.0]) / (1.0 / 298.15 - 1.0 / 373.15)
    assert slope * 8.617333e-5 == pytest.approx(0.9 * 0.45 + 0.1 * 0.55, abs=0.01)


def test_what_cannot_be_fitted_is_said() -> None:
    true = Circuit(("RQ", "Q"), (1e4, 1e-9, 0.95, 1e-6, 0.9))
    whole = spectrum(true)
    few = whole.model_copy(
        update={name: getattr(whole, name)[:2] for name in ("frequency_hz", "real_ohm", "imag_ohm")}
    )
    with pytest.raises(ValueError, match="2 points are too few for RQ-Q"):
        fit(few, ("RQ", "Q"))
    with pytest.raises(ValueError, match="Q-W has no resistor"):
        fit(whole, ("Q", "W"))
    with pytest.raises(ValueError, match="RQ-Q has 5 values"):
        Circuit(("RQ", "Q"), (1.0,))
    assert parameters(("RQ", "Q")) == ["1.r_ohm", "1.q", "1.n", "2.q", "2.n"]
