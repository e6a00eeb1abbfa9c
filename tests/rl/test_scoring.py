"""Scorers shared among roles: each cost class on its own workers, and the same outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import toy

from ray_matdesign.config.loading import ConfigError, load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.rl.candidate import Outcome
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.scoring import scorer_worker, shares_of
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import roles_of

RAMP = {"kind": "target", "target": 18.0, "max_distance": 10.0}
APART = {"cheap_scorers": {"batch_size": 3}, "dft_scorers": {"batch_size": 1, "cpus": 2.0}}


class Spying(LocalExecutor):
    """Notes who is asked for what, and how many batches of it."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(roles_of(config))
        self.asked: list[tuple[str, str, int]] = []

    def map(self, role, verb, batches):
        self.asked.append((role, verb, len(batches)))
        return super().map(role, verb, batches)


def campaign(reference: Path, log: Path, refuse: str = "", **execution: Any) -> RunConfig:
    """Three properties of three prices: price, hull distance, and a density told to be DFT's."""
    dear = {"log": str(log), "refuse": refuse, "cost": "dft"}
    terms = [
        {"scorer": "toy:counted_density", "options": dear, "transform": RAMP, "min_score": 0.05},
        {"scorer": "price", "transform": {"kind": "descending", "min": 0.0, "max": 1e5}},
    ]
    filters = [
        {"scorer": "hhi", "max": 9000.0},
        {"scorer": "toy:spread", "max": 400.0},
    ]
    return toy.config(
        reference,
        **{
            "rl.loops": 2,
            "objective.terms": terms,
            "objective.filters": filters,
            "objective.aggregation": "min",
            "execution": execution,
        },
    )


def outcome(folder: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    tables = [pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*.parquet"))]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drop = ("wall_s", "timings")
    return pd.concat(tables), [{k: v for k, v in r.items() if k not in drop} for r in rows]


def test_shared_scorers_find_what_one_worker_finds(reference, tmp_path):
    together = campaign(reference, tmp_path / "together.log")
    apart = campaign(reference, tmp_path / "apart.log", **APART)
    start_run(together, tmp_path / "together", LocalExecutor(roles_of(together)))
    executor = Spying(apart)
    start_run(apart, tmp_path / "apart", executor)
    ours, theirs = outcome(tmp_path / "apart"), outcome(tmp_path / "together")
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    assert ours[1] == theirs[1]
    assert ours[0]["reward"].notna().any()
    assert set(ours[0]["outcome"]) >= {"evaluated", "abandoned"}
    by_role: dict[str, set[str]] = {}
    for role, verb, _ in executor.asked:
        by_role.setdefault(role, set()).add(verb)
    assert by_role["cheap_scorer"] == {"screen", "score"}
    assert by_role["dft_scorer"] == {"score"}
    assert by_role["reward"] == {"describe", "assess", "score"}
    paid = (tmp_path / "apart.log").read_text().splitlines()
    assert paid == (tmp_path / "together.log").read_text().splitlines()
    # One crystal a batch, and none for crystals that the cheaper scorers turned down.
    assert sum(n for role, _, n in executor.asked if role == "dft_scorer") == len(paid)


def test_a_scorer_that_refuses_fails_the_crystal_wherever_it_runs(reference, tmp_path):
    plain = campaign(reference, tmp_path / "log")
    start_run(plain, tmp_path / "plain", LocalExecutor(roles_of(plain)))
    table, _ = outcome(tmp_path / "plain")
    formula = table.loc[table["reward"].notna(), "formula"].iloc[0]
    for name, execution in (("together", {}), ("apart", APART)):
        config = campaign(reference, tmp_path / f"{name}.log", refuse=formula, **execution)
        start_run(config, tmp_path / name, LocalExecutor(roles_of(config)))
    ours, theirs = outcome(tmp_path / "apart"), outcome(tmp_path / "together")
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    failed = ours[0][ours[0]["formula"] == formula]
    assert (failed["outcome"] == Outcome.EVALUATION_FAILED).any()


def test_what_was_paid_for_in_parts_is_not_paid_again(reference, tmp_path):
    config = campaign(reference, tmp_path / "log", **APART)
    whole = campaign(reference, tmp_path / "whole.log", **APART)
    start_run(whole, tmp_path / "whole", LocalExecutor(roles_of(whole)))

    class Stopped(LocalExecutor):
        """Ctrl-C after some DFT calculations of the second loop."""

        done = 0

        def map(self, role, verb, batches):
            for item in super().map(role, verb, batches):
                yield item
                if role == "dft_scorer":
                    self.done += 1
                    if self.done == 11:
                        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_run(config, tmp_path / "run", Stopped(roles_of(config)))
    start_run(config, tmp_path / "run", LocalExecutor(roles_of(config)), resume=True)
    ours, theirs = outcome(tmp_path / "run"), outcome(tmp_path / "whole")
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    paid = (tmp_path / "log").read_text().splitlines()
    # The last result before Ctrl-C had been written down when the signal came.
    assert len(paid) == len((tmp_path / "whole.log").read_text().splitlines())


def test_workers_without_a_scorer_are_refused_before_the_run_begins(reference, tmp_path):
    config = toy.config(reference, execution={"dft_scorers": {"workers": 2}})
    with pytest.raises(RunFailed, match=r"execution.dft_scorers: the objective has no dft scorer"):
        start_run(config, tmp_path / "run", LocalExecutor(roles_of(config)))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_roles_get_the_shares_they_are_configured_with(reference, tmp_path):
    roles = {r.name: r for r in roles_of(campaign(reference, tmp_path / "log", **APART))}
    assert list(roles) == ["generator", "reward", "cheap_scorer", "dft_scorer", "learner"]
    assert roles["dft_scorer"].cpus == 2.0
    assert roles["dft_scorer"].deadline_s == 4 * 3600
    assert roles["reward"].deadline_s == 1200
    assert "relaxation" not in roles["dft_scorer"].settings


def test_a_scorer_worker_loads_no_potential_unless_it_is_asked(reference, tmp_path):
    config = campaign(reference, tmp_path / "log", **APART)
    settings = roles_of(config)[2].settings | {"potential": {"name": "no_such:potential"}}
    worker = scorer_worker(settings)
    crystal = toy.ToyPolicy().sample(1, seed=0)
    payload = {
        "crystals": encode_crystals(crystal),
        "energies": [-3.0],
        "formation_energies": [-0.1],
        "hull_distances": [0.0],
        "known": [{}],
        "scorers": ["price"],
    }
    ((record),) = worker.score(payload)["records"]
    assert record["values"]["price"] > 0.0


def test_shares_follow_the_price(reference, tmp_path):
    config = campaign(reference, tmp_path / "log", dft_scorers={"batch_size": 2})
    costs = ["dft", "cheap"], ["cheap", "mlip"]
    terms, filters = ([{"cost": cost} for cost in part] for part in costs)
    first, second = shares_of(config, {"terms": terms, "filters": filters})
    assert (first.role, first.scorers) == ("reward", ("price", "hhi", "toy:spread"))
    assert (second.role, second.batch_size) == ("dft_scorer", 2)
    assert first.entry("score") != second.entry("score")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("execution.learners=2", "2 learners need backend ray"),
        ("execution.environments.learner.conda=x", "environments need backend ray"),
        ("execution.environments.lerner.conda=x", "did you mean execution.environments.learner?"),
    ],
)
def test_what_cannot_be_is_refused_when_the_settings_are_read(override, problem):
    with pytest.raises(ConfigError, match="command line: execution") as caught:
        load_run_config("density-demo", ["execution.backend=local", override])
    assert problem in str(caught.value)
