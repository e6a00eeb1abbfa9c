"""The faithful mode, rule by rule in MatInvent's numbers (arXiv:2511.03112 and its public code).

What a rule does at other settings is tested beside the part that carries it out.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy

from ray_matdesign.config.loading import list_recipes, load_run_config
from ray_matdesign.config.schema import RLSettings, RunConfig
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.rl.candidate import Candidate, Outcome
from ray_matdesign.rl.diversity import penalise
from ray_matdesign.rl.finetune import diffusion_times, finetune
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.losses import matinvent_loss
from ray_matdesign.rl.memory import Evaluated, LongTermMemory
from ray_matdesign.rl.replay import ReplayBuffer, ReplayEntry
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.selection import top_k
from ray_matdesign.rl.workers import roles_of

FAITHFUL = RLSettings()


def test_every_default_is_matinvents() -> None:
    assert FAITHFUL.model_dump(exclude={"surrogate"}) == {
        "algorithm": "matinvent",
        "loops": 120,
        "staleness": 0,
        "samples": 64,
        "relaxations": None,
        "evaluations": 16,
        "first_evaluations": None,
        "top_fraction": 0.5,
        "repeats": "evaluated",
        "epochs": 3,
        "timesteps": 1000,
        "times": "shared",
        "highest_time": 1.0,
        "lowest_time": 0.0,
        "accumulate": 50,
        "lr": 1e-5,
        "sigma": 0.025,
        "deviation_offset": 1.1,
        "optimizer_state": "fresh",
        "replay": {"capacity": 100, "draw": 10, "prefer": "any", "min_reward": 0.1},
        "diversity": {"key": "formula", "tolerance": 3, "buffer": 6},
    }
    assert not FAITHFUL.surrogate.enabled


def test_the_gate_is_matinvents() -> None:
    config = load_run_config("band-gap", [])
    matching = config.stability
    assert matching.max_e_above_hull_ev_per_atom == 0.1
    assert matching.require == ("stable", "unique", "novel")
    assert (matching.matcher_ltol, matching.matcher_stol) == (0.2, 0.3)
    assert matching.matcher_angle_tol_deg == 5.0
    assert config.prefilter.min_distance_ang == 0.5
    assert config.prefilter.max_length_ang == 25.0
    assert config.relaxation.fmax_ev_per_ang == 0.05


def of_diffusion(name: str) -> bool:
    """Whether a recipe teaches a diffusion model; a population is bred by rules of its own."""
    return load_run_config(name, []).generator.name != "genetic"


RECIPES = [r.name for r in list_recipes() if r.name != "density-demo" and of_diffusion(r.name)]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_change_how_much_is_done_but_no_rule(name: str) -> None:
    sizes = {"loops", "samples", "evaluations"}
    recipe = load_run_config(name, []).rl
    assert recipe.model_dump(exclude=sizes) == FAITHFUL.model_dump(exclude=sizes)


def test_three_epochs_of_a_thousand_times_make_sixty_steps_of_adam() -> None:
    times = torch.stack(list(diffusion_times(FAITHFUL, 2, torch.Generator())))
    assert times.shape == (3000, 2)
    expected = np.tile(np.linspace(1.0, 1 / 1000, 1000), 3)
    assert np.allclose(times.numpy(), expected[:, None], atol=1e-6)
    crystals = toy.ToyPolicy().sample(18, seed=0)
    report = finetune(toy.ToyPolicy(), toy.ToyPolicy(), crystals, [0.5] * 18, FAITHFUL, seed=0)
    assert report.adam_steps == 60


def test_the_loss_is_eleven_tenths_less_the_reward_times_the_deviation() -> None:
    rewards = torch.tensor([0.0, 0.4, 1.0])
    denoise, deviation = torch.tensor([2.0, 3.0, 5.0]), torch.tensor([10.0, 20.0, 40.0])
    loss = matinvent_loss(denoise, deviation, rewards, FAITHFUL.sigma, FAITHFUL.deviation_offset)
    terms = [0.025 * 1.1 * 10, 0.4 * 3 + 0.025 * 0.7 * 20, 5 + 0.025 * 0.1 * 40]
    assert float(loss) == pytest.approx(sum(terms) / 3)


@pytest.mark.parametrize(
    ("occurrences", "kept"),
    [(1, 1), (2, 1), (3, 1), (4, 2 / 3), (5, 1 / 3), (6, 0), (7, 0)],
)
def test_a_formula_keeps_its_reward_three_times_and_loses_it_at_the_sixth(
    occurrences: int, kept: float
) -> None:
    verdict = penalise(["NaCl"], [0.9], {"NaCl": occurrences}, FAITHFUL.diversity)
    assert verdict.rewards == pytest.approx([0.9 * kept])
    assert verdict.purge == ({"NaCl"} if occurrences >= 6 else set())


def test_the_eight_best_of_sixteen_are_learned_from() -> None:
    crystal = toy.ToyPolicy().sample(1, seed=0)[0]
    candidates = [
        Candidate(f"1-{k}", 1, k, 0, crystal, reward=0.5, penalised_reward=(k * 7 % 16) / 16)
        for k in range(16)
    ]
    best = top_k(candidates, FAITHFUL.evaluations, FAITHFUL.top_fraction)
    assert [c.penalised_reward for c in best] == [k / 16 for k in range(15, 7, -1)]
    few = top_k(candidates[:5], FAITHFUL.evaluations, FAITHFUL.top_fraction)
    assert len(few) == 5  # the eight follow from the budget, not from how many came


def entry(key: str, formula: str, reward: float) -> ReplayEntry:
    crystal = encode_crystals(toy.ToyPolicy().sample(1, seed=0))
    return ReplayEntry(key, formula, formula, reward, crystal)


def test_the_buffer_keeps_the_best_of_each_formula_a_hundred_in_all_none_up_to_a_tenth() -> None:
    buffer = ReplayBuffer(FAITHFUL.replay)
    buffer.add([entry("a", "NaCl", 0.5), entry("b", "NaCl", 0.7), entry("c", "NaCl", 0.6)])
    buffer.add([entry("d", "KCl", 0.1), entry("e", "KBr", 0.1001)])
    assert [e.key for e in buffer.entries] == ["b", "e"]
    buffer.add(entry(f"f{k}", f"X{k}", 0.2 + k / 1000) for k in range(120))
    assert len(buffer) == 100
    assert min(e.reward for e in buffer.entries) == pytest.approx(0.221)  # 0.7 and 99 of 120
    drawn = buffer.sample(FAITHFUL.replay.draw, np.random.default_rng(0))
    assert len({e.key for e in drawn}) == 10
    assert buffer.purge({"NaCl"}) == 1


def test_failed_evaluations_are_billed_and_formulas_counted_over_the_whole_run() -> None:
    memory = LongTermMemory()
    memory.append(
        Evaluated(f"{k}", 1, "NaCl", "NaCl", reward, {}, None)
        for k, reward in enumerate([0.9, None, 0.3])
    )
    assert len(memory) == 3
    assert memory.occurrences()["NaCl"] == 2


@pytest.fixture(scope="module")
def finished(reference, tmp_path_factory) -> tuple[RunConfig, list[dict]]:
    """Three loops of the toy campaign at MatInvent's sizes: the candidates by loop."""
    import pyarrow.parquet as pq

    sizes = {"rl.loops": 3, "rl.samples": 64, "rl.evaluations": 16}
    rules = {"rl.timesteps": 50, "rl.accumulate": 5, "rl.replay.draw": 10}
    config = toy.config(reference, **sizes, **rules)
    folder = tmp_path_factory.mktemp("matinvent") / "run"
    start_run(config, folder, LocalExecutor(roles_of(config)))
    tables = sorted((folder / "candidates").glob("*"))
    return config, [pq.read_table(table).to_pylist() for table in tables]


def test_the_first_sixteen_survivors_of_sixty_four_are_evaluated(finished) -> None:
    _, loops = finished
    for rows in loops:
        assert len(rows) == 64
        survivors = [row for row in rows if row["sun"]]
        paid = [row for row in survivors if row["outcome"] == Outcome.EVALUATED]
        assert paid == survivors[:16]
        left = {row["outcome"] for row in survivors[16:]}
        assert left <= {Outcome.NOT_EVALUATED}
