"""Watching processes come and go."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def ray_processes() -> list[psutil.Process]:
    """Ray's processes below this one."""
    return [p for p in psutil.Process().children(recursive=True) if is_ray(p)]


def is_ray(process: psutil.Process) -> bool:
    try:
        line = " ".join(process.cmdline())
        return process.status() != psutil.STATUS_ZOMBIE and "ray" in line
    except psutil.NoSuchProcess:
        return False


def name(process: psutil.Process) -> str:
    """What a process calls itself; nothing if it has ended meanwhile."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def eventually(condition: Callable[[], bool], seconds: float = 90.0) -> bool:
    """Whether a condition comes true in time; the limit is for machines busy with other things."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
