"""Training through Ray Train: as one process would, also when a worker is killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
from processes import eventually, ray_processes

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.distributed.training import TrainingFailed, train_on_ray
from ray_matdesign.generators.diffusion.artifact import load_artifact
from ray_matdesign.generators.diffusion.data import PREPARED_NAME, TrainingSet, prepare
from ray_matdesign.generators.diffusion.trainer import TrainingDiverged
from ray_matdesign.generators.diffusion.training import train

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

FACE_CENTRED = np.ones((3, 3)) - np.eye(3)


def settings(workers: int = 2, **changes: object) -> TrainSettings:
    execution = {
        "backend": "ray",
        "workers": workers,
        "cpus_per_worker": 0.5,
        "object_store_mib": 80,
        "restarts": 1,
    }
    fields = {
        "steps": 12,
        "batch_size": 8,
        "micro_batches": 2,
        "precision": "fp32",
        "width": 16,
        "layers": 1,
        "pair_width": 8,
        "warmup_steps": 2,
        "validation_fraction": 0.2,
        "validate_every": 6,
        "checkpoint_every": 4,
        "samples_scored": 2,
        "execution": execution,
    }
    return TrainSettings.model_validate({**fields, **changes})


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Forty rock salts."""
    crystals = [
        Crystal((1.7 + 0.01 * (c + a)) * FACE_CENTRED, [[0, 0, 0], [0.5, 0.5, 0.5]], [c, a])
        for c in (3, 11, 12, 19, 20, 28, 30, 37, 38, 56)
        for a in (8, 9, 16, 17)
    ]
    path = tmp_path / PREPARED_NAME
    prepare(crystals, settings()).save(path)
    return path


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_killed_worker_costs_no_more_than_the_steps_since_the_checkpoint(
    tmp_path: Path, prepared: Path
) -> None:
    seen: list[int] = []
    killed: list[int] = []

    def kill_one(step: int, figures: Mapping[str, float]) -> None:
        seen.append(step)
        assert figures["crystals_per_s"] > 0
        if step >= 5 and not killed:
            worker = next(p for p in ray_processes() if "RayTrainWorker" in " ".join(p.cmdline()))
            killed.append(worker.pid)
            worker.kill()

    long = settings(steps=300, validate_every=150)
    train_on_ray(prepared, long, tmp_path / "ray", progress=kill_one)
    assert len(killed) == 1
    assert not psutil.pid_exists(killed[0])
    assert seen[-1] == 300
    assert not ray.is_initialized()
    assert eventually(lambda: not ray_processes())

    alone = settings(workers=1, steps=300, validate_every=150)
    train(TrainingSet.load(prepared), alone, tmp_path / "alone")
    ours, theirs = records(tmp_path / "ray"), records(tmp_path / "alone")
    assert (
        [record["step"] for record in ours] == [record["step"] for record in theirs] == [150, 300]
    )
    for name in ("total", "val_total", "val_strain", "val_types"):
        assert ours[0][name] == pytest.approx(theirs[0][name], rel=2e-2)
    assert load_artifact(str(tmp_path / "ray")).elements == (
        *(3, 8, 9, 11, 12, 16, 17, 19, 20, 28, 30, 37, 38, 56),
    )


def test_two_workers_do_as_one_process_and_another_number_goes_on(
    tmp_path: Path, prepared: Path
) -> None:
    train_on_ray(prepared, settings(steps=6), tmp_path / "ray")
    train_on_ray(prepared, settings(workers=1), tmp_path / "ray", resume=True)
    train(TrainingSet.load(prepared), settings(workers=1, steps=6), tmp_path / "alone")
    train(TrainingSet.load(prepared), settings(workers=1), tmp_path / "alone", resume=True)
    ours, theirs = records(tmp_path / "ray"), records(tmp_path / "alone")
    assert [record["step"] for record in ours] == [record["step"] for record in theirs] == [6, 12]
    for one, other in zip(ours, theirs, strict=True):
        for name in ("total", "strain", "types", "val_total", "val_strain", "val_types"):
            assert one[name] == pytest.approx(other[name], rel=1e-3)


def test_divergence_is_told_and_not_tried_again(tmp_path: Path, prepared: Path) -> None:
    wild = settings(lr=1e30, clip_norm=1e30, steps=50)
    with pytest.raises(TrainingDiverged, match="training diverged at step"):
        train_on_ray(prepared, wild, tmp_path / "ray")


def test_workers_that_keep_failing_end_the_training_in_one_line(
    tmp_path: Path, prepared: Path
) -> None:
    folder = tmp_path / "ray"

    def spoil(step: int, figures: Mapping[str, float]) -> None:
        for process in ray_processes():
            if "RayTrainWorker" in " ".join(process.cmdline()):
                process.kill()

    with pytest.raises(TrainingFailed, match="good for --resume") as caught:
        train_on_ray(prepared, settings(steps=100_000), folder, progress=spoil)
    assert "\n" not in str(caught.value)
    assert (folder / "training.pt").is_file()
