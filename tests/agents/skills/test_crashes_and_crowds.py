"""Real processes: killed in mid-admission, and several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from seeded import SPACING, spacing, volume

import ray_matdesign
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.trial import Workbench
from ray_matdesign.agents.writing_lock import Locked

FIRST = "plane_spacing@1.0.0"
HERE = Path(__file__).parent


def _started(root: Path, *arguments: str) -> subprocess.Popen[str]:
    package = str(Path(ray_matdesign.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(HERE / "writer.py"), str(root), *arguments],
        env=os.environ | {"PYTHONPATH": package},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("files written", False),
        ("folder in place", False),
        ("in the transaction", False),
        ("done", True),
    ],
)
def test_a_kill_in_mid_admission_leaves_the_old_or_the_new_state(
    tmp_path: Path, bench: Workbench, moment: str, there: bool
) -> None:
    root = tmp_path / "skills"
    killed = _started(root, "admit and die", moment)
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, said
    library = Library(root, wait_s=0.0)
    found = [one.id for one in library.search("distance of lattice planes")]
    assert found == [FIRST] * there
    if there:
        assert library.code(FIRST) == SPACING
    # The lock went with the process, and the same skill can be admitted as if nothing had been.
    again = library.admit(spacing(), bench)
    assert (again.duplicate_of == FIRST) if there else (again.id == FIRST), again.reason
    assert library.code(FIRST) == SPACING
    assert [one.name for one in (root / "folders").iterdir()] == [FIRST]
    assert [one.name for one in (root / "folders" / FIRST).iterdir()] == ["plane-spacing"]


def test_writers_take_turns_and_lose_nothing(tmp_path: Path, bench: Workbench) -> None:
    library = Library(tmp_path / "skills")
    library.admit(spacing(), bench)
    writers = [_started(library.root, "grow", str(n)) for n in range(2)]
    for one in writers:
        _, said = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert library.names() == {"plane_spacing", *(f"power_{n}" for n in range(2, 8))}
    assert all(library.code(one.id) for one in library.standings())
    assert (library.standing(FIRST).uses, library.standing(FIRST).successes) == (60, 30)


def test_who_comes_second_is_told_who_is_writing(tmp_path: Path, bench: Workbench) -> None:
    library = Library(tmp_path / "skills", wait_s=0.0)
    library.admit(spacing(), bench)
    holder = _started(library.root, "hold", "")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Locked, match=f"skills: process {holder.pid} on .* is writing to it"):
        library.admit(volume(), bench)
    # Readers, and those who note uses, go on.
    assert library.search("distance of lattice planes")
    library.used(FIRST, "t", solved=True)
    holder.communicate(timeout=30)
    assert library.admit(volume(), bench).id == "cell_volume@1.0.0"
