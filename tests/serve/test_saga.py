"""Campaigns as a service on a real Ray Serve, with roles that tests slow down and kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import eventually, patiently, ray_processes

from ray_matdesign.agents.saga.events import digest, read_events
from ray_matdesign.agents.saga.protocol import PlanRequest, RoleError, SelectRequest
from ray_matdesign.config.loading import ConfigError
from tests.report.saga_folder import SETTINGS

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
TOKEN = "outer-token"
APPLICATION = "campaigns-here"
ROLES = ("planner", "implementer", "optimizer", "analyzer", "evaluator", "selector")
CAMPAIGN = {**SETTINGS, "rounds": 2, "level": "autopilot"}
PLAN = PlanRequest(goal="hard crystals", round=1, limit=3)


@dataclass(frozen=True)
class Served:
    url: str
    folder: Path

    def ask(self, method: str, path: str, json_: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {TOKEN}", **headers}
        return httpx.request(method, f"{self.url}{path}", json=json_, headers=sent, timeout=120.0)

    def begin(self, name: str, **settings: Any) -> Path:
        """Begins a campaign; its folder."""
        asked = {"settings": {**CAMPAIGN, **settings, "name": name}}
        answer = self.ask("POST", "/campaigns", asked)
        assert answer.status_code == 201, answer.text
        return self.folder / name

    def prepared(self, name: str, **orders: str) -> Path:
        """A campaign's folder before it begins, with orders for its roles."""
        folder = self.folder / name
        folder.mkdir()
        for verb, order in orders.items():
            (folder / f"{verb}.order").write_text(order)
        return folder

    def state(self, name: str) -> str:
        return str(self.ask("GET", f"/campaigns/{name}").json()["state"])

    def answers(self) -> bool:
        """Whether the service is there; it is not for a while after a kill."""
        try:
            return httpx.get(f"{self.url}/health", timeout=10.0).is_success
        except httpx.TransportError:
            return False

    def ended(self, name: str) -> bool:
        return eventually(lambda: self.state(name) != "running", 180.0)


def calls(folder: Path, verb: str = "") -> list[tuple[str, int, int]]:
    """Verb, round and process of each call of a role."""
    if not (folder / "calls").exists():
        return []
    rows = [line.split() for line in (folder / "calls").read_text().splitlines()]
    return [(name, int(place), int(pid)) for name, place, pid in rows if verb in ("", name)]


def kinds(folder: Path) -> list[str]:
    path = folder / "events.jsonl"
    return [event.kind for event in read_events(path)] if path.exists() else []


def outcome(folder: Path) -> str:
    """Digest of everything but the campaign's name."""
    return digest(e for e in read_events(folder / "events.jsonl") if e.kind != "started")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    import ray
    from ray import serve

    from ray_matdesign.serve.saga import app

    folder = tmp_path_factory.mktemp("campaigns")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_MATDESIGN_SAGA_TOKEN", TOKEN)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, sys.path)]))
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
        few = {"cpus": 0.1, "max_ongoing_requests": 4}
        application = app(
            {
                "folder": str(folder),
                "token_env": "RAY_MATDESIGN_SAGA_TOKEN",
                "factory": "slow_roles:roles_in",
                "roles": {role: {**few, "timeout_s": 120.0} for role in ROLES},
                "max_campaigns": 3,
                "max_request_bytes": 20_000,
                "poll_s": 0.1,
            }
        )
        serve.run(application, route_prefix="/", name=APPLICATION)
        yield Served(f"http://127.0.0.1:{port}", folder)
        serve.shutdown()
        ray.shutdown()
    assert eventually(lambda: not ray_processes())


@pytest.fixture
def roles(served: Served) -> Callable[..., Any]:
    """Makes the roles of a campaign, as its controller has them."""
    from ray_matdesign.serve.saga_roles import RolesOnServe
    from ray_matdesign.serve.saga_settings import ServedRolesSettings

    def make(folder: Path, **planner: Any) -> RolesOnServe:
        settings = ServedRolesSettings.model_validate({"planner": planner})
        return RolesOnServe(folder, APPLICATION, settings)

    return make


def test_a_role_answers_with_its_type(served: Served, roles: Any) -> None:
    plan = roles(served.prepared("typed")).plan(PLAN)
    assert [one.spec.name for one in plan.objectives] == ["density"]


def test_a_role_that_refuses_says_so_with_its_own_error(served: Served, roles: Any) -> None:
    with pytest.raises(RoleError, match="all 10 tokens are spent") as raised:
        roles(served.prepared("refused", plan="refuse")).plan(PLAN)
    assert (raised.value.role, raised.value.kind) == ("planner", "budget")


def test_a_slip_in_a_role_is_one_line(served: Served, roles: Any) -> None:
    with pytest.raises(RoleError) as raised:
        roles(served.prepared("slipped", plan="break")).plan(PLAN)
    assert str(raised.value) == "planner: ZeroDivisionError: a slip; its replica's log has more"
    assert raised.value.kind == "run"


def test_what_takes_too_long_is_given_up(served: Served, roles: Any) -> None:
    patient = roles(served.prepared("late", plan="sleep 8"), timeout_s=3.0)
    begun = time.monotonic()
    with pytest.raises(RoleError, match=r"no answer within 3 s \(roles.planner.timeout_s\)"):
        patient.plan(PLAN)
    assert time.monotonic() - begun < 12.0


def test_a_replica_killed_in_mid_request_costs_a_retry(served: Served, roles: Any) -> None:
    folder = served.prepared("killed", plan="sleep 5")
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(roles(folder).plan(PLAN)))
    asking.start()
    assert eventually(lambda: len(calls(folder)) == 1)
    (_, _, first) = calls(folder)[0]
    (folder / "plan.order").unlink()
    os.kill(first, signal.SIGKILL)
    asking.join()
    assert [one.spec.name for one in answers[0].objectives] == ["density"]
    _, (_, _, second) = calls(folder)
    assert second != first


def test_a_role_that_is_lost_twice_is_a_typed_error(served: Served, roles: Any) -> None:
    folder = served.prepared("lost", select="die")
    with pytest.raises(RoleError, match="lost in mid-request, 2 times") as raised:
        roles(folder).select(
            SelectRequest(goal="hard crystals", objectives=(), candidates=(), count=1)
        )
    assert (raised.value.role, raised.value.kind) == ("selector", "lost")
    assert len(calls(folder)) == 2


def test_who_asks_again_waits_for_what_goes_on_unheard(served: Served, roles: Any) -> None:
    folder = served.prepared("twice", plan="sleep 2")
    asking = [threading.Thread(target=roles(folder).plan, args=(PLAN,)) for _ in range(2)]
    begun = time.monotonic()
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert time.monotonic() - begun > 3.9


def test_a_campaign_runs_from_its_beginning_to_its_report(served: Served) -> None:
    folder = served.begin("whole")
    assert served.ended("whole")
    found = served.ask("GET", "/campaigns/whole").json()
    assert (found["state"], found["rounds_done"], found["evaluated"]) == ("finished", 2, 32)
    steps = ("plan", "implement", "optimize", "analyze")
    assert [(verb, place) for verb, place, _ in calls(folder)] == [
        *((verb, place) for place in (1, 2) for verb in steps),
        ("evaluate", 0), ("select", 0), ("evaluate", 0),
    ]  # fmt: skip
    page = served.ask("GET", "/campaigns/whole/report")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "Pass what was held out" in page.text
    assert "whole" in [one["name"] for one in served.ask("GET", "/campaigns").json()]
    assert eventually(lambda: not (folder / ".served").exists())
    answer = served.ask("POST", "/campaigns/whole/resume", {})
    assert (answer.status_code, answer.json()["detail"]) == (409, "the campaign whole is finished")
    assert served.ask("POST", "/campaigns", {"settings": {**CAMPAIGN, "name": "whole"}}
                      ).status_code == 409  # fmt: skip


def test_events_are_told_as_they_come_and_from_where_one_left_off(served: Served) -> None:
    served.begin("followed")
    url, headers = f"{served.url}/campaigns/followed/events", {"Accept": "text/event-stream"}
    headers["Authorization"] = f"Bearer {TOKEN}"
    with httpx.stream("GET", url, headers=headers, timeout=120.0) as answer:
        text = answer.read().decode()
    told = [dict(line.split(": ", 1) for line in one.splitlines()) for one in text.split("\n\n")
            if one]  # fmt: skip
    everything = [json.loads(one["data"]) for one in told[:-1]]
    assert [one["id"] for one in told[:-1]] == [str(n + 1) for n in range(len(everything))]
    assert (told[-1]["event"], json.loads(told[-1]["data"])) == ("end", {"state": "finished"})
    assert served.ask("GET", "/campaigns/followed/events").json() == everything
    later = served.ask("GET", "/campaigns/followed/events?after=3").json()
    assert later == everything[3:]
    again = served.ask("GET", "/campaigns/followed/events", **{**headers, "Last-Event-ID": "3"})
    assert again.text.startswith("id: 4\n")


def test_a_controller_killed_after_a_phase_goes_on_and_asks_nothing_twice(served: Served) -> None:
    undisturbed = served.begin("calm")
    assert served.ended("calm")
    import ray

    from ray_matdesign.serve.saga_controller import find

    served.prepared("shaken", optimize="sleep 4")
    folder = served.begin("shaken")
    assert eventually(lambda: len(calls(folder, "optimize")) == 1)
    controller = find(folder)
    assert controller is not None
    killed = ray.get(controller.pid.remote())
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: len(calls(folder, "optimize")) == 2)
    (folder / "optimize.order").unlink()
    assert served.ended("shaken")
    assert served.state("shaken") == "finished"
    for verb in ("plan", "implement", "analyze", "select"):
        assert len(calls(folder, verb)) == len(calls(undisturbed, verb))
    assert "resumed" in kinds(folder)
    assert outcome(folder) == outcome(undisturbed)


def test_a_campaign_waits_for_people_over_http(served: Served) -> None:
    served.begin("reviewed", level="co-pilot", rounds=1)
    pending = "/campaigns/reviewed/reviews?state=pending"
    assert eventually(lambda: bool(served.ask("GET", pending).json()))
    (review,) = served.ask("GET", pending).json()
    assert (review["number"], review["gate"]) == (1, "plan")
    path = "/campaigns/reviewed/reviews/1"
    assert served.ask("GET", path).json() == review
    assert served.ask("POST", path, {"decision": "edit"}).status_code == 422
    assert served.ask("POST", path, {"decision": "reject"}).status_code == 409
    assert served.ask("POST", path, {"decision": "edit", "content": {"objectives": 3}}
                      ).status_code == 409  # fmt: skip
    decided = served.ask("POST", path, {"decision": "approve", "by": "Ada"})
    assert (decided.status_code, decided.json()["state"]) == (200, "approved")
    assert served.ask("POST", path, {"decision": "approve"}).status_code == 409
    assert eventually(lambda: bool(served.ask("GET", pending).json()))
    (review,) = served.ask("GET", pending).json()
    served.ask("POST", f"/campaigns/reviewed/reviews/{review['number']}", {"decision": "approve"})
    assert served.ended("reviewed")
    assert served.state("reviewed") == "finished"


@pytest.mark.slow
def test_one_that_breaks_off_can_be_resumed(served: Served) -> None:
    folder = served.prepared("broken", optimize="die")
    served.begin("broken")
    assert served.ended("broken")
    found = served.ask("GET", "/campaigns/broken").json()
    assert found["state"] == "failed"
    assert [(one["role"], one["kind"]) for one in found["failures"]] == [("optimizer", "lost")]
    assert found["error"].startswith("optimizer: its replica was lost in mid-request, 2 times")
    (folder / "optimize.order").unlink()
    assert served.ask("POST", "/campaigns/broken/resume", {}).status_code == 200
    assert served.ended("broken")
    assert served.state("broken") == "finished"
    assert len(calls(folder, "plan")) == 2


@pytest.mark.slow
def test_one_that_is_stopped_stays_so_until_it_is_resumed(served: Served) -> None:
    folder = served.prepared("halted", optimize="sleep 3")
    served.begin("halted")
    assert eventually(lambda: len(calls(folder, "optimize")) == 1)
    stopped = served.ask("POST", "/campaigns/halted/stop", {})
    assert stopped.status_code == 200
    assert served.ended("halted")
    assert served.state("halted") == "stopped"
    assert served.ask("POST", "/campaigns/halted/stop", {}).status_code == 409
    (folder / "optimize.order").unlink()
    served.ask("POST", "/campaigns/halted/resume", {})
    assert served.ended("halted")
    assert served.state("halted") == "finished"


@pytest.mark.slow
def test_the_service_comes_back_to_what_it_was_at_work_on(served: Served) -> None:
    import ray

    from ray_matdesign.serve.saga_controller import find

    folder = served.prepared("orphaned", optimize="sleep 60")
    served.begin("orphaned")
    assert eventually(lambda: len(calls(folder, "optimize")) == 1)
    controller = find(folder)
    ray.kill(controller, no_restart=True)
    assert eventually(lambda: served.state("orphaned") == "stopped")
    (folder / "optimize.order").unlink()
    os.kill(calls(folder, "optimize")[0][2], signal.SIGKILL)
    (ingress,) = (p for p in ray_processes() if f"{APPLICATION}:campaigns" in " ".join(p.cmdline()))
    ingress.kill()
    assert eventually(lambda: served.answers() and served.state("orphaned") == "finished", 180.0)
    assert len(calls(folder, "plan")) == 2


def test_who_may_not_ask_and_what_is_not_there(served: Served) -> None:
    assert httpx.get(f"{served.url}/campaigns", timeout=60.0).status_code == 401
    assert httpx.get(f"{served.url}/health", timeout=60.0).json()["status"] == "ok"
    paths = httpx.get(f"{served.url}/openapi.json", timeout=60.0).json()["paths"]
    assert "/campaigns/{name}/reviews/{number}" in paths
    assert served.ask("GET", "/campaigns/none").status_code == 404
    assert served.ask("GET", "/campaigns/..%2Fcampaigns").status_code == 404
    assert served.ask("POST", "/campaigns", {"campaign": "x" * 30_000}).status_code == 413
    wrong = {"settings": {**CAMPAIGN, "rounds": 0, "goal": 3}}
    answer = served.ask("POST", "/campaigns", wrong)
    assert answer.status_code == 422
    assert [line.split(": ")[1] for line in answer.json()["detail"].splitlines()] == [
        "goal", "rounds",
    ]  # fmt: skip
    unknown = served.ask("POST", "/campaigns", {"campaign": "superheavy"})
    assert unknown.status_code == 422
    assert "there is no 'superheavy'" in unknown.json()["detail"]
    assert served.ask("POST", "/campaigns", {}).status_code == 422


@pytest.mark.slow
def test_no_more_campaigns_than_there_is_room_for(served: Served) -> None:
    waiting = {"level": "co-pilot"}
    names = [f"many-{n}" for n in range(3)]
    for name in names:
        served.begin(name, **waiting)
    refused = served.ask("POST", "/campaigns", {"settings": {**CAMPAIGN, "name": "more"}})
    assert refused.status_code == 409
    assert "3 campaigns are under way, and max_campaigns is 3" in refused.json()["detail"]
    for name in names:
        assert served.ask("POST", f"/campaigns/{name}/stop", {}).status_code == 200


def test_mistakes_are_told_before_anything_is_deployed() -> None:
    from ray_matdesign.serve.saga import app

    with pytest.raises(ConfigError, match=r"args of the application: roles.planer: unknown key"):
        app({"folder": "campaigns", "roles": {"planer": {}}})
