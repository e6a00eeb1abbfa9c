"""What the page on skills tells users to type works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ray_matdesign.agents.skills.trial import Workbench

PAGE = Path(__file__).resolve().parents[3] / "docs" / "skills.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["skills", "memory"])
def test_the_example_runs(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bench: Workbench,  # there is a sandbox
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block, {})  # noqa: S102 - our own page
