"""What tests of every package share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two threads that share a busy core wait for each other at every small operation: tests that take
# seconds take minutes. One thread a process is what the workers of a run use as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_BESIDE_THE_REPOSITORY = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared data sets; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("RAY_MATDESIGN_DATA", _BESIDE_THE_REPOSITORY))
    if not (folder / "crystals_le20.csv.gz").exists():
        pytest.skip(f"no data sets in {folder}; set RAY_MATDESIGN_DATA")
    return folder
