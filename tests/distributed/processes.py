"""Watching processes come and go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")

_ATTEMPTS = 6


def patiently(start: Callable[[], T]) -> T:
    """Starts a node of Ray's, again if need be.

    Ray gives it half a minute, whatever else the machine is busy with, and what had come up by then
    stays behind.
    """
    there = {process.pid for process in ray_processes()}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return start()
        except Exception as error:
            for process in ray_processes():
                if process.pid not in there:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
            if attempt == _ATTEMPTS or "timed out during startup" not in str(error):
                raise
    raise AssertionError("unreachable")


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


def store_used() -> float:
    """Bytes in Ray's object store, as its nodes last reported."""
    import ray

    whole, free = ray.cluster_resources(), ray.available_resources()
    return float(whole["object_store_memory"] - free.get("object_store_memory", 0.0))
