"""What a zygote is told when it starts: plain data, as JSON on its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Tier(StrEnum):
    """Which walls stand around the code."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"


@dataclass(frozen=True)
class Ground:
    """Where code runs.

    Attributes:
        name: Of the box; every process forked from its zygote has it on its command line.
        tier: Which walls.
        readable: Files and folders that code may read.
        preload: Modules imported before there is any code.
        control: Descriptor on which runs are announced.
        host: Process id of the one who asks; 0 where it is out of sight.
    """

    name: str
    tier: Tier
    readable: tuple[str, ...]
    preload: tuple[str, ...]
    control: int
    host: int

    def encoded(self) -> str:
        """As text for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decoded(cls, text: str) -> Ground:
        """The inverse of :meth:`encoded`."""
        told = json.loads(text)
        readable, preload = tuple(told["readable"]), tuple(told["preload"])
        tier, control, host = Tier(told["tier"]), int(told["control"]), int(told["host"])
        return cls(str(told["name"]), tier, readable, preload, control, host)
