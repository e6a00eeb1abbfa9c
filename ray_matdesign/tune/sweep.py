"""A sweep in its folder: started, interrupted, resumed, and brought to its results.

::

    sweep.yaml, bases.json    the settings, and the text of the bases of the trials
    trials/00001/             see ``tune.home``
    tune/                     Ray Tune's own state
    cache/                    values of scorers, for all trials
    results                   see ``tune.results``
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from ray_matdesign.config.loading import ConfigError
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.sweep import Nsga2, SweepConfig
from ray_matdesign.config.trials import Changes, Sweep, load_sweep, read_sweep
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.distributed.search_path import search_path
from ray_matdesign.distributed.session import RaySession
from ray_matdesign.rl.folder_lock import folder_lock
from ray_matdesign.tune.home import Home
from ray_matdesign.tune.placement import bundles, pool_role, sweep_roles, total
from ray_matdesign.tune.pool import SharedPool
from ray_matdesign.tune.results import Results, collect
from ray_matdesign.tune.search import CHANGES, GIVEN, NUMBER, search_of
from ray_matdesign.tune.space import plan
from ray_matdesign.tune.trainable import TRIALS, run_trial

_TUNE = "tune"

Say = Callable[[str], None]
"""Takes a line about the sweep's progress."""


class SweepFailed(RuntimeError):
    """A sweep that cannot start or go on; one line says why."""


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C; the message says how to go on."""


def run_sweep(
    sweep: Sweep | str | Path,
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    say: Say = lambda line: None,
) -> Results:
    """Runs a sweep to its last trial, and writes its results.

    Args:
        sweep: A sweep file, or what :func:`ray_matdesign.config.trials.load_sweep` made of one.
        folder: New, or that of the sweep to resume; every machine of the cluster must see it under
            the same path.
        overrides: As for ``load_sweep``, where ``sweep`` is a file.
        resume: Go on with the trials that have not ended, and try again those that failed.
        say: Is told what happens, a line at a time.

    Raises:
        ConfigError: The sweep's settings cannot be used.
        SweepFailed: The sweep cannot start or go on, or every trial failed.
        SweepInterrupted: Ctrl-C. Trials go on from their last loop with ``resume``.
        NotEnoughResources: A trial does not fit on the cluster; nothing was started.
        ClusterUnreachable: There is no cluster at the address.
    """
    if not isinstance(sweep, Sweep):
        sweep = load_sweep(sweep, overrides)
    folder = folder.absolute()
    with folder_lock(folder, SweepFailed):
        _prepare(sweep, folder, resume)
        _fit(sweep, folder, say)
        results = collect(folder)
    if not results.trials:
        raise SweepFailed(f"{folder}: no trial finished a loop: {results.reason}")
    return results


def _prepare(sweep: Sweep, folder: Path, resume: bool) -> None:
    """Writes the sweep's settings, or compares them with those it was started with."""
    begun = (folder / "sweep.yaml").exists()
    if begun and not resume:
        raise SweepFailed(
            f"{folder} holds a sweep already; continue it with --resume, or choose another folder"
        )
    if resume and not begun:
        raise SweepFailed(f"{folder} holds no sweep to resume; start one without --resume")
    if begun:
        held = read_sweep(folder)
        changed = _differences(held, sweep)
        if changed:
            raise SweepFailed(
                f"{folder} was started with another {', '.join(changed)}; resume it as it is, or "
                f"start a new sweep"
            )
    for name, text in reversed(sweep.files().items()):
        write_atomic(folder / name, text)


def _differences(held: Sweep, sweep: Sweep) -> list[str]:
    """Settings in which two sweeps differ, those that may change on resumption left out."""
    free = {"concurrency", "retries", "pool"}
    old, new = held.config.model_dump(mode="json"), sweep.config.model_dump(mode="json")
    changed = [key for key in old if key not in free and old[key] != new[key]]
    return changed + (["base"] if held.bases != sweep.bases else [])


def _fit(sweep: Sweep, folder: Path, say: Say) -> None:
    """Lets Ray Tune run what is left of the trials."""
    planned = plan(sweep)
    configs = [sweep.run_config(changes, n) for n, changes in enumerate(planned, start=1)]
    pooled = sweep.config.pool.workers > 0
    largest = max(configs, key=lambda config: _weight(config, pooled=pooled))
    role = pool_role(largest, sweep.config.pool.workers)
    concurrency = _concurrency(sweep.config, largest, pooled=pooled)
    # Paths in recipes are relative to where the command was given, in trials as well.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the runs keep records
    with ExitStack() as stack:
        roles = sweep_roles(largest, trials=concurrency or 1, pool=role)
        stack.enter_context(RaySession(roles, largest.execution))
        name = None
        if role is not None:
            name = f"reward pool of {folder}"
            stack.enter_context(closing(SharedPool(name, role)))
        loops = max(config.rl.loops for config in configs)
        tuner = _tuner(sweep, folder, planned, loops, concurrency, name, say)
        _LISTENERS[str(folder)] = say
        try:
            tuner.fit()
        except KeyboardInterrupt as interrupt:
            raise SweepInterrupted(_how_to_go_on(folder)) from interrupt
        finally:
            del _LISTENERS[str(folder)]
    # Tune takes a first Ctrl-C for itself, and returns with what it has.
    expected = sweep.config.trials or len(planned)
    if len(list((folder / TRIALS).glob("*/state.json"))) < expected:
        raise SweepInterrupted(_how_to_go_on(folder))


def _tuner(
    sweep: Sweep,
    folder: Path,
    planned: Sequence[Changes],
    loops: int,
    concurrency: int | None,
    pool: str | None,
    say: Say,
) -> tune.Tuner:
    """A new tuner, or one restored from what Tune kept."""
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, folder=str(folder), pool=pool, search_path=search_path()),
        partial(_resources, sweep, pool is not None),
    )
    path = str(folder / _TUNE)
    if tune.Tuner.can_restore(path):
        say(f"going on with {folder}")
        return tune.Tuner.restore(path, trainable, resume_unfinished=True, resume_errored=True)
    search = search_of(sweep.config, planned, loops)
    return tune.Tuner(
        trainable,
        param_space=search.param_space,
        tune_config=tune.TuneConfig(
            search_alg=search.search_alg,
            scheduler=search.scheduler,
            num_samples=search.num_samples,
            max_concurrent_trials=concurrency,
        ),
        run_config=tune.RunConfig(
            name=_TUNE,
            storage_path=str(folder),
            failure_config=tune.FailureConfig(max_failures=sweep.config.retries),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=4),
            callbacks=[_Watcher(str(folder))],
            verbose=0,
        ),
    )


class _Watcher(tune.Callback):
    """Tells how trials end, and writes it beside them; Tune keeps it among its own state."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial came to its last loop, or was stopped by the scheduler."""
        home = self._home(trial)
        if not (home.folder / "state.json").exists():
            home.end("stopped", f"by the scheduler, after loop {trial.last_result.get('loop')}")
        self._say(trials, f"trial {home.number} ended after loop {trial.last_result.get('loop')}")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial failed for good."""
        home = self._home(trial)
        reason = _last_failure(home) or "its process died"
        home.end("failed", reason)
        self._say(trials, f"trial {home.number} failed: {reason}")

    def _home(self, trial: Trial) -> Home:
        return Home.open(Path(self._folder) / TRIALS, trial.config[GIVEN][NUMBER])

    def _say(self, trials: Sequence[Trial], line: str) -> None:
        ended = sum(trial.status in (Trial.TERMINATED, Trial.ERROR) for trial in trials)
        say = _LISTENERS.get(self._folder)
        if say is not None:
            say(f"{line} ({ended} of {len(trials)} trials so far have ended)")


_LISTENERS: dict[str, Say] = {}
"""Who is told of the sweeps of this process, by folder: what cannot be kept among Tune's state."""


def _resources(sweep: Sweep, pooled: bool, resolved: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for a trial."""
    given = resolved[GIVEN]
    try:
        config = sweep.run_config(given[CHANGES], given[NUMBER])
    except ConfigError:  # which the trial meets itself, and fails with
        return tune.PlacementGroupFactory([{"CPU": 1.0}])
    return tune.PlacementGroupFactory(bundles(config, pooled=pooled))


def _weight(config: RunConfig, *, pooled: bool) -> tuple[float, float]:
    parts = bundles(config, pooled=pooled)
    return total(parts, "GPU"), total(parts, "CPU")


def _concurrency(config: SweepConfig, run: RunConfig, *, pooled: bool) -> int | None:
    """Trials at a time; ``None`` for as many as a cluster has room for."""
    if config.concurrency is not None:
        return config.concurrency
    address = run.execution.address or os.environ.get("RAY_ADDRESS")
    if ray.is_initialized() or (address and address != "local"):
        # A genetic search that sent out all its trials at once would learn from none of them.
        return config.algorithm.population if isinstance(config.algorithm, Nsga2) else None
    cpus = len(os.sched_getaffinity(0)) / total(bundles(run, pooled=pooled), "CPU")
    return max(1, min(int(cpus), config.trials or int(cpus)))


def _last_failure(home: Home) -> str:
    """Reason of the last failed attempt of a trial; empty if none was noted."""
    return next((a["reason"] for a in reversed(home.attempts()) if "failed" in a), "")


def _how_to_go_on(folder: Path) -> str:
    return f"stopped; go on with --resume, in {folder}"
