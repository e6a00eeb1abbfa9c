"""Readings of complete jobs, kept with the results: one small file a job, to be committed.

A benchmark that takes many hours can so be finished over several sittings, on whatever machine is
at hand: what was read is not run again, though its run directory be gone. A reading stands in for a
job only if every setting is the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from record import RESULTS, commit, machine
from rl_curves import Point
from rl_jobs import perform
from rl_plan import PRIOR, Job, Plan, config_of
from rl_readings import Reading, missing, read

from ray_matdesign.crystals.atomic import write_atomic

ARCHIVE = RESULTS / "rl_runs"
_POINTS: TypeAdapter[list[Point]] = TypeAdapter(list[Point])


@dataclass(frozen=True)
class Kept:
    """A reading on file.

    Attributes:
        reading: What was read.
        commit: Of the code that read it.
        machine: It was read on.
    """

    reading: Reading
    commit: str
    machine: str


def complete(plan: Plan, job: Job, archive: Path | None) -> None:
    """Does what is left of a job, and keeps its reading if there is an archive.

    Raises:
        RunFailed: The run cannot go on; one line says why.
        ConfigError: The plan asks for settings that do not exist.
    """
    perform(plan, job)
    if archive is not None:
        keep(plan, job, archive)


def keep(plan: Plan, job: Job, archive: Path = ARCHIVE) -> None:
    """Writes the reading of a complete job."""
    found = read(plan, job)
    held = {
        "commit": commit(),
        "machine": machine(),
        "settings": fingerprint(plan, job),
        "numbers": found.numbers,
        "elements": found.elements,
        "survivors": [asdict(point) for point in found.survivors],
        "evaluated": [asdict(point) for point in found.evaluated],
    }
    path = path_of(job, archive)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(held, indent=1) + "\n")


def recall(plan: Plan, job: Job, archive: Path = ARCHIVE) -> Kept | None:
    """The reading of a job, if there is one and it was made with the same settings."""
    path = path_of(job, archive)
    if not path.is_file():
        return None
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["settings"] != fingerprint(plan, job):
        return None
    curves = (_POINTS.validate_python(held[name]) for name in ("survivors", "evaluated"))
    reading = Reading(job, held["numbers"], *curves, held["elements"])
    return Kept(reading, held["commit"], held["machine"])


def available(plan: Plan, job: Job, archive: Path = ARCHIVE) -> Kept | str:
    """The reading of a job, on file or from its run directory, or a line on what it lacks."""
    if found := recall(plan, job, archive):
        return found
    return missing(plan, job) or Kept(read(plan, job), commit(), machine())


def path_of(job: Job, archive: Path) -> Path:
    """File of a job's reading. Priors are the same however long others run."""
    loops = "" if job.mode == PRIOR else f"-{job.loops}"
    return archive / job.task / f"{job.mode}-{job.seed}{loops}-{job.final}.json"


def fingerprint(plan: Plan, job: Job) -> str:
    """Hash of every setting that a reading depends on."""
    config = config_of(plan, job).model_dump(mode="json")
    if job.mode == PRIOR:
        config = {name: part for name, part in config.items() if name != "rl"}
    task = plan.tasks[job.task]
    settings: dict[str, Any] = {
        "config": config,
        "measured": [task.measure, task.scored_per_loop, task.second_opinion],
        "final": [job.final, job.judged],
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
