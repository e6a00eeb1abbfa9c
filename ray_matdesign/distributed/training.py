"""Training on several processes, GPUs or machines, through Ray Train.

The folder of the training stays where the command was given: an actor on that machine, the
*desk*, hands out the crystals and the last checkpoint, and takes in what the first worker keeps.
The machines of the cluster therefore need no file system in common. Workers that die are started
anew by Ray Train, all of them, and go on from the checkpoint at the desk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray.train import torch as ray_train_torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_matdesign.config.schema import ExecutionSettings, TrainSettings
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.generators.diffusion.artifact import Artifact
from ray_matdesign.generators.diffusion.data import TrainingSet
from ray_matdesign.generators.diffusion.outputs import CHECKPOINT_NAME, FolderOutputs
from ray_matdesign.generators.diffusion.parallel import ProcessGroup
from ray_matdesign.generators.diffusion.trainer import Trainer, TrainingDiverged
from ray_matdesign.generators.diffusion.training import Progress, begin, go_on
from ray_matdesign.rl.executor import Role

_POLL_S = 0.2


class TrainingFailed(RuntimeError):
    """Workers died more often than they may be started anew."""


def train_on_ray(
    prepared: Path,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    start_from: Artifact | None = None,
    notes: Mapping[str, Any] | None = None,
    progress: Progress = lambda step, figures: None,
) -> None:
    """Trains a denoiser on ``execution.workers`` processes and leaves it in ``folder``.

    The losses are those of one process to rounding, and a training may be resumed with another
    number of workers.

    Args:
        prepared: File of a training set.
        settings: Hyper-parameters, and where to work.
        folder: As in :func:`~ray_matdesign.generators.diffusion.training.train`.
        resume: Likewise.
        start_from: Likewise.
        notes: Likewise.
        progress: Likewise; steps that follow one another quickly may be passed over.

    Raises:
        CheckpointError: ``resume`` without a usable checkpoint, or weights of another size.
        TrainingDiverged: The loss stopped being a number; the last checkpoint stays as it was.
        TrainingFailed: Workers died, or raised, too often.
        NotEnoughResources: The workers cannot fit.
        ClusterUnreachable: There is no cluster at the address.
    """
    # What cannot work is said here, before anything starts; and workers need only ever resume.
    trainer = Trainer(TrainingSet.load(prepared), settings, torch.device("cpu"))
    begin(trainer, folder, resume=resume, start_from=start_from)
    FolderOutputs(folder).store(CHECKPOINT_NAME, trainer.state())
    execution = settings.execution
    with ThreadPoolExecutor(1) as thread, _session(settings), tempfile.TemporaryDirectory() as own:
        desk = _open_desk(prepared, folder)
        job = {"desk": desk, "settings": settings.model_dump_json(), "notes": dict(notes or {})}
        ray_trainer = ray_train_torch.TorchTrainer(
            _work,
            train_loop_config=job,
            scaling_config=ray_train.ScalingConfig(
                num_workers=execution.workers,
                use_gpu=execution.gpus_per_worker > 0,
                resources_per_worker=_share(execution.cpus_per_worker, execution.gpus_per_worker),
            ),
            run_config=ray_train.RunConfig(
                name="training",
                storage_path=own,  # the desk keeps everything; Ray insists on a place of its own
                failure_config=ray_train.FailureConfig(max_failures=execution.restarts),
            ),
        )
        # In the main thread, ``fit`` would take Ctrl-C for itself.
        outcome = thread.submit(ray_trainer.fit)
        _watch(outcome, desk, progress)
        diverged = _result(outcome, folder)
    if diverged is not None:
        raise TrainingDiverged(diverged)


class Desk:
    """Files of a training, on the machine where its folder is.

    Args:
        prepared: File of the training set.
        folder: Of the training.
    """

    def __init__(self, prepared: Path, folder: Path) -> None:
        self._prepared, self._outputs = prepared, FolderOutputs(folder)
        self._latest: tuple[int, dict[str, float]] = (0, {})

    def prepared(self) -> bytes:
        """The training set."""
        return self._prepared.read_bytes()

    def checkpoint(self) -> bytes:
        """The last checkpoint."""
        return (self._outputs.folder / CHECKPOINT_NAME).read_bytes()

    def store(self, name: str, content: bytes) -> None:
        """Replaces a file, atomically."""
        self._outputs.store(name, content)

    def record(self, figures: Mapping[str, Any]) -> None:
        """Adds a line of figures."""
        self._outputs.record(figures)

    def report(self, step: int, figures: dict[str, float]) -> None:
        """Takes down how far the workers are."""
        self._latest = (step, figures)

    def latest(self) -> tuple[int, dict[str, float]]:
        """How far the workers are, and the figures of that step."""
        return self._latest


class _AtDesk:
    """The desk as a worker sees it; what it hands in has arrived when a method returns."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def store(self, name: str, content: bytes) -> None:
        ray.get(self._desk.store.remote(name, content))

    def record(self, figures: Mapping[str, Any]) -> None:
        ray.get(self._desk.record.remote(dict(figures)))

    def report(self, step: int, figures: Mapping[str, float]) -> None:
        self._desk.report.remote(step, dict(figures))


def _work(job: dict[str, Any]) -> Any:
    """What each worker does; returns why the training diverged, or ``None``."""
    settings = TrainSettings.model_validate_json(job["settings"])
    torch.set_num_threads(max(1, int(settings.execution.cpus_per_worker)))
    desk, peers = job["desk"], ProcessGroup()
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.safetensors"
        prepared.write_bytes(ray.get(desk.prepared.remote()))
        data = TrainingSet.load(prepared)
    trainer = Trainer(data, settings, ray_train_torch.get_device(), peers)
    trainer.restore(ray.get(desk.checkpoint.remote()), CHECKPOINT_NAME)
    outputs = _AtDesk(desk)
    progress: Progress = outputs.report if peers.rank == 0 else lambda step, figures: None
    try:
        go_on(trainer, outputs, notes=job["notes"], progress=progress)
    except TrainingDiverged as error:
        return str(error)  # a value: starting anew would only diverge anew
    return None


def _session(settings: TrainSettings) -> RaySession:
    execution = settings.execution
    workers = Role(
        name="training",
        factory="",
        workers=execution.workers,
        cpus=execution.cpus_per_worker,
        gpus=execution.gpus_per_worker,
    )
    where = ExecutionSettings(
        backend="ray", address=execution.address, object_store_mib=execution.object_store_mib
    )
    return RaySession([workers], where)


def _open_desk(prepared: Path, folder: Path) -> Any:
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    host = ray.remote(num_cpus=0)(Desk).options(scheduling_strategy=here)
    return host.remote(prepared.resolve(), folder.resolve())


def _share(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus} if gpus > 0 else {"CPU": cpus}


def _watch(outcome: Future[Any], desk: Any, progress: Progress) -> None:
    """Shows how far the workers are until they are done."""
    shown = 0
    while True:
        done = wait([outcome], timeout=_POLL_S).done
        step, figures = ray.get(desk.latest.remote())
        if step != shown:
            progress(step, figures)
            shown = step
        if done:
            return


def _result(outcome: Future[Any], folder: Path) -> str | None:
    try:
        value: str | None = outcome.result().return_value
    except ray_train.TrainingFailedError as error:
        reason = " ".join(str(error).split())
        raise TrainingFailed(
            f"training failed: {reason}; the last checkpoint in {folder} is good for --resume"
        ) from error
    return value
