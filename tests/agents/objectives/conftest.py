from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_matdesign.agents.objectives.python_scorer import PRELOAD
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier

_ROOT = Path(__file__).resolve().parents[3]
# The benchmark's cases are what the tests assert; textbook crystals are those of the core.
sys.path[:0] = [str(_ROOT / "bench"), str(_ROOT / "tests" / "crystals")]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Box]:
    """A warm sandbox for written scorers; nothing of it is left afterwards."""
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier, PRELOAD) as box:
        yield box
    assert not box.processes()
