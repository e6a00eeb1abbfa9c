"""A campaign in a run directory: started, interrupted, resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl import checkpoint, records
from ray_matdesign.rl.checkpoint import CheckpointError, Snapshot
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload
from ray_matdesign.rl.folder_lock import folder_lock
from ray_matdesign.rl.front import write_front
from ray_matdesign.rl.lease import LeaseLost
from ray_matdesign.rl.ledger import Ledger
from ray_matdesign.rl.loop import Campaign, LoopRecord, publish
from ray_matdesign.rl.mirror import Copy, NoCopy
from ray_matdesign.rl.pipeline import run_loops
from ray_matdesign.rl.progress import Progress, Silent
from ray_matdesign.rl.replay import Replay, ReplayBuffer
from ray_matdesign.rl.scoring import REWARD, IdleScorers, shares_of
from ray_matdesign.rl.stages import RunFailed, Tools
from ray_matdesign.rl.storage import StorageError
from ray_matdesign.rl.workers import LEARNER
from ray_matdesign.stability.reference import ReferenceSet

MAY_CHANGE = ("execution", "checkpoint_every", "rl.loops", "cache")
"""Settings that a resumed run may have otherwise than the run it continues."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C, or what else raised a ``KeyboardInterrupt``; the message says how to go on."""


@dataclass(frozen=True)
class RunSummary:
    """A finished run.

    Attributes:
        directory: Where everything is.
        metrics: One mapping a loop, as in ``metrics.jsonl``.
    """

    directory: Path
    metrics: list[dict[str, Any]]


def start_run(
    config: RunConfig,
    directory: Path,
    executor: Executor,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    replay: Replay | None = None,
    copy: Copy | None = None,
) -> RunSummary:
    """Runs a campaign to its last loop.

    Args:
        config: Of the whole run.
        directory: New, or that of the run to resume.
        executor: With the roles of :func:`ray_matdesign.rl.workers.roles_of`; stays open.
        resume: Go on after the last checkpoint. Evaluations already paid for are not repeated, and
            the outcome is that of a run never interrupted.
        progress: Is told what happens.
        replay: An empty buffer to use; one in this process by default.
        copy: Keeps the directory elsewhere as well; see :class:`~ray_matdesign.rl.mirror.Mirror`.

    Raises:
        RunFailed: The run cannot start or go on; one line says why.
        RunInterrupted: Ctrl-C. The last finished loop is in a checkpoint.
    """
    watcher = progress or Silent()
    with folder_lock(directory, RunFailed):
        try:
            return _run(config, directory, executor, resume, watcher, replay, copy or NoCopy())
        except RunInterrupted:
            raise
        except KeyboardInterrupt as interrupt:
            raise RunInterrupted(_stopped_early(directory)) from interrupt
        except (CheckpointError, StorageError, LeaseLost) as error:
            raise RunFailed(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise RunFailed(
                f"{where}{error.strerror or error}; put that right, then go on with --resume"
            ) from error


def _run(
    config: RunConfig,
    directory: Path,
    executor: Executor,
    resume: bool,
    progress: Progress,
    replay: Replay | None,
    copy: Copy,
) -> RunSummary:
    description = _ask(executor, REWARD, "describe")
    try:
        shares = shares_of(config, description)
    except IdleScorers as error:
        raise RunFailed(str(error)) from error
    prior = _ask(executor, LEARNER, "initial")["weights"]
    campaign = Campaign(prior, ReplayBuffer(config.rl.replay) if replay is None else replay)
    ledger = Ledger(directory / "ledger", copy)
    if resume:
        _restore(campaign, config, directory, progress)
    else:
        _begin(campaign, config, directory, description)
        copy.checkpoint_written()
    reference = ReferenceSet.load(config.stability.reference, config.stability)
    described = [*description["terms"], *description["filters"]]
    properties = tuple(scorer["name"] for scorer in described)
    tools = Tools(config, executor, reference, ledger, progress, properties, shares)
    log = records.Records(directory, properties)
    log.rewind(campaign.loop)
    publish(campaign, tools)
    progress.run_started(directory=directory, first_loop=campaign.loop + 1, loops=config.rl.loops)
    keeper = _Keeper(directory / "checkpoints", ledger, campaign, copy)

    def keep(record: LoopRecord) -> None:
        log.append(record)
        write_front(directory, campaign.memory, config.objective, properties)
        keeper.loop_finished(campaign, save=_is_due(campaign.loop, config))

    record: LoopRecord | None = None
    try:
        with closing(run_loops(campaign, tools)) as loops:
            for record in loops:
                keep(record)
                progress.loop_finished(record.metrics)
    except KeyboardInterrupt as interrupt:
        if record is not None and record.metrics["loop"] > keeper.loop:
            # It came while a finished loop was being written: that is done again, as a whole.
            log.rewind(keeper.loop)
            keep(record)
        keeper.save_pending()
        raise RunInterrupted(
            f"stopped after loop {keeper.loop}; go on with --resume, in {directory}"
        ) from interrupt
    except RunFailed:
        keeper.save_pending()
        raise
    finally:
        log.close()
    return RunSummary(directory, log.rows)


def _stopped_early(directory: Path) -> str:
    if (directory / "config.yaml").exists():
        return f"stopped before a loop began; go on with --resume, in {directory}"
    return f"stopped before the run began; {directory} holds nothing to resume"


class _Keeper:
    """Writes checkpoints when they are due, and the last finished loop when a run breaks off."""

    def __init__(self, folder: Path, ledger: Ledger, campaign: Campaign, copy: Copy) -> None:
        self._folder = folder
        self._copy = copy
        self._ledger = ledger
        self._pending: Snapshot | None = None
        self.loop = campaign.loop

    def loop_finished(self, campaign: Campaign, *, save: bool) -> None:
        self._pending = snapshot(campaign)
        self.loop = campaign.loop
        if save:
            self.save_pending()

    def save_pending(self) -> None:
        if self._pending is not None:
            oldest = checkpoint.save(self._folder, self._pending)
            self._pending = None
            self._ledger.forget_before(oldest + 1)
            self._copy.checkpoint_written()


def snapshot(campaign: Campaign) -> Snapshot:
    """The campaign as plain values, unaffected by later loops."""
    return Snapshot(
        loop=campaign.loop,
        version=campaign.version,
        weights=campaign.weights,
        optimizer=campaign.optimizer,
        replay=campaign.replay.state_dict(),
        memory=campaign.memory.state_dict(),
        earlier=dict(campaign.earlier),
    )


def _begin(
    campaign: Campaign, config: RunConfig, directory: Path, description: Mapping[str, Any]
) -> None:
    if (directory / "config.yaml").exists():
        raise RunFailed(
            f"{directory} holds a run already; continue it with --resume, or choose another folder"
        )
    records.write_versions(directory, config.seed)
    records.write_json(directory / "objective.json", dict(description))
    checkpoint.save_weights(directory / "prior.safetensors", campaign.weights)
    checkpoint.save(directory / "checkpoints", snapshot(campaign))
    records.write_config(directory, config)  # last: a folder with it can be resumed


def _restore(campaign: Campaign, config: RunConfig, directory: Path, progress: Progress) -> None:
    if not (directory / "config.yaml").exists():
        raise RunFailed(f"{directory} holds no run to resume; start one without --resume")
    changed = changed_settings(records.read_config(directory), config)
    if changed:
        raise RunFailed(
            f"{directory} was started with another {', '.join(changed)}; resume it with its own "
            f"config.yaml, or start a new run"
        )
    prior = checkpoint.load_weights(directory / "prior.safetensors")
    if not checkpoint.same_weights(prior, campaign.weights):
        raise RunFailed(
            f"generator.checkpoint {config.generator.checkpoint!r} is no longer the one that "
            f"{directory} started from; restore it, or start a new run"
        )
    held, problems = checkpoint.load_latest(directory / "checkpoints")
    for problem in problems:
        progress.note(problem)
    campaign.loop, campaign.version = held.loop, held.version
    campaign.weights, campaign.optimizer = held.weights, held.optimizer
    campaign.earlier = dict(held.earlier)
    campaign.replay.load_state_dict(held.replay)
    campaign.memory.load_state_dict(held.memory)
    records.write_config(directory, config)
    records.note_resumption(directory, held.loop)


def changed_settings(old: RunConfig, new: RunConfig) -> list[str]:
    """Dotted keys in which two configurations differ, those that may change left out."""
    return [
        key
        for key in _differences(old.model_dump(mode="json"), new.model_dump(mode="json"))
        if not any(key == free or key.startswith(f"{free}.") for free in MAY_CHANGE)
    ]


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix


def _is_due(loop: int, config: RunConfig) -> bool:
    return loop % config.checkpoint_every == 0 or loop == config.rl.loops


def _ask(executor: Executor, role: str, verb: str) -> Payload:
    """The answer of one worker to a question without arguments."""
    ((_, answer),) = executor.map(role, verb, [{}])
    if isinstance(answer, BatchFailed):
        raise RunFailed(f"the {role} worker cannot start: {answer.reason}")
    return answer
