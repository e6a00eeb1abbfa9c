"""The folder of a campaign as a real one writes it, filled with invented crystals.

The files come from the writers of ``ray_matdesign.agents.saga``; only crystals and figures are made
up: two rounds, of which the second adds an objective, drops one, and does better.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ray_matdesign.agents.llm.logged import Logged
from ray_matdesign.agents.llm.protocol import Message, Request
from ray_matdesign.agents.llm.scripted import Scripted
from ray_matdesign.agents.saga.events import (
    EVENTS_NAME,
    Agreement,
    Decision,
    EventLog,
    Failure,
    Reviewed,
)
from ray_matdesign.agents.saga.population import Member, write_population
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    Chosen,
    Dropped,
    Evaluated,
    Finding,
    Implementation,
    Implemented,
    Optimized,
    Plan,
    Planned,
    Selection,
    Statistic,
    Statistics,
)
from ray_matdesign.agents.saga.reviews import ReviewQueue
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.config.loading import dump
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.crystal import Crystal

SETTINGS = {
    "name": "hard-light",
    "goal": "Hard crystals of <light> elements & nothing rare.",
    "base": {"recipe": "density-demo"},
    "objectives": [
        {
            "spec": {
                "name": "density",
                "description": "Mass density; light crystals are wanted.",
                "kind": "candidate",
                "direction": "minimize",
                "quantity": "mass density",
                "unit": "g/cm3",
                "inputs": ["structure", "composition"],
            },
            "low": 2.0,
            "high": 10.0,
        }
    ],
    "rounds": 4,
    "level": "semi-pilot",
    "held_out": [{"name": "e_above_hull", "scorer": "e_above_hull", "max": 0.1}],
}


class Started(Settings):
    """Data of the first event, as far as these tests care."""

    name: str = "hard-light"


class Finished(Settings):
    """Data of the last one."""

    digest: str = "0" * 64


def planned(since: int) -> tuple[Planned, ...]:
    """The objectives of a round: the initial one, and the planner's from the second on."""
    first = SagaSettings.model_validate(SETTINGS).objectives[0]
    found = [Planned(spec=first.spec, low=2.0, high=10.0, origin="initial", since=1)]
    if since > 1:
        spec = {
            "name": "light_share",
            "description": "Share of B, C, N and O.",
            "kind": "candidate",
            "direction": "maximize",
            "quantity": "share of light elements",
            "inputs": ["composition"],
        }
        why = "mean.density fell while heavy oxides <stayed>"
        found.append(
            Planned.model_validate(
                {"spec": spec, "low": 0.0, "high": 1.0, "origin": "planner", "since": 2, "why": why}
            )
        )
    return tuple(found)


def implemented(number: int) -> tuple[Implemented, ...]:
    """The same with their scorers."""
    first, *more = planned(number)
    found = [
        Implemented(objective=first, outcome="reused", scorer="density", column="density",
                    low=2.0, high=10.0)
    ]  # fmt: skip
    found += [
        Implemented(objective=one, outcome="written", scorer="written:light_share",
                    artifact="light_share-0.json", column="light_share", low=0.0, high=1.0,
                    attempts=2, reason="written as declarative, attempt 2")
        for one in more
    ]  # fmt: skip
    return tuple(found)


def members(number: int) -> list[Member]:
    """Twelve crystals; those of later rounds are lighter."""
    rng = np.random.default_rng(number)
    found = []
    for index in range(12):
        metal, anion = int(rng.integers(11, 30)), int(rng.integers(5, 9))
        sites = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
        crystal = Crystal(np.eye(3) * rng.uniform(2.6, 3.4), sites, [metal, anion])
        values = {"density": float(rng.uniform(2.0, 9.0) / number)}
        if number > 1:
            values["light_share"] = 0.5
        found.append(
            Member(
                id=f"{number:02d}-00001-{index:04d}",
                round=number,
                loop=1,
                generated=crystal,
                relaxed=crystal,
                energy_ev_per_atom=-4.0,
                formation_energy_ev_per_atom=-0.5,
                e_above_hull_ev_per_atom=float(rng.uniform(0.0, 0.2)),
                reward=float(rng.uniform(0.2, 0.9)),
                values=values,
            )
        )
    return found


def write_campaign(folder: Path, *, rounds: int = 2, finished: bool = True) -> Path:
    """Writes a campaign that got as far as so many rounds."""
    folder.mkdir(parents=True)
    (folder / "saga.yaml").write_text(dump(SagaSettings.model_validate(SETTINGS)))
    log = EventLog(folder / EVENTS_NAME)
    log.append("started", "started", Started())
    for number in range(1, rounds + 1):
        write_round(folder, log, number, last=finished and number == rounds)
    if finished:
        write_end(folder, log, rounds)
    return folder


def write_round(folder: Path, log: EventLog, number: int, *, last: bool) -> None:
    """Everything that a round leaves."""
    place = f"round-{number}"
    lost = (Dropped(name="toughness", attempt=1, reason="no formula is <known>"),)
    dropped = lost if number == 2 else ()
    plan = Plan(thoughts="Lighter & harder.", objectives=planned(number))
    log.append("planned", f"{place}/plan-1", plan, in_round=number, seconds=12.0)
    made = Implementation(implemented=implemented(number), dropped=dropped)
    log.append("implemented", f"{place}/implement-1", made, in_round=number, seconds=2.0)
    agreed = Agreement(objectives=implemented(number), dropped=dropped)
    log.append("agreed", f"{place}/agreed", agreed, in_round=number)
    names = [one.name for one in implemented(number)]
    (folder / f"rounds/{number:02d}").mkdir(parents=True)
    found = members(number)
    digest = write_population(folder / f"rounds/{number:02d}/population.parquet", found, names)
    optimized = Optimized(
        size=12, sampled=48, evaluated=16, outcomes={"evaluated": 16, "unstable": 32},
        best_reward=0.7 + 0.1 * number, digest=digest,
    )  # fmt: skip
    log.append("optimized", f"{place}/optimize", optimized, in_round=number, seconds=40.0)
    mean = float(np.mean([one.values["density"] for one in found]))
    figure = Statistic(id="mean.density", value=mean, unit="g/cm3", meaning="mean density")
    counted = Statistics(round=number, figures=(figure,))
    log.append("measured", f"{place}/measure", counted, in_round=number)
    analysis = Analysis(
        overview=(Finding(text="Density <fell>.", cites=("mean.density",)),), stop=last
    )
    log.append("analyzed", f"{place}/analyze", analysis, in_round=number, seconds=9.0)
    review = Reviewed(
        number=number, gate="analysis", decision="approved", by="Ada", content=_plain(analysis)
    )
    log.append("reviewed", f"{place}/review", review, in_round=number)
    decision = Decision(stop=last, by="analyzer" if last else "", reason="good enough")
    log.append("decided", f"{place}/decide", decision, in_round=number)
    request = Request("planner", "1", (Message("user", "plan a round"),))
    Logged(Scripted(["a plan of five words"]), folder / "llm.jsonl").ask(request)


def write_end(folder: Path, log: EventLog, rounds: int) -> None:
    """What comes after the rounds."""
    everyone = [one for number in range(1, rounds + 1) for one in members(number)]
    digest = write_population(folder / "final.parquet", everyone, ["density", "light_share"])
    log.append("rescored", "rescore", Evaluated(crystals=len(everyone), digest=digest))
    chosen = Chosen(id="02-00001-0003", why="lightest of all")
    log.append("selected", "select", Selection(chosen=(chosen,)))
    judged = Evaluated(crystals=len(everyone), success=(0.25, 0.5)[:rounds], digest=digest)
    log.append("judged", "judge", judged)
    (folder / "final.json").write_text(json.dumps({"digest": "0" * 64}))
    log.append("finished", "finish", Finished())


def break_off(folder: Path) -> None:
    """A fatal failure at the end of the log."""
    reason = "no answer from http://127.0.0.1:8000"
    failure = Failure(role="planner", kind="unreachable", reason=reason, fatal=True)
    EventLog(folder / EVENTS_NAME).append("failed", "", failure)


def ask_for_review(folder: Path) -> int:
    """A review that waits, of the second round's plan; its number."""
    plan = Plan(objectives=planned(2))
    queue = ReviewQueue(folder / "reviews")
    return queue.open("round-2/plan", "plan", plan, in_round=2, timeout_s=None).number


def _plain(settings: Settings) -> dict[str, object]:
    return settings.model_dump(mode="json")
