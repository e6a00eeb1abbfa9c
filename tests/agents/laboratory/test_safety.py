from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_fixtures import batio3

from ray_matdesign.agents.laboratory.messages import (
    Dose,
    FurnaceStep,
    Limits,
    Milling,
    Synthesis,
)
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.agents.laboratory.safety import judge

STOCK = tuple(PRECURSORS)
NO_APPROVALS = Limits(agreed=STOCK, approval_above_c=1400.0, approval_above_batch_g=20.0)


def mixed(*names: str, atmosphere: str = "argon", mass_g: float = 0.5) -> Synthesis:
    return Synthesis.model_validate(
        {
            "target": "X",
            "doses": [{"precursor": name, "mass_g": mass_g} for name in names],
            "furnace": [{"temperature_c": 300.0, "hold_h": 1.0}],
            "atmosphere": atmosphere,
        }
    )


def test_an_ordinary_synthesis_passes() -> None:
    judgement = judge(batio3(), Limits(), STOCK)
    assert judgement.refusals == ()
    assert judgement.approvals == ()


@pytest.mark.parametrize(
    ("synthesis", "why"),
    [
        (batio3(temperature_c=1401.0), "1401 C is beyond the furnace's limit of 1400 C"),
        (batio3(hold_h=72.5), "72.5 h in the furnace are beyond"),
        (batio3(milling=Milling(rpm=900.0)), "900 rpm are beyond the mill's limit"),
        (mixed("TiO2", mass_g=11.0), "11 g of TiO2 are beyond the limit of 10 g"),
        (mixed("TiO2", "MgO", "CaO", mass_g=8.0), "a batch of 24 g is beyond"),
        (mixed("UF6"), "UF6 is not in stock"),
        (mixed("KClO4", "C"), "KClO4 and C must not meet: an oxidiser milled"),
        (mixed("C", "BaO2"), "must not meet"),
        (mixed("LiNO3", "(NH4)2HPO4"), "ammonium salts of oxidisers may explode"),
        (mixed("KCN", "NaHSO4"), "hydrogen cyanide"),
        (mixed("NaN3", "NaHSO4"), "hydrazoic acid"),
        (mixed("Pb(N3)2"), "Pb(N3)2 is forbidden: it may explode"),
        (mixed("NH4NO3"), "NH4NO3 is forbidden"),
        (mixed("C", "FePO4", atmosphere="air"), "C must be heated in argon, not in air"),
    ],
)
def test_what_is_dangerous_is_refused_though_everything_was_agreed_to(
    synthesis: Synthesis, why: str
) -> None:
    refusals = judge(synthesis, NO_APPROVALS, STOCK).refusals
    assert any(why in refusal for refusal in refusals)


def test_a_laboratory_may_forbid_more() -> None:
    limits = Limits(forbidden=("BaO",))
    assert judge(mixed("BaO"), limits, STOCK).refusals == ("BaO is forbidden in this laboratory",)
    (missing,) = judge(mixed("BaO"), Limits(), ["TiO2"]).refusals
    assert missing == "BaO is not in stock"


def test_what_a_person_has_to_agree_to_is_named() -> None:
    judgement = judge(batio3(temperature_c=1250.0, barium="BaO2"), Limits(), STOCK)
    assert judgement.refusals == ()
    assert judgement.approvals == ("BaO2 (oxidiser)", "1250 C (above 1200 C)")
    agreed = Limits(agreed=("BaO2",), approval_above_c=1300.0)
    assert judge(batio3(temperature_c=1250.0, barium="BaO2"), agreed, STOCK).approvals == ()


@given(
    names=st.lists(st.sampled_from(STOCK), min_size=1, max_size=5, unique=True),
    masses=st.lists(st.floats(0.01, 30.0), min_size=5, max_size=5),
    temperature=st.floats(20.0, 3000.0),
    hold=st.floats(0.0, 200.0),
    ramp=st.floats(0.1, 50.0),
    atmosphere=st.sampled_from(["air", "oxygen", "argon"]),
)
def test_nothing_that_passes_is_beyond_a_limit(
    names: list[str],
    masses: list[float],
    temperature: float,
    hold: float,
    ramp: float,
    atmosphere: str,
) -> None:
    doses = tuple(Dose(precursor=n, mass_g=m) for n, m in zip(names, masses, strict=False))
    step = FurnaceStep(temperature_c=temperature, hold_h=hold, ramp_c_per_min=ramp)
    synthesis = Synthesis.model_validate(
        {"target": "X", "doses": doses, "furnace": (step,), "atmosphere": atmosphere}
    )
    limits = Limits()
    judgement = judge(synthesis, limits, STOCK)
    if judgement.refusals:
        return
    assert temperature <= limits.max_temperature_c
    assert hold <= limits.max_hold_h
    assert ramp <= limits.max_ramp_c_per_min
    assert max(dose.mass_g for dose in doses) <= limits.max_dose_g
    hazards = [PRECURSORS[name].hazards for name in names]
    assert not any("explosive" in one for one in hazards)
    assert not ({"oxidiser", "fuel"} <= frozenset().union(*hazards))
    if not judgement.approvals:
        assert not frozenset().union(*hazards) & set(limits.approval_hazards)
        assert temperature <= limits.approval_above_c
