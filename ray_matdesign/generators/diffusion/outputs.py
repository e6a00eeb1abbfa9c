"""Where a training leaves its checkpoint, its figures and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ray_matdesign.crystals.atomic import write_atomic

CHECKPOINT_NAME = "training.pt"
METRICS_NAME = "metrics.jsonl"


class Outputs(Protocol):
    """Keeps what a training produces."""

    def store(self, name: str, content: bytes) -> None:
        """Replaces a file, atomically."""

    def record(self, figures: Mapping[str, Any]) -> None:
        """Adds a line of figures, among them ``step``; lines of later steps are dropped.

        A training that went back to a checkpoint comes by the same steps again.
        """


class FolderOutputs:
    """A folder of this machine; it is made if need be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def store(self, name: str, content: bytes) -> None:
        """See :class:`Outputs`."""
        write_atomic(self.folder / name, content)

    def record(self, figures: Mapping[str, Any]) -> None:
        """See :class:`Outputs`."""
        path = self.folder / METRICS_NAME
        lines = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] < figures["step"]]
        write_atomic(path, "\n".join([*kept, json.dumps(dict(figures))]) + "\n")
