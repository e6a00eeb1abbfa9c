from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The toy generator and potential of the loop's tests, found by import path as a user's would be.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2] / "rl")]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a reference set of fcc metals on the toy potential's energy scale."""
    import toy

    folder = tmp_path_factory.mktemp("reference") / "metals"
    toy.write_reference(folder, toy.solid())
    return folder
