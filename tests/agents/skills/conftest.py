from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.trial import Workbench

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def bench() -> Iterator[Workbench]:
    """A warm sandbox to try skills in; nothing of it is left afterwards."""
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier, ("numpy", "ray_matdesign.agents.skills.harness")) as box:
        yield Workbench(box, Limits(cpu_s=3.0, wall_s=30.0, memory_mib=512, tasks=4))
    assert not box.processes()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "skills")
