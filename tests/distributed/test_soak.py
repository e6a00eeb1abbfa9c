"""Ten thousand candidates through overlapping loops on Ray: nothing piles up anywhere."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import toy
from processes import store_used

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.replay import RemoteReplay
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3600)]

MIB = 2**20
CANDIDATES, LOOPS = 10_000, 40


class Scales(Silent):
    """Weighs the driver and the object store at the end of every loop."""

    def __init__(self) -> None:
        self.driver_mib: list[float] = []
        self.store_mib: list[float] = []

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        self.driver_mib.append(psutil.Process().memory_info().rss / MIB)
        self.store_mib.append(store_used() / MIB)


def soaked(reference: Path) -> RunConfig:
    return toy.config(
        reference,
        **{
            "rl.loops": LOOPS,
            "rl.samples": CANDIDATES // LOOPS,
            "rl.staleness": 1,
            "generator.batch_size": 50,
            "relaxation.batch_size": 25,
            "stability.require": ["stable"],
            "execution.backend": "ray",
            "execution.cpus_per_worker": 0.5,
            "execution.min_reward_workers": 1,
            "execution.object_store_mib": 80,
            "checkpoint_every": 5,
        },
    )


def test_memory_is_flat_over_ten_thousand_candidates(local_ray: None, tmp_path: Path) -> None:
    toy.write_reference(tmp_path / "metals", toy.solid())
    config, scales = soaked(tmp_path / "metals"), Scales()
    with RayExecutor(roles_of(config), config.execution) as executor:
        replay = RemoteReplay(config.rl.replay)
        summary = start_run(config, tmp_path / "run", executor, progress=scales, replay=replay)
        replay.close()
    assert sum(row["sampled"] for row in summary.metrics) == CANDIDATES
    assert sum(row["relaxed"] for row in summary.metrics) > 0.9 * CANDIDATES
    half = LOOPS // 2
    early = statistics.median(scales.driver_mib[half : half + 5])
    late = statistics.median(scales.driver_mib[-5:])
    print(f"driver {early:.0f} -> {late:.0f} MiB, store at most {max(scales.store_mib):.1f} MiB")
    # The second half adds its evaluations, 160 crystals, and rows of metrics: below a MiB.
    assert late - early < 12.0
    assert max(scales.store_mib[half:]) <= max(scales.store_mib[:half]) + 2.0
