"""What ``bench/scale.py`` compares with."""

import numpy as np
import pytest
from scale import greedy


def test_the_greedy_schedule_gives_each_batch_to_who_is_free_first() -> None:
    assert greedy([3.0, 2.0, 2.0, 1.0], 2) == 4.0
    assert greedy([3.0, 2.0, 2.0, 1.0], 1) == 8.0
    assert greedy([3.0, 2.0], 8) == 3.0


@pytest.mark.parametrize("workers", [1, 7, 64])
def test_it_is_within_grahams_bound(workers: int) -> None:
    """Graham, Bell Syst. Tech. J. 45, 1563 (1966): no list schedule exceeds 2 - 1/m optima."""
    seconds = np.exp(np.random.default_rng(0).standard_normal(200))
    least = max(seconds.sum() / workers, seconds.max())
    bound = (2.0 - 1.0 / workers) * least
    assert least * (1 - 1e-9) <= greedy(seconds.tolist(), workers) <= bound * (1 + 1e-9)
