"""The application on a real Ray Serve: a campaign over HTTP, and a replica killed in its midst."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import eventually, patiently, ray_processes

from ray_matdesign.agents.laboratory.campaign import Campaign
from ray_matdesign.agents.laboratory.client import HttpLab
from ray_matdesign.agents.laboratory.interface import LabError, Unsafe
from ray_matdesign.agents.laboratory.journal import CampaignSettings
from ray_matdesign.agents.laboratory.messages import FurnaceStep, Limits, Order
from ray_matdesign.agents.laboratory.planning import routes, synthesis_of
from ray_matdesign.config.loading import ConfigError

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

TOKEN, STAFF = "orders", "approves"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import ray
    from ray import serve

    from ray_matdesign.serve.laboratory import app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_TOKEN", TOKEN)
        patch.setenv("LAB_STAFF_TOKEN", STAFF)
        patiently(
            lambda: ray.init(
                address="local",
                num_cpus=3,
                object_store_memory=80 * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        )
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        application = app(
            {
                "book": str(tmp_path_factory.mktemp("lab") / "book.sqlite"),
                "hours_per_s": 50.0,
                "limits": {"agreed": ["NiCl2"]},
                "mishaps": {"furnace": 0.0, "sample_lost": 0.0, "measurement": 0.0},
                "token_env": "LAB_TOKEN",
                "staff_token_env": "LAB_STAFF_TOKEN",
            }
        )
        serve.run(application, route_prefix="/lab", name="laboratory")
        yield f"http://127.0.0.1:{port}/lab"
        serve.shutdown()
        ray.shutdown()
    assert eventually(lambda: not ray_processes())


def replicas() -> list[psutil.Process]:
    return [p for p in ray_processes() if "ServeReplica" in " ".join([p.name(), *p.cmdline()])]


def test_a_campaign_survives_the_death_of_the_laboratory(url: str, tmp_path: Path) -> None:
    planned = routes("Li2Fe0.8Ni0.2Cl4", stock=("LiCl", "FeCl2", "NiCl2"), atmospheres=("argon",))
    settings = CampaignSettings(
        target="Li2Fe0.8Ni0.2Cl4", goal=1.0, budget=2, temperatures_c=(400.0, 500.0)
    )
    killed: list[int] = []

    def wait() -> None:
        """The first time, a job is under way: its laboratory dies."""
        if not killed:
            (there,) = replicas()
            there.kill()
            killed.append(there.pid)
        time.sleep(0.5)

    lab = HttpLab(url, TOKEN)
    outcome = Campaign(settings, lab, tmp_path, wait=wait, planned=planned).run()
    assert killed
    assert killed[0] not in [process.pid for process in replicas()]
    ordered = [job for done in outcome.experiments for job in done.jobs]
    assert len(ordered) == 2 * len(outcome.experiments)
    assert ordered == [job.id for job in lab.jobs()]
    assert all(done.purity is not None for done in outcome.experiments)


def test_agents_cannot_exceed_the_limits(url: str) -> None:
    lab = HttpLab(url, TOKEN)
    (route,) = routes("BaTiO3", stock=("BaO2", "TiO2"), atmospheres=("air",))
    fierce = synthesis_of(route, 1390.0, 1.0)
    step = FurnaceStep(temperature_c=1500.0, hold_h=1.0)
    with pytest.raises(Unsafe, match="1500 C is beyond"):
        lab.submit(Order(key="hot", work=fierce.model_copy(update={"furnace": (step,)})))
    job = lab.submit(Order(key="oxidiser", work=fierce))
    assert job.state == "awaiting_approval"
    with pytest.raises(LabError, match="send the right token"):
        lab.approve(job.id, "an agent")
    assert HttpLab(url, STAFF).approve(job.id, "R. Hooke").state in ("queued", "running")
    assert lab.about().limits == Limits(agreed=("NiCl2",))


def test_settings_that_are_wrong_are_named() -> None:
    from ray_matdesign.serve.laboratory import app

    with pytest.raises(ConfigError, match="hours_per_s"):
        app({"book": "b", "hours_per_s": -1})
    with pytest.raises(ConfigError, match="book"):
        app({})
