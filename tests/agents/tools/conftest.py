from __future__ import annotations

from collections.abc import Iterator

import pytest

from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.agents.tools.probe import PRELOAD
from ray_matdesign.config.documentation import DocumentationSettings


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> DocumentationIndex:
    """Of one small package, as it is installed."""
    cache = str(tmp_path_factory.mktemp("documentation"))
    return DocumentationIndex(
        build_index(DocumentationSettings(distributions=("spglib", "smact"), cache=cache))
    )


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Box]:
    """A warm sandbox for probes; nothing of it is left afterwards."""
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier, (*PRELOAD, "numpy")) as box:
        yield box
    assert not box.processes()
