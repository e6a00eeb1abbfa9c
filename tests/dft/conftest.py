from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ray_matdesign.crystals.crystal import Crystal


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the modules beside this file importable, also in the processes of calculations."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process has ended, collected or not."""

    def check(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    return check


@pytest.fixture
def silicon() -> Crystal:
    half = 5.43 / 2
    lattice = [[0.0, half, half], [half, 0.0, half], [half, half, 0.0]]
    return Crystal(lattice, [[0, 0, 0], [0.25, 0.25, 0.25]], [14, 14])


@pytest.fixture
def magnesia() -> Crystal:
    half = 4.212 / 2
    lattice = [[0.0, half, half], [half, 0.0, half], [half, half, 0.0]]
    return Crystal(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8])
