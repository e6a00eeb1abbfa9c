from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.agents.chemistry.amounts import (
    BalancedReaction,
    equivalent_volume_ml,
    limited_yield,
    portions_for,
    solute_mass_g,
    stock_volume_ml,
)
from ray_matdesign.agents.chemistry.balancing import (
    InvalidEquation,
    Reaction,
    Unbalanceable,
    balance,
    parse_reaction,
)
from ray_matdesign.agents.chemistry.formulas import parse_formula
from ray_matdesign.agents.tools.protocol import ToolError


@pytest.mark.parametrize(
    ("equation", "numbers"),
    [
        ("Fe + O2 -> Fe2O3", (4, 3, 2)),
        ("Fe+O2=Fe2O3", (4, 3, 2)),
        ("MnO4- + Fe^2+ + H+ -> Mn^2+ + Fe^3+ + H2O", (1, 5, 8, 1, 5, 4)),
        ("Cr2O7^2- + H+ + e- → Cr^3+ + H2O", (1, 14, 6, 2, 7)),
        ("Ca3(PO4)2 + SiO2 + C -> CaSiO3 + CO + P4", (2, 6, 10, 6, 10, 1)),
        ("Li2CO3 + Co3O4 + O2 -> LiCoO2 + CO2", (6, 4, 1, 12, 6)),
        ("CuSO4·5H2O(s) -> CuSO4(s) + H2O(g)", (1, 1, 5)),
        ("LiOH + Ni0.8Co0.1Mn0.1(OH)2 + O2 -> LiNi0.8Co0.1Mn0.1O2 + H2O", (4, 4, 1, 4, 6)),
        ("K4Fe(CN)6 + KMnO4 + H2SO4 -> KHSO4 + Fe2(SO4)3 + MnSO4 + HNO3 + CO2 + H2O",
         (10, 122, 299, 162, 5, 122, 60, 60, 188)),
    ],
)  # fmt: skip
def test_textbook_reactions(equation: str, numbers: tuple[int, ...]) -> None:
    assert balance(parse_reaction(equation)) == [numbers]


def test_every_way_to_balance_is_told() -> None:
    reaction = parse_reaction("KMnO4 + H2O2 + H2SO4 -> K2SO4 + MnSO4 + O2 + H2O")
    ways = balance(reaction)
    assert len(ways) == 2
    assert (0, 2, 0, 0, 0, 1, 2) in ways  # peroxide decomposing by itself
    with pytest.raises(ToolError, match="more than one way"):
        BalancedReaction.of(reaction)


@pytest.mark.parametrize(
    ("equation", "error", "words"),
    [
        ("H2O -> H2 + Cl2", Unbalanceable, "stands on the left only"),
        ("H2 + O2 -> H2O + Fe", Unbalanceable, "Fe stands on the right only"),
        ("Fe^2+ -> Fe^3+", Unbalanceable, "no positive numbers"),
        ("CO -> CO2", Unbalanceable, "no positive numbers"),
        ("Fe O2", InvalidEquation, "one arrow"),
        ("A -> B -> C", InvalidEquation, "one arrow"),
        (" -> Fe", InvalidEquation, "nothing"),
        ("Fe + Fe -> Fe2", InvalidEquation, "twice"),
    ],
)
def test_what_cannot_be_balanced_is_explained(
    equation: str, error: type[ToolError], words: str
) -> None:
    with pytest.raises(error, match=words):
        balance(parse_reaction(equation))


symbols = st.sampled_from(["H", "C", "N", "O", "Na", "Fe"])
formulas = st.dictionaries(symbols, st.integers(1, 4), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(st.lists(formulas, min_size=2, max_size=6), st.integers(1, 5))
def test_every_answer_conserves_elements(species: list[dict[str, int]], cut: int) -> None:
    parsed = [parse_formula("".join(f"{s}{n}" for s, n in f.items())) for f in species]
    split = min(cut, len(parsed) - 1)
    reaction = Reaction(tuple(parsed[:split]), tuple(parsed[split:]))
    try:
        ways = balance(reaction)
    except Unbalanceable:
        return
    assert ways
    for way in ways:
        for symbol in {s for f in parsed for s in f.counts}:
            signed = [*way[:split], *(-n for n in way[split:])]
            excess = sum(
                n * f.counts.get(symbol, Fraction(0)) for n, f in zip(signed, parsed, strict=True)
            )
            assert excess == 0
        assert min(way) >= 0


def test_reagents_for_a_mass_of_product() -> None:
    balanced = BalancedReaction.of(parse_reaction("Li2CO3 + Co3O4 + O2 -> LiCoO2 + CO2"))
    lithium, cobalt, _ = portions_for(
        balanced, "LiCoO2", 10.0, expected_yield=0.8, excess={"Li2CO3": 0.05},
        purity={"Co3O4": 0.5},
    )  # fmt: skip
    moles = 10.0 / 97.873 / 0.8
    assert lithium.moles == pytest.approx(1.05 * moles / 2, rel=1e-4)
    assert lithium.mass_g == pytest.approx(1.05 * moles / 2 * 73.891, rel=1e-4)
    assert cobalt.weigh_g == pytest.approx(2 * moles / 3 * 240.797, rel=1e-4)


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_mass_is_conserved_by_the_limiting_reagent(hydrogen_g: float, oxygen_g: float) -> None:
    balanced = BalancedReaction.of(parse_reaction("H2 + O2 -> H2O"))
    outcome = limited_yield(balanced, {"H2": hydrogen_g, "O2": oxygen_g})
    out = sum(p.mass_g for p in (*outcome.products, *outcome.left))
    assert out == pytest.approx(hydrogen_g + oxygen_g, rel=1e-9)
    assert next(p for p in outcome.left if p.formula == outcome.limiting).mass_g == 0.0


def test_masses_of_all_reactants_are_asked_for() -> None:
    balanced = BalancedReaction.of(parse_reaction("H2 + O2 -> H2O"))
    with pytest.raises(ToolError, match="no mass of O2"):
        limited_yield(balanced, {"H2": 1.0})
    with pytest.raises(ToolError, match="N2 is none of H2, O2"):
        limited_yield(balanced, {"H2": 1.0, "O2": 1.0, "N2": 1.0})


def test_solutions() -> None:
    assert stock_volume_ml(12.0, 0.5, 1000.0) == pytest.approx(41.667, abs=1e-3)
    with pytest.raises(ToolError, match="weaker"):
        stock_volume_ml(0.1, 0.5, 100.0)
    assert solute_mass_g(parse_formula("NaCl"), 0.154, 1000.0) == pytest.approx(9.0, abs=0.01)
    acid = BalancedReaction.of(parse_reaction("H2SO4 + NaOH -> Na2SO4 + H2O"))
    assert equivalent_volume_ml(acid, ("H2SO4", 0.1, 25.0), ("NaOH", 0.2)) == pytest.approx(25.0)
