"""When batches may wait behind others."""

from __future__ import annotations

import numpy as np

from ray_matdesign.distributed.pace import Pace


def noted(*seconds: float) -> Pace:
    pace = Pace()
    for each in seconds:
        pace.note(each)
    return pace


def test_nothing_is_known_before_as_many_have_finished_as_there_are_workers() -> None:
    assert not noted(0.1, 0.1, 0.1).is_brisk(4)
    assert noted(0.1, 0.1, 0.1, 0.1).is_brisk(4)


def test_one_slow_batch_outweighs_many_short_ones_and_is_forgotten_in_time() -> None:
    pace = noted(*[0.1] * 100, 2.0, *[0.1] * 20)
    assert not pace.is_brisk(4)
    for _ in range(20):
        pace.note(0.1)
    assert pace.is_brisk(4)


def test_heavy_tailed_batches_are_never_taken_for_short_ones() -> None:
    """Though the first to finish are the shortest: 64 workers, a median of two seconds."""
    rng = np.random.default_rng(0)
    begun, ended = np.zeros(64), 2.0 * np.exp(rng.standard_normal(64))
    pace = Pace()
    for _ in range(64 * 5):
        first = int(ended.argmin())
        pace.note(ended[first] - begun[first])
        begun[first] = ended[first]
        ended[first] += 2.0 * np.exp(rng.standard_normal())
        assert not pace.is_brisk(64)
