from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.agents.documentation.asking import ask
from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.config.documentation import DocumentationSettings


def test_objects_tell_of_themselves() -> None:
    told = {one["name"]: one for one in ask({"numpy": ["sin", "ndarray", "missing"]})["told"]}
    assert told["numpy.sin"]["kind"] == "function"
    assert told["numpy.sin"]["docstring"] == (np.sin.__doc__ or "").strip()
    assert told["numpy.ndarray.sum"]["owner"] == "numpy.ndarray"


@pytest.mark.slow
def test_compiled_names_are_asked_in_the_sandbox(tmp_path: Path) -> None:
    settings = DocumentationSettings(
        distributions=("numpy",), public_only=("numpy",), cache=str(tmp_path)
    )
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with Box(tier) as box:
        index = DocumentationIndex(build_index(settings, box))
    sine = index.lookup("np.sin")
    assert sine is not None
    assert "sine" in sine.summary.lower()
    assert index.lookup("numpy.linalg.eigh") is not None
    assert index.search("trigonometric sine of each element")[0].record.name == "numpy.sin"
