"""How much code in a sandbox may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

MIB = 2**20


class BadLimits(ValueError):
    """A limit that cannot be kept."""


@dataclass(frozen=True)
class Limits:
    """What one run may use.

    Attributes:
        cpu_s: Processor seconds, of all its processes together.
        wall_s: Seconds from start to end.
        memory_mib: Memory beyond what the imported packages hold: address space of each process,
            and resident memory of all.
        file_mib: Largest file it may write, and the largest the host takes back.
        scratch_mib: All files of the scratch folder together.
        files: How many files and folders.
        tasks: How many threads and processes at once.
        output_kib: Standard output, and standard error, that are kept; the rest is dropped.
        processes: Whether it may start processes and run programs at all. Only the bubblewrap tier
            can let it.

    Raises:
        BadLimits: A limit is not a positive number.
    """

    cpu_s: float = 30.0
    wall_s: float = 60.0
    memory_mib: int = 1024
    file_mib: int = 64
    scratch_mib: int = 128
    files: int = 1000
    tasks: int = 16
    output_kib: int = 256
    processes: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "processes" and not (math.isfinite(value) and value > 0):
                raise BadLimits(f"sandbox limit {field.name}: {value} is not a positive number")
