"""What is done of a task, on disk: a solver that is killed goes on behind its last phase.

``RUN/TASK/REPETITION/`` holds ``task.json``, a JSON file for each finished phase, and
``answers.jsonl`` with the answers of the model, so that within a phase nothing is asked twice
either. A repetition is told from others by the seed of its task.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ray_matdesign.agents.cascade.course import AnyPhase
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.llm.cassette import Recorder
from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.crystals.atomic import write_atomic

ANSWERS_NAME = "answers.jsonl"
_TASK_NAME = "task.json"
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_.+-]*")


class BadCheckpoint(ValueError):
    """A file that does not belong here, or is damaged; the message names it."""


class Checkpoints:
    """Phases of one task, in its folder.

    Args:
        folder: Of the run.
        task: The question; its seed is the repetition.
        settings: How it is solved.

    Raises:
        BadCheckpoint: The folder holds another question, or one that was solved in another way.
    """

    def __init__(self, folder: Path, task: Task, settings: CascadeSettings) -> None:
        self.folder = folder / task.id / str(task.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {"task": task.model_dump(mode="json"), "settings": settings.course()}
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        path = self.folder / _TASK_NAME
        if not path.exists():
            write_atomic(path, json.dumps({"key": key, **told}, indent=1))
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(f"{path}: damaged; remove {self.folder}") from error
        if found != key:
            raise BadCheckpoint(
                f"{path}: another question, or other settings; choose another folder for the run, "
                f"or remove {self.folder}"
            )

    def phase(self, name: str, kind: type[AnyPhase], work: Callable[[], AnyPhase]) -> AnyPhase:
        """What a phase left behind; it is worked on only if it left nothing yet.

        Args:
            name: Of the phase; plain.
            kind: What it leaves behind.
            work: Does it; what it raises is raised, and nothing is kept.

        Raises:
            BadCheckpoint: The file is damaged.
        """
        path = self._path(name)
        if path.exists():
            try:
                return kind.model_validate_json(path.read_bytes())
            except ValidationError as error:
                problem = error.errors()[0]
                key = ".".join(map(str, problem["loc"]))
                raise BadCheckpoint(f"{path}: {key}: {problem['msg']}") from error
        done = work()
        write_atomic(path, done.model_dump_json(indent=1))
        return done

    def phases(self) -> Mapping[str, Any]:
        """All that finished phases left behind, by name, in alphabetical order."""
        files = sorted(self.folder.glob("*.json"))
        return {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in files
            if path.name != _TASK_NAME
        }

    def recorded(self, llm: Llm) -> Llm:
        """A model that is not asked again what it answered for this task.

        Raises:
            BadCassette: The record is damaged.
        """
        return Recorder(llm, self.folder / ANSWERS_NAME)

    def _path(self, name: str) -> Path:
        if not _PLAIN.fullmatch(name):
            raise ValueError(f"phase {name!r}: not a plain name")
        return self.folder / f"{name}.json"
