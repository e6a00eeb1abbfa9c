"""The Grafana dashboard: importable, and every query about something that Ray or we export."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ray
import yaml
from files import CLUSTERS

DASHBOARD = CLUSTERS / "grafana" / "ray-matdesign.json"


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return board


def queries() -> list[str]:
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]


def ray_metrics() -> set[str]:
    """Names that the dashboards shipped with Ray ask for."""
    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    return set(re.findall(r"\bray_\w+", (folder / "default_dashboard_panels.py").read_text()))


def test_panels_lie_side_by_side() -> None:
    board = dashboard()
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_a_query_a_unit_and_the_chosen_source() -> None:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len(panels) >= 15
    for panel in panels:
        assert panel["targets"]
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    names = [variable["name"] for variable in dashboard()["templating"]["list"]]
    assert names == ["datasource", "run"]


def test_brackets_are_closed() -> None:
    for query in queries():
        for opening, closing in ("()", "{}", "[]"):
            assert query.count(opening) == query.count(closing), query


def test_metrics_that_are_not_ours_are_rays() -> None:
    """Ours are held against a run in ``tests/distributed/test_metrics.py``."""
    asked = {name for query in queries() for name in re.findall(r"\bray_\w+", query)}
    foreign = {name for name in asked if not name.startswith("ray_matdesign_")}
    assert foreign
    assert foreign <= ray_metrics()


def test_what_has_to_be_watched_is_shown() -> None:
    text = " ".join(queries())
    for name in (
        "ray_matdesign_batches",
        "ray_matdesign_crystals_total",
        "ray_matdesign_loop_recalled_total",
        "ray_matdesign_batch_failures_total",
        "ray_matdesign_loop_policy_version",
        "ray_matdesign_loop_policy_lag",
        "ray_matdesign_workers",
        "ray_matdesign_busy_seconds_total",
        "ray_node_gpus_utilization",
        "ray_object_store_memory",
    ):
        assert name in text


def test_prometheus_is_pointed_at_rays_list_of_nodes() -> None:
    config = yaml.safe_load((CLUSTERS / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    ((source,),) = (entry["files"] for entry in job["file_sd_configs"])
    assert source == "/tmp/ray/prom_metrics_service_discovery.json"
