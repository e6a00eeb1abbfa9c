"""Seeds derived from where they are used, so that no generator has to be carried along.

A batch's seed depends on the run's seed, the loop, the stage and the batch's index alone: any
worker, in any order, and any resumed run draws the same numbers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stage(IntEnum):
    """The stages that draw random numbers. The values enter the seeds: never renumber."""

    SAMPLE = 0
    REPLAY = 1
    FINETUNE = 2
    CHOICE = 3
    SHORTLIST = 4
    PREFERENCE = 5


def sequence(run_seed: int, loop: int, stage: Stage, batch: int = 0) -> np.random.SeedSequence:
    """The seed sequence of one batch of one stage of one loop."""
    return np.random.SeedSequence([run_seed, loop, int(stage), batch])


def integer(run_seed: int, loop: int, stage: Stage, batch: int = 0) -> int:
    """The same as a non-negative integer below 2**63, for libraries that want one."""
    state = sequence(run_seed, loop, stage, batch).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(run_seed: int, loop: int, stage: Stage, batch: int = 0) -> np.random.Generator:
    """The same as a NumPy generator."""
    return np.random.default_rng(sequence(run_seed, loop, stage, batch))
