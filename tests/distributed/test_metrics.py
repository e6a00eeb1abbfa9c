"""What a scraper of a node's metrics finds while a run goes on, and whether the dashboard asks
for that."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
import toy
from processes import eventually, ray_processes

from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.distributed.metrics import (
    PoolMetrics,
    RunMetrics,
    StandingGauges,
    failure_class,
)
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

DASHBOARD = Path(__file__).parents[2] / "clusters" / "grafana" / "ray-matdesign.json"
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)$")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A toy campaign on a small Ray that reports every half second; Ray stays up for scraping."""
    folder = tmp_path_factory.mktemp("metrics")
    toy.write_reference(folder / "metals", toy.solid())
    config = toy.config(
        folder / "metals",
        **{"rl.loops": 2, "execution.backend": "ray", "execution.cpus_per_worker": 0.25},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_metrics_report_interval_ms", "500")
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        try:
            metrics = RunMetrics()  # its gauges last as long as it does
            with RayExecutor(roles_of(config), config.execution) as executor:
                start_run(config, folder / "run", executor, progress=metrics)
                yield folder / "run"
        finally:
            ray.shutdown()
    assert eventually(lambda: not ray_processes())


def scraped() -> Series:
    (node,) = ray.nodes()
    url = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as page:
        text = page.read().decode()
    found: Series = {}
    for line in text.splitlines():
        if (match := _SAMPLE.match(line)) and not line.startswith("#"):
            tags = re.findall(r'(\w+)="([^"]*)"', match[2] or "")
            own = frozenset(t for t in tags if t[0] in ("role", "run", "of", "state", "stage"))
            found[match[1], own] = float(match[3])
    return found


def value(name: str, **tags: str) -> float | None:
    """The last value scraped; ``None`` while it has not arrived."""
    return scraped().get((f"ray_matdesign_{name}", frozenset(tags.items())))


def rows(run: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").open()]


@pytest.mark.ray
def test_the_figures_of_the_last_loop_are_gauges(run: Path) -> None:
    last = rows(run)[-1]
    expected = {("loops", "state", "done"): 2.0, ("loops", "state", "asked_for"): 2.0}
    for key, figure in last.items():
        if isinstance(figure, int | float):
            expected[f"loop_{key}", "", ""] = figure
        elif figure is not None:
            for inner in filter(figure.get, figure):
                of = (f"loop_{key}", "of", inner.partition(":")[0])
                expected[of] = expected.get(of, 0.0) + figure[inner]
    assert ("loop_rejections", "of", "unstable") in expected
    assert ("loop_computed_total", "of", "density") in expected
    wrong: dict[tuple[str, str, str], float | None] = {}

    def all_there() -> bool:
        found = scraped()
        wrong.clear()
        for (name, tag, of), figure in expected.items():
            tags = {("run", "run"), *([(tag, of)] if tag else [])}
            told = found.get((f"ray_matdesign_{name}", frozenset(tags)))
            if told is None or told != pytest.approx(figure):
                wrong[name, tag, of] = told
        return not wrong

    assert eventually(all_there), wrong
    assert last["burden"] is None
    assert value("loop_burden", run="run") is None


@pytest.mark.ray
def test_gauges_stay_until_their_owner_goes(run: Path) -> None:
    """Ray itself would drop them after two report intervals: two seconds, here."""
    gauges = StandingGauges()
    gauges.set("matdesign_standing", 3.0, role="test")
    assert eventually(lambda: value("standing", role="test") == 3.0)
    time.sleep(5.0)
    assert value("standing", role="test") == 3.0
    del gauges
    assert eventually(lambda: value("standing", role="test") is None)


@pytest.mark.ray
def test_crystals_are_counted_stage_by_stage(run: Path) -> None:
    total = rows(run)[-1]["evaluations_total"]
    assert total > 0
    assert eventually(lambda: value("crystals_total", run="run", stage="evaluate") == total)
    assert value("crystals_total", run="run", stage="sample") == sum(
        row["sampled"] for row in rows(run)
    )


@pytest.mark.ray
def test_pools_tell_of_queues_workers_and_busy_seconds(run: Path) -> None:
    assert eventually(lambda: value("workers", role="reward", state="ready") == 2.0)
    assert value("workers", role="generator", state="ready") == 1.0
    for state in ("waiting", "given_out"):
        assert value("batches", role="reward", state=state) == 0.0
    assert eventually(lambda: (value("busy_seconds_total", role="reward") or 0.0) > 0.0)


@pytest.mark.ray
def test_a_closed_pool_no_longer_tells_how_many_workers_it_had(run: Path) -> None:
    metrics = PoolMetrics("closed")
    metrics.staffed(3, 0)
    assert eventually(lambda: value("workers", role="closed", state="ready") == 3.0)
    metrics.close()
    assert eventually(lambda: value("workers", role="closed", state="ready") is None)


@pytest.mark.ray
def test_the_dashboard_asks_for_what_there_is(run: Path) -> None:
    pool = PoolMetrics("reward")  # what a run without trouble does not have
    pool.retried("assess")
    pool.gave_up("assess", "worker died (killed), 3 times")
    pool.respawned()
    RunMetrics().note("a batch failed")
    asked = set(re.findall(r"ray_matdesign_\w+", DASHBOARD.read_text()))
    assert len(asked) > 10
    missing: set[str] = set()

    def all_there() -> bool:
        missing.clear()
        missing.update(asked - {name for name, _ in scraped()})
        return not missing

    assert eventually(all_there), f"nobody exports {sorted(missing)}"


@pytest.mark.parametrize(
    ("why", "word"),
    [
        ("worker died (The actor died unexpectedly), 3 times", "died"),
        ("died while idle (gone)", "died"),
        ("no answer within 20 s, 2 times", "deadline"),
        ("ValueError: no answer within reach", "raised"),
    ],
)
def test_failures_have_three_classes(why: str, word: str) -> None:
    assert failure_class(why) == word
