"""Campaigns from plan to phase, at laboratories that fail and processes that die."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from lab_fixtures import NO_MISHAPS, laboratory

from ray_matdesign.agents.laboratory.book import HandClock
from ray_matdesign.agents.laboratory.campaign import Campaign, Outcome
from ray_matdesign.agents.laboratory.instruments import (
    Mishaps,
    conductivity_s_per_cm,
    mass_fractions,
)
from ray_matdesign.agents.laboratory.interface import LabUnreachable
from ray_matdesign.agents.laboratory.journal import JOURNAL, BadCampaign, CampaignSettings
from ray_matdesign.agents.laboratory.messages import Job, Limits, Order
from ray_matdesign.agents.laboratory.planning import Route, routes
from ray_matdesign.agents.laboratory.simulated import SimulatedLab

CHLORIDES = ("LiCl", "FeCl2", "NiCl2")
AGREED = Limits(agreed=("NiCl2",))


@pytest.fixture(scope="module")
def chlorides() -> list[Route]:
    return routes("Li2Fe0.8Ni0.2Cl4", stock=CHLORIDES)


def settings(**more: object) -> CampaignSettings:
    fields = {"target": "Li2Fe0.8Ni0.2Cl4", "temperatures_c": (400.0, 500.0, 600.0), **more}
    return CampaignSettings.model_validate(fields)


def run(
    lab: SimulatedLab, clock: HandClock, folder: Path, planned: Sequence[Route], **more: object
) -> Outcome:
    campaign = Campaign(
        settings(**more),
        lab,
        folder,
        wait=lambda: clock.advance(2.0),
        planned=planned,
        name="test",
    )
    return campaign.run()


def test_the_chloride_is_made_and_its_conductivity_measured(
    tmp_path: Path, chlorides: list[Route]
) -> None:
    lab, clock = laboratory(tmp_path, limits=AGREED)
    outcome = run(lab, clock, tmp_path / "c", chlorides, conductivity=True)
    made = outcome.found
    assert made is not None
    assert made.sample is not None
    assert made.purity is not None
    truth = lab.truth(made.sample)
    assert made.purity == pytest.approx(mass_fractions(truth)["Li2Fe0.8Ni0.2Cl4"], abs=0.03)
    assert made.lattice_angstrom is not None
    stretch = truth.stretches["Li2Fe0.8Ni0.2Cl4"][0]
    assert made.lattice_angstrom[0] == pytest.approx(10.38 * (1.0 + stretch), rel=0.001)
    assert outcome.conducted is not None
    true = conductivity_s_per_cm(truth, 25.0)
    assert outcome.conducted.conductivity_s_per_cm == pytest.approx(true, rel=0.02)
    ordered = [job for done in outcome.experiments for job in done.jobs]
    assert sorted([*ordered, *outcome.conducted.jobs]) == [job.id for job in lab.jobs()]
    # Run again, it finds everything done and orders nothing.
    assert run(lab, clock, tmp_path / "c", chlorides, conductivity=True) == outcome
    assert len(lab.jobs()) == len(ordered) + 1


def test_failures_are_tried_again_and_recorded(tmp_path: Path, chlorides: list[Route]) -> None:
    mishaps = Mishaps(furnace=0.4, sample_lost=0.1, measurement=0.3)
    lab, clock = laboratory(tmp_path, limits=AGREED, mishaps=mishaps, seed=3)
    outcome = run(lab, clock, tmp_path / "c", chlorides)
    assert outcome.found is not None
    states = [job.state for job in lab.jobs()]
    assert states.count("failed") > 0
    ordered = [job for done in outcome.experiments for job in done.jobs]
    assert sorted(ordered) == [job.id for job in lab.jobs()]
    for done in outcome.experiments:
        assert (done.purity is None) == bool(done.reason)


def test_what_nobody_agrees_to_is_set_aside(tmp_path: Path, chlorides: list[Route]) -> None:
    lab, clock = laboratory(tmp_path)  # NiCl2 wants approval, and every route needs it
    outcome = run(lab, clock, tmp_path / "c", chlorides)
    assert outcome.found is None
    assert len(outcome.experiments) == len(chlorides)  # each route is asked for once
    (reason,) = {done.reason.split(":")[0] for done in outcome.experiments}
    assert reason == "cancelled"
    assert {job.state for job in lab.jobs()} == {"cancelled"}


def test_what_is_unsafe_is_refused_and_recorded(tmp_path: Path, chlorides: list[Route]) -> None:
    limits = Limits(agreed=("NiCl2",), max_temperature_c=450.0)
    lab, clock = laboratory(tmp_path, limits=limits, seed=2)
    outcome = run(lab, clock, tmp_path / "c", chlorides, temperatures_c=(600.0,), budget=4)
    assert {done.reason for done in outcome.experiments} == {
        "refused: 600 C is beyond the furnace's limit of 450 C"
    }
    assert lab.jobs() == []


def test_the_budget_is_kept(tmp_path: Path, chlorides: list[Route]) -> None:
    lab, clock = laboratory(tmp_path, limits=AGREED)
    outcome = run(
        lab, clock, tmp_path / "c", chlorides, goal=1.0, budget=2, temperatures_c=(300.0,)
    )
    assert outcome.found is None
    assert len(outcome.experiments) == 2


class Flaky:
    """A network that swallows every other request, half of them after they arrived."""

    def __init__(self, lab: SimulatedLab) -> None:
        self._lab = lab
        self._count = 0
        self.about = lab.about
        self.jobs = lab.jobs
        self.cancel = lab.cancel

    def _fails(self) -> None:
        self._count += 1
        if self._count % 2:
            raise LabUnreachable("no answer")

    def submit(self, order: Order) -> Job:
        job = self._lab.submit(order)  # it arrives; the answer may not
        self._fails()
        return job

    def job(self, job: str) -> Job:
        self._fails()
        return self._lab.job(job)

    def result(self, job: str) -> object:
        self._fails()
        return self._lab.result(job)


def test_answers_that_get_lost_order_nothing_twice(tmp_path: Path, chlorides: list[Route]) -> None:
    lab, clock = laboratory(tmp_path, limits=AGREED)
    outcome = run(Flaky(lab), clock, tmp_path / "c", chlorides)
    assert outcome.found is not None
    ordered = [job for done in outcome.experiments for job in done.jobs]
    assert ordered == [job.id for job in lab.jobs()]


CLIENT = """
import sys, time
from pathlib import Path
from lab_fixtures import NO_MISHAPS
from test_campaign import AGREED, settings
from ray_matdesign.agents.laboratory.campaign import Campaign
from ray_matdesign.agents.laboratory.planning import routes
from ray_matdesign.agents.laboratory.simulated import SimulatedLab
folder = Path(sys.argv[1])
planned = routes("Li2Fe0.8Ni0.2Cl4", stock=("LiCl", "FeCl2", "NiCl2"))
lab = SimulatedLab(folder / "book.sqlite", limits=AGREED, mishaps=NO_MISHAPS, hours_per_s=2000.0)
wait = lambda: time.sleep(0.01)
unreached = settings(temperatures_c=(300.0, 350.0), budget=4)
campaign = Campaign(unreached, lab, folder / "c", wait=wait, planned=planned)
print("up", flush=True)
campaign.run()
"""


def test_a_campaign_killed_at_any_moment_does_every_experiment_once(
    tmp_path: Path, chlorides: list[Route]
) -> None:
    chance = random.Random(1)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    lab = SimulatedLab(
        tmp_path / "book.sqlite", limits=AGREED, mishaps=NO_MISHAPS, hours_per_s=2000.0
    )
    campaign = Campaign(
        settings(temperatures_c=(300.0, 350.0), budget=4),
        lab,
        tmp_path / "c",
        wait=lambda: time.sleep(0.01),
        planned=chlorides,
    )
    outcome = campaign.run()
    assert [done.number for done in outcome.experiments] == [1, 2, 3, 4]
    ordered = [job for done in outcome.experiments for job in done.jobs]
    assert ordered == [job.id for job in lab.jobs()]
    assert len(ordered) == 8  # a synthesis and a pattern each
    lines = (tmp_path / "c" / JOURNAL).read_text().splitlines()
    assert len(lines) == 8  # begun and done, each once


def test_folders_of_other_campaigns_are_refused(tmp_path: Path, chlorides: list[Route]) -> None:
    lab, clock = laboratory(tmp_path, limits=AGREED)
    Campaign(settings(), lab, tmp_path / "c", wait=lambda: None, planned=chlorides)
    with pytest.raises(BadCampaign, match="begun with other settings"):
        run(lab, clock, tmp_path / "c", chlorides, goal=0.5)
    with pytest.raises(BadCampaign, match="UO2: no reference phase to recognise it by"):
        run(lab, clock, tmp_path / "d", chlorides, target="UO2")
