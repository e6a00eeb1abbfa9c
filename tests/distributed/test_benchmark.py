from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ray_matdesign.agents.benchmark.attempts import SolverStopped
from ray_matdesign.agents.benchmark.journal import Finished, Journal, read_run
from ray_matdesign.agents.benchmark.running import run
from ray_matdesign.distributed.benchmark import RayLanes

sys.path.insert(0, str(Path(__file__).parents[1] / "agents" / "benchmark"))

from sums import suite

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

ITEMS = suite().items()


def attempts(folder: Path, *, deadline_s: float = 200.0, **manner: str) -> list[Finished]:
    with RayLanes("sums:adding", manner, deadline_s=deadline_s, workers=2, cpus=0.5) as lanes:
        return run(ITEMS, lanes, Journal(folder, {}), repetitions=2)


def test_attempts_are_made_side_by_side_in_folders_of_their_own(
    local_ray: None, tmp_path: Path
) -> None:
    (tmp_path / "graves").mkdir()
    finished = attempts(
        tmp_path / "run", broken="red.v0.l1", dies_once="blue", graves=str(tmp_path / "graves")
    )
    assert len(finished) == len({(f.task, f.repetition) for f in finished}) == 16
    outcomes = {(f.task, f.repetition): f.outcome for f in finished}
    assert outcomes.pop(("red.v0.l1", 0)) == outcomes.pop(("red.v0.l1", 1)) == "lost"
    # Those whose worker died once were made again.
    assert set(outcomes.values()) == {"right"}
    notes = {path.read_text() for path in (tmp_path / "run" / "attempts").glob("*/*/note.txt")}
    assert notes == {f"{f.task} {f.repetition}" for f in finished}


def test_who_is_late_is_killed_and_who_dies_twice_is_lost(local_ray: None, tmp_path: Path) -> None:
    finished = attempts(tmp_path, deadline_s=3.0, late="green.v0.l0", dies="white.v0.l1")
    failed = {f.task: (f.outcome, f.reason) for f in finished if f.outcome != "right"}
    assert failed.keys() == {"green.v0.l0", "white.v0.l1"}
    assert failed["green.v0.l0"] == ("timeout", "no answer within 3 s")
    assert failed["white.v0.l1"][0] == "lost"


def test_a_model_out_of_reach_stops_the_run(local_ray: None, tmp_path: Path) -> None:
    with pytest.raises(SolverStopped, match="nobody answers"):
        attempts(tmp_path, out_of_reach="white")
    assert {f.outcome for f in read_run(tmp_path)} <= {"right"}
