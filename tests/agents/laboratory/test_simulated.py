"""The simulated laboratory through the interface of a real one."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_fixtures import NO_MISHAPS, batio3, laboratory, order

from ray_matdesign.agents.laboratory.book import BadBook, Book, HandClock, StoredClock, WallClock
from ray_matdesign.agents.laboratory.instruments import Mishaps, mass_fractions
from ray_matdesign.agents.laboratory.interface import (
    Busy,
    KeyReused,
    NotReady,
    UnknownJob,
    Unsafe,
)
from ray_matdesign.agents.laboratory.messages import (
    Impedance,
    Limits,
    Pattern,
    Sample,
    Spectrum,
    Xrd,
)
from ray_matdesign.agents.laboratory.simulated import SimulatedLab

QUICK_XRD = {"from_deg": 20.0, "to_deg": 40.0}


def made(lab: SimulatedLab, clock: HandClock, key: str = "s", **options: object) -> str:
    """A sample."""
    job = lab.submit(order(key, batio3(**options)))
    clock.advance(100.0)
    result = lab.result(job.id)
    assert isinstance(result, Sample)
    return result.sample


def test_a_synthesis_goes_through_its_states(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    job = lab.submit(order("s1", batio3(1100.0, 12.0)))
    assert (job.state, job.device) == ("running", "furnace-1")
    with pytest.raises(NotReady, match="job-000001 is running"):
        lab.result(job.id)
    clock.advance(12.0)
    assert lab.job(job.id).state == "running"
    clock.advance(12.0)
    ended = lab.job(job.id)
    # Half an hour of weighing and of milling each, 1075 K up and down at 5 K/min, 12 h.
    assert ended.state == "done"
    assert ended.ended_h == pytest.approx(0.5 + 0.5 + 2 * 1075 / 5 / 60 + 12.0, abs=1e-6)
    result = lab.result(job.id)
    assert isinstance(result, Sample)
    assert result.mass_g < 1.7 * (1.0 + 79.87 / 197.34)  # CO2 has left


def test_hotter_is_purer_for_barium_titanate(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    shares = [
        mass_fractions(lab.truth(made(lab, clock, f"s{t:g}", temperature_c=t))).get("BaTiO3", 0.0)
        for t in (700.0, 1000.0, 1200.0)
    ]
    assert shares[0] < 0.3 < shares[1] + 0.2 < shares[2] + 0.2
    assert shares[2] > 0.95


def test_devices_are_queued_for(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    jobs = [lab.submit(order(f"s{i}", batio3(900.0, 4.0))) for i in range(4)]
    assert [job.state for job in jobs] == ["running", "running", "queued", "queued"]
    assert [job.ahead for job in jobs] == [0, 0, 0, 1]
    clock.advance(1000.0)
    ended = lab.jobs()
    assert [job.state for job in ended] == ["done"] * 4
    assert ended[2].started_h == ended[0].ended_h
    assert {ended[0].device, ended[1].device} == {"furnace-1", "furnace-2"}


def test_a_cancelled_job_frees_its_device_and_gives_nothing(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    first, _, waits, out = [lab.submit(order(f"s{i}", batio3())) for i in range(4)]
    assert lab.cancel(out.id).state == "cancelled"
    clock.advance(2.0)
    assert lab.cancel(first.id).ended_h == 2.0
    assert lab.job(waits.id).started_h == 2.0
    clock.advance(100.0)
    assert lab.cancel(waits.id).state == "done"  # what has ended stays as it is
    with pytest.raises(NotReady, match="is cancelled: on request"):
        lab.result(first.id)
    with pytest.raises(UnknownJob, match="no sample 'sample-000001'"):
        lab.submit(order("x", Xrd(sample="sample-000001")))


def test_one_key_is_one_job(tmp_path: Path) -> None:
    lab, _ = laboratory(tmp_path)
    first = lab.submit(order("key", batio3()))
    assert lab.submit(order("key", batio3())).id == first.id
    with pytest.raises(KeyReused, match="key: stands for other work, of job-000001"):
        lab.submit(order("key", batio3(900.0)))
    assert len(lab.jobs()) == 1


def test_measurements_need_a_sample_and_give_the_same_again(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    with pytest.raises(UnknownJob, match="no sample 'sample-000009'"):
        lab.submit(order("x", Xrd(sample="sample-000009")))
    sample = made(lab, clock)
    jobs = [
        lab.submit(order("x", Xrd(sample=sample, **QUICK_XRD))),
        lab.submit(order("z", Impedance(sample=sample))),
    ]
    clock.advance(10.0)
    pattern, spectrum = (lab.result(job.id) for job in jobs)
    assert isinstance(pattern, Pattern)
    assert isinstance(spectrum, Spectrum)
    other = tmp_path / "other"
    other.mkdir()
    again, clock = laboratory(other)
    assert made(again, clock) == sample
    job = again.submit(order("x", Xrd(sample=sample, **QUICK_XRD)))
    clock.advance(10.0)
    assert again.result(job.id) == pattern


def test_limits_are_the_laboratorys(tmp_path: Path) -> None:
    lab, _ = laboratory(tmp_path, limits=Limits(max_temperature_c=1000.0, max_open_jobs=1))
    with pytest.raises(Unsafe, match="1100 C is beyond the furnace's limit of 1000 C"):
        lab.submit(order("s", batio3(1100.0)))
    lab.submit(order("s", batio3(900.0)))  # a refused order has not used its key up
    with pytest.raises(Busy, match="1 jobs are open"):
        lab.submit(order("s2", batio3(900.0)))
    assert lab.about().limits.max_temperature_c == 1000.0
    assert len(lab.jobs()) == 1


def test_what_wants_approval_waits_for_a_person(tmp_path: Path) -> None:
    lab, clock = laboratory(tmp_path)
    job = lab.submit(order("s", batio3(900.0, barium="BaO2")))
    assert job.state == "awaiting_approval"
    assert job.reason == "a person has to agree to BaO2 (oxidiser)"
    clock.advance(50.0)
    assert lab.job(job.id).state == "awaiting_approval"
    approved = lab.approve(job.id, "R. Hooke")
    assert (approved.state, approved.started_h) == ("running", 50.0)
    clock.advance(50.0)
    done = lab.job(job.id)
    assert (done.state, done.reason) == ("done", "approved by R. Hooke: BaO2 (oxidiser)")


def test_mishaps_happen_as_often_as_they_should(tmp_path: Path) -> None:
    mishaps = Mishaps(furnace=0.3, sample_lost=0.0, measurement=0.0, delay_h=0.0)
    limits = Limits(max_open_jobs=200)
    lab, clock = laboratory(tmp_path, mishaps=mishaps, limits=limits)
    for i in range(60):
        lab.submit(order(f"s{i}", batio3(400.0, 0.1)))
    clock.advance(1e5)
    states = [job.state for job in lab.jobs()]
    assert 8 <= states.count("failed") <= 30  # 18 expected; outside once in 2000 draws
    assert states.count("done") + states.count("failed") == 60
    failed = next(job for job in lab.jobs() if job.state == "failed")
    assert failed.reason.startswith("the furnace tripped at")


def test_a_book_belongs_to_one_laboratory(tmp_path: Path) -> None:
    lab, _ = laboratory(tmp_path, seed=1)
    lab.close()
    with pytest.raises(BadBook, match="begun with seed 1, not 2"):
        laboratory(tmp_path, seed=2)
    (tmp_path / "text").write_text("no book, but a text that is long enough to be one " * 20)
    with pytest.raises(BadBook, match="not a laboratory's book"):
        Book(tmp_path / "text")


def test_clocks_go_on_where_they_stood(tmp_path: Path) -> None:
    stored = StoredClock(tmp_path / "clock")
    stored.advance(2.5)
    assert StoredClock(tmp_path / "clock").now_h() == 2.5
    book = Book(tmp_path / "book")
    clock = WallClock(book, 1000.0)
    time.sleep(0.02)
    later = WallClock(book, 1000.0).now_h()
    assert later >= 20.0
    assert clock.now_h() >= later


@settings(max_examples=15, deadline=None)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from(["submit", "cancel", "wait"]), st.integers(0, 5)), max_size=25
    )
)
def test_whatever_happens_no_device_does_two_things_at_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    lab, clock = laboratory(tmp_path_factory.mktemp("lab"))
    for what, n in actions:
        if what == "submit":
            lab.submit(order(f"s{n}", batio3(300.0 + 10.0 * n, 1.0)))
        elif what == "wait":
            clock.advance(0.7 * n)
        elif (jobs := lab.jobs()) and n < len(jobs):
            lab.cancel(jobs[n].id)
    clock.advance(1000.0)
    jobs = lab.jobs()
    assert len({job.key for job in jobs}) == len(jobs)
    assert all(job.ended for job in jobs)
    for device in {job.device for job in jobs if job.device}:
        spans = sorted((j.started_h, j.ended_h) for j in jobs if j.device == device)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


CLIENT = """
import sys
from pathlib import Path
from lab_fixtures import NO_MISHAPS, batio3, order
from ray_matdesign.agents.laboratory.simulated import SimulatedLab
lab = SimulatedLab(Path(sys.argv[1]), mishaps=NO_MISHAPS, hours_per_s=200.0)
print("up", flush=True)
for i in range(40):
    lab.submit(order(f"s{i}", batio3(400.0, 0.1)))
    lab.jobs()
"""


def test_a_laboratory_killed_at_any_moment_has_every_experiment_once(tmp_path: Path) -> None:
    """The same orders, sent by process after process, each killed in the middle of its work."""
    book = tmp_path / "book"
    chance = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(book)],
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            },
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    lab = SimulatedLab(book, mishaps=NO_MISHAPS, hours_per_s=1e6)
    for i in range(40):
        lab.submit(order(f"s{i}", batio3(400.0, 0.1)))
    time.sleep(0.1)
    jobs = lab.jobs()
    assert sorted(job.key for job in jobs) == sorted(f"s{i}" for i in range(40))
    assert all(job.state in ("done", "running", "queued") for job in jobs)
    time.sleep(0.5)
    results = {job.key: lab.result(job.id) for job in lab.jobs() if job.state == "done"}
    assert len(results) == 40
    assert len({result.sample for result in results.values()}) == 40
    undisturbed, clock = laboratory(tmp_path)
    for i in range(40):
        undisturbed.submit(order(f"s{i}", batio3(400.0, 0.1)))
    clock.advance(1e5)
    masses = {job.key: undisturbed.result(job.id).mass_g for job in undisturbed.jobs()}
    assert {key: result.mass_g for key, result in results.items()} == masses
