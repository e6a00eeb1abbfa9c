from __future__ import annotations

import json
from pathlib import Path

import campaigns
import pytest
from campaigns import Actor

from ray_matdesign.agents.objectives.python_scorer import PRELOAD
from ray_matdesign.agents.saga.drafting import Draft, planned
from ray_matdesign.agents.saga.implementer import implement_all
from ray_matdesign.agents.saga.inner import round_config
from ray_matdesign.agents.saga.population import read_population
from ray_matdesign.agents.saga.protocol import Implemented, ImplementRequest
from ray_matdesign.agents.saga.settings import base_config, load_campaign
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.config.loading import load_run_config
from ray_matdesign.generators.genetic.generator import GeneticGenerator
from ray_matdesign.generators.registry import load_policy

GENETIC = {
    "generator.name": "genetic",
    "generator.batch_size": 12,
    "generator.options": {"population": 12},
    "generator.constraints": {"allowed_elements": ["Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"]},
    "rl.top_fraction": 1.0,
    "rl.replay": {"draw": 0},
    "rl.repeats": "spared",
}


def implemented(folder: Path, *drafts: dict[str, object]) -> tuple[Implemented, ...]:
    objectives = tuple(planned(Draft.model_validate(one), 1) for one in drafts)
    asked = ImplementRequest(round=1, objectives=objectives, scorers=str(folder))
    return implement_all(asked, None, None).implemented


def test_objectives_become_terms_and_filters(tmp_path: Path) -> None:
    base = base_config(load_campaign("superhard"))
    heavy = {**campaigns.CHEAP, "weight": 2.0}
    found = implemented(tmp_path, heavy, campaigns.MIXED, campaigns.COPPER, campaigns.VARIED)
    config = round_config(base, found, tmp_path, 7)
    cheap, copper = config.objective.terms
    assert (cheap.scorer, cheap.transform.kind, cheap.weight) == ("price", "descending", 2.0)
    assert copper.scorer == "ray_matdesign.agents.objectives.scorer:written_copper"
    assert Path(copper.options["artifact"]).parent == tmp_path
    (mixed,) = config.objective.filters
    assert mixed.scorer.endswith(":written_mixed")
    assert (mixed.min, mixed.max) == (0.5, None)
    assert (base.objective.aggregation, config.objective.aggregation) == ("mean", "weighted")
    assert config.seed == 7


@pytest.mark.parametrize(
    ("given", "weight", "expected"),
    [("mean", 2.0, "weighted"), ("min", 2.0, "chebyshev"), ("mean", None, "mean")],
)
def test_an_aggregation_without_weights_becomes_one_with(
    given: str, weight: float | None, expected: str, tmp_path: Path
) -> None:
    base = load_run_config("superhard", [f"objective.aggregation={given}"])
    found = implemented(tmp_path, {**campaigns.CHEAP, "weight": weight})
    assert round_config(base, found, tmp_path, 0).objective.aggregation == expected


def test_a_run_that_breeds_begins_with_the_carried_crystals(
    tmp_path: Path, reference: Path
) -> None:
    told = campaigns.settings(tmp_path, reference, run=GENETIC, rounds=2, restart_ratio=0.5)
    folder = tmp_path / "campaign"
    lines = {**campaigns.EVOLVING, ("planner.revise", 2): campaigns.plan(campaigns.CHEAP)}
    state = campaigns.run(told, folder, Actor(lines))
    config = load_run_config(folder / "rounds" / "02" / "run" / "config.yaml")
    assert config.generator.checkpoint.endswith("start.safetensors")
    generator = load_policy(config.generator)
    assert isinstance(generator, GeneticGenerator)
    crystals, rewards = generator.population
    first = read_population(folder / "rounds" / "01" / "population.parquet")
    assert len(crystals) == round(len(first) / 2)
    assert {c.formula for c in crystals} <= {one.generated.formula for one in first}
    # Both objectives count in the second round, also for what the first one found.
    carried = [
        one
        for one in read_population(folder / "rounds" / "02" / "population.parquet")
        if one.round == 1
    ]
    assert all({"dense", "cheap"} <= one.values.keys() for one in carried)
    assert {round(one.reward or 0.0, 9) for one in carried} <= {round(r, 9) for r in rewards}
    optimized = state.rounds[1].optimized
    assert optimized is not None
    assert optimized.carried == len(carried)


def test_a_sandbox_sees_neither_the_settings_nor_what_is_held_out(
    tmp_path: Path,
) -> None:
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    (tmp_path / "held_out").mkdir()
    for name in ("saga.yaml", "held_out/held_out.parquet"):
        (tmp_path / name).write_text("canary")
    with Box(tier, PRELOAD) as box:
        for name in ("saga.yaml", "held_out/held_out.parquet"):
            result = box.run(Job.of(f"print(open({json.dumps(str(tmp_path / name))}).read())"))
            assert result.exit_status != 0
            assert "canary" not in result.stdout + result.stderr
