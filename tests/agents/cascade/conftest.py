from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

PRELOAD = (
    "numpy",
    "ase.build",
    "ray_matdesign.agents.cascade.harness",
    "ray_matdesign.agents.cascade.looking",
)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Box]:
    """A warm sandbox for programs; nothing of it is left afterwards."""
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier, PRELOAD) as box:
        yield box
    assert not box.processes()
