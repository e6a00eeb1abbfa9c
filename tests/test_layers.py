"""What is imported when: starting up is quick because heavy libraries wait until they are used."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["torch", "ray", "numpy", "pymatgen", "ase", "pandas", "matplotlib", "smact", "chgnet"]
SCRIPT = "import {module}, sys; print(*[m for m in {heavy} if m in sys.modules])"


@pytest.mark.parametrize(
    "module",
    [
        "ray_matdesign",
        "ray_matdesign.config.loading",
        "ray_matdesign.config.schema",
        "ray_matdesign.cli",
    ],
)
def test_importing_does_not_import_heavy_libraries(module: str) -> None:
    script = SCRIPT.format(module=module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_algorithm_knows_nothing_of_ray() -> None:
    modules = ("rl.run", "report", "generators.registry", "potentials.relaxation")
    names = ", ".join(f"ray_matdesign.{module}" for module in modules)
    script = SCRIPT.format(module=names, heavy=["ray"])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_help_takes_less_than_a_second() -> None:
    """Measured as processor time, which other work on the machine does not lengthen."""
    command = [sys.executable, "-m", "ray_matdesign", "--help"]
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, capture_output=True, check=True)
        after = os.times()
        seconds.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
    assert statistics.median(seconds) < 1.0


def test_importing_writes_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-c", "import ray_matdesign.cli, ray_matdesign.config.loading"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
