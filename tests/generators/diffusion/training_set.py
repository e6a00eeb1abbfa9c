"""Training sets small enough to learn in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.data import TrainingSet, prepare


def rocksalts() -> list[Crystal]:
    """Forty binary rock salts, edges from ionic-radius-like sums."""
    cations, anions = (3, 11, 12, 19, 20, 28, 30, 37, 38, 56), (8, 9, 16, 17)
    shape = np.ones((3, 3)) - np.eye(3)
    return [
        Crystal((1.7 + 0.01 * (c + a)) * shape, [[0, 0, 0], [0.5, 0.5, 0.5]], [c, a])
        for c in cations
        for a in anions
    ]


def rutiles() -> list[Crystal]:
    """Twelve rutiles, of which the anions' position is free."""
    u = 0.305
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [u, u, 0], [-u, -u, 0], [0.5 + u, 0.5 - u, 0.5]]
    sites.append([0.5 - u, 0.5 + u, 0.5])
    cells = {22: 4.59, 23: 4.55, 25: 4.40, 44: 4.49, 50: 4.74, 82: 4.95}
    return [
        Crystal(np.diag([a, a, 0.645 * a]), sites, [metal] * 2 + [anion] * 4)
        for metal, a in cells.items()
        for anion in (8, 9)
    ]


def tiny(**changes: object) -> TrainSettings:
    """Settings of a training that takes seconds."""
    fields: dict[str, object] = {
        "steps": 30,
        "batch_size": 16,
        "micro_batches": 2,
        "width": 16,
        "layers": 1,
        "pair_width": 8,
        "warmup_steps": 5,
        "validation_fraction": 0.2,
        "validate_every": 15,
        "checkpoint_every": 10,
        "samples_scored": 2,
        **changes,
    }
    return TrainSettings.model_validate(fields)


def small_set(crystals: Sequence[Crystal] = (), **changes: object) -> TrainingSet:
    """Rock salts and rutiles, prepared."""
    return prepare(crystals or [*rocksalts(), *rutiles()], tiny(**changes))
