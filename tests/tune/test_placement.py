"""What trials reserve: a bundle for the loop and one for every worker, and no more."""

from __future__ import annotations

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.tune.placement import bundles, pool_role, sweep_roles, total

SETTINGS = [
    "execution.generators=2", "execution.reward_workers=3", "execution.cpus_per_worker=2",
    "execution.gpus_per_generator=0.5", "execution.gpus_per_reward_worker=0.25",
    "execution.gpus_per_learner=1",
]  # fmt: skip


def test_every_worker_has_a_bundle() -> None:
    parts = bundles(load_run_config("density", ["execution.backend=ray", *SETTINGS]), pooled=False)
    assert parts == [
        {"CPU": 2.0},
        {"CPU": 2.0, "GPU": 0.5}, {"CPU": 2.0, "GPU": 0.5},
        {"CPU": 2.0, "GPU": 0.25}, {"CPU": 2.0, "GPU": 0.25}, {"CPU": 2.0, "GPU": 0.25},
        {"CPU": 2.0, "GPU": 1.0},
    ]  # fmt: skip


def test_shared_reward_workers_are_not_reserved_by_trials() -> None:
    config = load_run_config("density", ["execution.backend=ray", *SETTINGS])
    parts = bundles(config, pooled=True)
    assert len(parts) == 4
    assert total(parts, "GPU") == 2.0
    pool = pool_role(config, 5)
    assert (pool.workers, pool.cpus, pool.gpus) == (5, 2.0, 0.25)
    roles = sweep_roles(config, trials=3, pool=pool)
    assert sum(role.workers * role.cpus for role in roles) == 3 * 8.0 + 5 * 2.0


def test_a_local_trial_is_one_process_with_the_share_of_all_roles() -> None:
    config = load_run_config("density", ["execution.backend=local", *SETTINGS])
    assert bundles(config, pooled=False) == [{"CPU": 2.0, "GPU": 1.75}]
    assert bundles(load_run_config("density"), pooled=False) == [{"CPU": 1.0}]
