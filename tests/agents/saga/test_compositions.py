from __future__ import annotations

import json
from pathlib import Path

import campaigns
import numpy as np
import pytest
from campaigns import Actor

from ray_matdesign.agents.llm.protocol import Request
from ray_matdesign.agents.saga.population import read_population
from ray_matdesign.agents.saga.proposed import BadDecoration, Decoration, Proposed, decorated

FIRST = [
    {"type": "copper_gold", "elements": ["Cu", "Au"]},
    {"type": "gold_copper_3", "elements": ["Pt", "Ni"]},
    {"type": "copper_gold", "elements": ["Pt", "Au", "Cu"]},
]
SECOND = [
    {"type": "copper_gold", "elements": ["Cu", "Au"]},
    {"type": "copper_gold", "elements": ["Pt", "Ni"]},
]


def proposals(request: Request) -> str:
    """The second generation is told of the first, and proposes one of it again."""
    told = request.messages[1].content
    if "Generation 1" in told:
        return json.dumps({"crystals": FIRST})
    assert "CuAu: reward" in told
    return json.dumps({"crystals": SECOND})


def test_what_a_model_proposes_is_judged_by_the_loop(tmp_path: Path, reference: Path) -> None:
    told = campaigns.settings(
        tmp_path,
        reference,
        rounds=1,
        inner={"kind": "compositions", "generations": 2, "proposals": 3},
    )
    actor = Actor({**campaigns.EVOLVING, ("optimizer.compositions", 0): proposals})
    state = campaigns.run(told, tmp_path / "campaign", actor)
    optimized = state.rounds[0].optimized
    assert optimized is not None
    assert optimized.sampled == 3  # one does not fit its type, one was proposed before
    members = read_population(tmp_path / "campaign" / "rounds" / "01" / "population.parquet")
    assert {member.relaxed.formula for member in members} == {"CuAu", "Ni3Pt", "NiPt"}
    assert len({member.id for member in members}) == 3


def test_a_decoration_must_fit_its_type() -> None:
    salt = decorated(Decoration(type="rock_salt", elements=("Ti", "N")))
    assert salt.counts == {7: 1, 22: 1}
    with pytest.raises(BadDecoration, match="no structure type 'salt'"):
        decorated(Decoration(type="salt", elements=("Ti", "N")))
    with pytest.raises(BadDecoration, match="no element 'Xx'"):
        decorated(Decoration(type="rock_salt", elements=("Xx", "N")))
    with pytest.raises(BadDecoration, match="has 2 sites, got 1"):
        decorated(Decoration(type="rock_salt", elements=("Ti",)))


def test_proposals_are_handed_over_whatever_the_seed() -> None:
    crystals = [decorated(Decoration(type="rock_salt", elements=("Ti", s))) for s in ("N", "C")]
    generator = Proposed(crystals)
    assert generator.sample(2, seed=1) == generator.sample(5, seed=2) == crystals
    generator.load_weights({"crystals": np.array([2])}, 7)
    assert generator.version == 7
