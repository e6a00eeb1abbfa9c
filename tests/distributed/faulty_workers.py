"""Workers that do on request what workers do on clusters: die, hang, raise, and do their job."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray


class Worker:
    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._weights: NDArray[np.float64] | None = None
        self._version = 0
        self._broken = False

    def load(self, weights: Mapping[str, NDArray[np.float64]], version: int) -> None:
        self._weights, self._version = weights["w"], version

    def square(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(payload.get("sleep", 0.0))
        return {"x": payload["x"], "square": payload["x"] ** 2, "pid": os.getpid()}

    def version(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        total = None if self._weights is None else float(self._weights.sum())
        return {"version": self._version, "sum": total, "pid": os.getpid()}

    def writeable(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "payload": payload["array"].flags.writeable,
            "weights": None if self._weights is None else self._weights.flags.writeable,
            "array": payload["array"] * 2,
        }

    def write_in_place(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        payload["array"][0] = 1.0
        return {}

    def die(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Kills its own process while ``{file}`` holds fewer than ``{times}`` lines."""
        if _nth_visit(payload["file"]) <= payload["times"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": payload["x"]}

    def hang(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Sleeps without end while ``{file}`` holds fewer than ``{times}`` lines."""
        if _nth_visit(payload["file"]) <= payload["times"]:
            time.sleep(3600)
        return {"x": payload["x"], "pid": os.getpid()}

    def freeze(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Stops its process, as a swapped-out or debugged one would, on its first visit."""
        if _nth_visit(payload["file"]) <= 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return {"x": payload["x"]}

    def refuse(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        with Path(payload["file"]).open("a") as file:
            file.write(f"{payload['x']} {os.getpid()}\n")
        if payload.get("bad", True):
            raise ValueError(f"cannot\nscore {payload['x']}")
        return {"x": payload["x"]}

    def break_down(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The first process to come here raises from then on, as after a CUDA error that sticks."""
        with contextlib.suppress(FileExistsError):
            Path(payload["file"]).touch(exist_ok=False)
            self._broken = True
        if self._broken:
            raise RuntimeError("device-side assert")
        return {"x": payload["x"], "pid": os.getpid()}

    def note(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Leaves its process id and the time in ``{file}``, then works for ``{sleep}`` seconds."""
        with Path(payload["file"]).open("a") as file:
            file.write(f"{os.getpid()} {time.time()} {payload['x']}\n")
        time.sleep(payload["sleep"])
        return {"x": payload["x"]}

    def where(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        import ray_matdesign

        return {"package": ray_matdesign.__file__}

    def python(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Where it lives."""
        found = importlib.util.find_spec("only_here")
        own = importlib.import_module("only_here").ANSWER if found else None
        return {"prefix": sys.prefix, "salt": os.environ.get("SALT"), "only_here": own}

    def node(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        time.sleep(payload.get("sleep", 0.0))
        return {"node": ray.get_runtime_context().get_node_id()}

    def threads(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        import torch

        return {"torch": torch.get_num_threads(), "omp": os.environ["OMP_NUM_THREADS"]}


def make(settings: Mapping[str, Any]) -> Worker:
    return Worker(settings)


def broken(settings: Mapping[str, Any]) -> Worker:
    raise FileNotFoundError("weights.safetensors:\nno such checkpoint")


def suicidal(settings: Mapping[str, Any]) -> Worker:
    _nth_visit(settings["file"])
    os.kill(os.getpid(), signal.SIGKILL)
    return Worker(settings)


def dies_at_first(settings: Mapping[str, Any]) -> Worker:
    if _nth_visit(settings["file"]) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Worker(settings)


def only_so_many(settings: Mapping[str, Any]) -> Worker:
    if _nth_visit(settings["file"]) > settings["standing"]:
        raise RuntimeError("no licence left")
    return Worker(settings)


def _nth_visit(file: str) -> int:
    path = Path(file)
    with path.open("a") as log:
        log.write("visit\n")
        log.flush()
        os.fsync(log.fileno())
    return len(path.read_text().splitlines())
