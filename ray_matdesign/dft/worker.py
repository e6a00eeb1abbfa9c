"""The process of one calculation: ``python -m ray_matdesign.dft.worker FOLDER SECONDS``.

It reads ``task.json`` and leaves ``outcome.json``, both plain JSON. It is a process of its own so
that it can be killed with all it started, and takes no more memory than it may.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.dft.code import Task, load_code
from ray_matdesign.dft.process import die_with_parent
from ray_matdesign.dft.result import DftError, NotConverged
from ray_matdesign.dft.settings import DftSettings

TASK, OUTCOME = "task.json", "outcome.json"


def task_data(name: str, crystal: Crystal, settings: DftSettings) -> dict[str, Any]:
    """What ``task.json`` holds."""
    return {
        "name": name,
        "lattice": crystal.lattice.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "numbers": crystal.numbers.tolist(),
        "settings": settings.model_dump(mode="json"),
    }


def read_task(folder: Path, seconds: float) -> Task:
    """The task of a folder."""
    data = json.loads((folder / TASK).read_bytes())
    crystal = Crystal(data["lattice"], data["frac_coords"], data["numbers"])
    settings = DftSettings.model_validate_json(json.dumps(data["settings"]))
    return Task(data["name"], crystal, settings, folder, seconds)


def main(folder: Path, seconds: float) -> None:
    """Runs the task of a folder and writes its outcome."""
    task = read_task(folder, seconds)
    if task.settings.memory_mib is not None:
        limit = task.settings.memory_mib * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcome: dict[str, Any]
    try:
        outcome = {"result": load_code(task.settings.code)(task).to_dict()}
    except NotConverged as error:
        outcome = {"failed": str(error), "final": True}
    except DftError as error:
        outcome = {"failed": str(error), "final": False}
    except MemoryError:
        outcome = {"failed": f"needs more than {task.settings.memory_mib} MiB", "final": False}
    write_atomic(folder / OUTCOME, json.dumps(outcome))


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]), float(sys.argv[2]))
