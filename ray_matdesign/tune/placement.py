"""What a trial takes of a cluster: a bundle for its loop, and one for each of its workers.

Workers that a trial starts are placed inside the trial's own placement group, so the group must
have room for every one of them: with a bundle missing, a worker would wait for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl.executor import Role
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.workers import roles_of

Bundle = dict[str, float]


def trial_roles(config: RunConfig, *, pooled: bool) -> tuple[Role, ...]:
    """The workers a trial starts itself.

    Args:
        config: Of the trial.
        pooled: Whether its reward workers are the sweep's.
    """
    return tuple(role for role in roles_of(config) if not (pooled and role.name == REWARD))


def bundles(config: RunConfig, *, pooled: bool) -> list[Bundle]:
    """Resources of a trial, the loop's first.

    With backend ``local`` the loop's process does the work itself, one worker of each role, and
    takes the share of all of them.
    """
    roles = trial_roles(config, pooled=pooled)
    cpus = config.execution.cpus_per_worker
    if config.execution.backend == "local":
        return [_bundle(cpus, sum(role.gpus for role in roles))]
    return [
        _bundle(cpus, 0.0),
        *(_bundle(role.cpus, role.gpus) for role in roles for _ in range(role.workers)),
    ]


def total(parts: Sequence[Bundle], resource: str) -> float:
    """Sum over bundles of ``CPU`` or ``GPU``."""
    return sum(part.get(resource, 0.0) for part in parts)


def sweep_roles(config: RunConfig, *, trials: int, pool: Role | None) -> list[Role]:
    """All processes of a sweep as roles, to check and to start a Ray for them.

    Args:
        config: Of one trial.
        trials: That run at a time.
        pool: The shared reward workers.
    """
    parts = bundles(config, pooled=pool is not None)
    of_trials = [
        Role(
            "trial" if place == 1 else f"trial process {place}",
            factory="",
            workers=trials,
            cpus=part["CPU"],
            gpus=part.get("GPU", 0.0),
        )
        for place, part in enumerate(parts, start=1)
    ]
    return [*of_trials, *([] if pool is None else [pool])]


def pool_role(config: RunConfig, workers: int) -> Role | None:
    """The shared reward workers; ``None`` for none."""
    if workers == 0:
        return None
    (own,) = (role for role in roles_of(config) if role.name == REWARD)
    return Role(
        "shared reward",
        own.factory,
        workers=workers,
        cpus=own.cpus,
        gpus=own.gpus,
        deadline_s=own.deadline_s,
        retries=own.retries,
    )


def _bundle(cpus: float, gpus: float) -> Bundle:
    return {"CPU": cpus, "GPU": gpus} if gpus > 0 else {"CPU": cpus}
