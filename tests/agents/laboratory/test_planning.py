from __future__ import annotations

import pytest

from ray_matdesign.agents.laboratory.balancing import BadFormula
from ray_matdesign.agents.laboratory.messages import Limits
from ray_matdesign.agents.laboratory.planning import NoRoute, Route, routes, synthesis_of
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.agents.laboratory.safety import judge
from ray_matdesign.stability.reference import ReferenceSet


@pytest.fixture(scope="module")
def reference() -> ReferenceSet:
    return ReferenceSet.load("packaged")


def named(found: list[Route]) -> list[tuple[str, ...]]:
    return [route.precursors for route in found]


def test_the_usual_routes_are_among_the_first(reference: ReferenceSet) -> None:
    titanate = named(routes("BaTiO3", reference=reference))
    assert ("BaCO3", "TiO2") in titanate[:8]
    cobaltate = named(routes("LiCoO2", reference=reference))
    assert ("Co3O4", "Li2CO3") in cobaltate[:8]
    chloride = named(routes("Li2Fe0.8Ni0.2Cl4", reference=reference))
    assert ("FeCl2", "LiCl", "NiCl2") in chloride[:8]
    phosphate = named(routes("LiFePO4", reference=reference))
    assert ("C", "FePO4", "Li2CO3") in phosphate[:3]
    assert ("FeC2O4(H2O)2", "Li2CO3", "NH4H2PO4") in phosphate[:12]


def test_driving_forces_are_those_of_thermochemistry(reference: ReferenceSet) -> None:
    """BaO + TiO2 -> BaTiO3 releases 155 kJ/mol (NIST-JANAF), within 0.07 eV an atom."""
    (route,) = (
        r
        for r in routes("BaTiO3", stock=("BaO", "TiO2"), reference=reference, atmospheres=("air",))
    )
    assert route.driving_ev_per_atom == pytest.approx(-155.0 / 96.485 / 5.0, abs=0.07)


def test_routes_that_would_be_refused_are_not_planned() -> None:
    assert not any({"C", "BaO2"} <= set(route.precursors) for route in routes("BaTiO3"))
    found = named(routes("BaTiO3", limits=Limits(forbidden=("BaCO3",))))
    assert found
    assert not any("BaCO3" in one for one in found)


def test_cations_are_not_expected_to_reduce_themselves() -> None:
    found = routes("LiFePO4", stock=("Li2CO3", "FePO4", "C"))
    assert found[0].precursors == ("C", "FePO4", "Li2CO3")
    assert found[-1].reaction.produced["O2"] > 0


def test_no_route_says_what_is_lacking() -> None:
    with pytest.raises(NoRoute, match="BaTiO3: no precursor of Ba"):
        routes("BaTiO3", stock=("TiO2",))
    with pytest.raises(BadFormula):
        routes("Ba?")


def test_a_synthesis_weighs_what_the_reaction_says() -> None:
    (route,) = routes("BaTiO3", stock=("BaCO3", "TiO2"), atmospheres=("air",))
    synthesis = synthesis_of(route, 1100.0, 12.0, batch_g=2.0)
    masses = {dose.precursor: dose.mass_g for dose in synthesis.doses}
    assert masses["BaCO3"] / masses["TiO2"] == pytest.approx(197.34 / 79.87, rel=1e-4)
    assert sum(masses.values()) == pytest.approx(2.0, rel=1e-3)
    assert synthesis.hottest_c == 1100.0


def test_what_foams_is_held_first() -> None:
    (route,) = routes(
        "LiFePO4", stock=("Li2CO3", "FeC2O4(H2O)2", "NH4H2PO4"), atmospheres=("argon",)
    )
    first, second = synthesis_of(route, 700.0, 8.0).furnace
    assert 150.0 < first.temperature_c < 300.0
    assert (second.temperature_c, second.hold_h) == (700.0, 8.0)


def test_every_planned_synthesis_is_within_the_limits() -> None:
    limits = Limits()
    for target in ("BaTiO3", "LiCoO2", "LiFePO4"):
        for route in routes(target, limits=limits)[:10]:
            synthesis = synthesis_of(route, 900.0, 12.0)
            assert judge(synthesis, limits, tuple(PRECURSORS)).refusals == ()
