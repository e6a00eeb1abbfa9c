from __future__ import annotations

from collections.abc import Iterator

import pytest

from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.hostile import PRELOAD, Surroundings
from ray_matdesign.agents.sandbox.tiers import TRUSTED_FIRST, probe


@pytest.fixture(scope="session")
def surroundings() -> Iterator[Surroundings]:
    """Planted before any box is made, so that each could inherit from it what it must not."""
    with Surroundings() as planted:
        yield planted


@pytest.fixture(scope="session", params=TRUSTED_FIRST)
def box(request: pytest.FixtureRequest, surroundings: Surroundings) -> Iterator[Box]:
    """A warm sandbox of each tier that works here; nothing of it is left afterwards."""
    tier: Tier = request.param
    found = probe(tier)
    if found.problem:
        pytest.skip(f"no {tier} sandbox here: {found.problem}")
    with Box(tier, PRELOAD) as warm:
        yield warm
    assert not warm.processes()
