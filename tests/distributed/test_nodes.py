"""A node is lost in mid-run, with everything that ran on it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
import toy
from nodes import cluster_of
from processes import eventually

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.replay import RemoteReplay
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

LOOPS = 3


def campaign(reference: Path, log: Path, **execution: Any) -> RunConfig:
    log.mkdir(parents=True, exist_ok=True)
    return toy.config(
        reference,
        **{
            "rl.loops": LOOPS,
            "generator.name": "slow_toy:load",
            "generator.options": {"log": str(log / "sampling"), "delay": 0.2},
            "potential.name": "slow_toy:solid",
            "potential.options": {"log": str(log / "relaxing"), "delay": 0.02},
            "execution": {
                "cpus_per_worker": 0.5,
                "object_store_mib": 80,
                "reward_workers": 3,
                **execution,
            },
        },
    )


def outcome(folder: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    tables = [pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*.parquet"))]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drop = ("wall_s", "timings")
    return pd.concat(tables), [{k: v for k, v in r.items() if k not in drop} for r in rows]


def paid(folder: Path) -> list[str]:
    """Keys in the ledgers, as often as they are there."""
    found = []
    for path in sorted((folder / "ledger").glob("*.jsonl")):
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        found += [f"{e['verb']} {key}" for e in entries for key in e["results"]]
    return found


def alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def test_a_node_lost_in_mid_run_changes_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reference = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(reference, toy.solid())
    undisturbed = campaign(reference, tmp_path / "undisturbed-logs")
    start_run(undisturbed, tmp_path / "undisturbed", LocalExecutor(roles_of(undisturbed)))
    log = tmp_path / "logs" / "relaxing"
    with cluster_of(2, 2, 2) as cluster:
        config = campaign(reference, tmp_path / "logs", backend="ray")
        lost: list[str] = []

        def lose_one() -> None:
            """Takes a node with a reward worker away while it is relaxing."""
            if eventually(lambda: log.exists() and len(log.read_text().splitlines()) > 40):
                node = next(iter(cluster.worker_nodes))
                lost.append(node.node_id)
                cluster.remove_node(node, allow_graceful=False)

        thread = threading.Thread(target=lose_one)
        with RayExecutor(roles_of(config), config.execution) as executor:
            replay = RemoteReplay(config.rl.replay)
            thread.start()
            start_run(config, tmp_path / "run", executor, replay=replay)
            replay.close()
        thread.join()
        assert len(lost) == 1
        assert eventually(lambda: lost[0] not in alive())
        assert len(alive()) == 2
    ours, theirs = outcome(tmp_path / "run"), outcome(tmp_path / "undisturbed")
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    assert ours[1] == theirs[1]
    assert len(paid(tmp_path / "run")) == len(set(paid(tmp_path / "run")))
    assert sorted(paid(tmp_path / "run")) == sorted(paid(tmp_path / "undisturbed"))
