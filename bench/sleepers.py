"""Workers that take time and no processor: what `scale.py` starts by the hundred."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Sleeper:
    """Sleeps instead of relaxing; takes weights as a policy does, by copying them."""

    def __init__(self) -> None:
        self._weights: dict[str, NDArray[np.generic]] = {}
        self._version = 0

    def load(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Keeps a copy."""
        self._weights = {name: np.array(array) for name, array in weights.items()}
        self._version = version

    def version(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Of the weights it has, or is sent, and how many numbers they are."""
        if "weights" in payload:
            self.load(payload["weights"], payload["version"])
        time.sleep(payload["seconds"])
        size = sum(array.size for array in self._weights.values())
        return {"version": self._version, "size": size, "pid": os.getpid()}

    def wait(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Returns when the file ``gate`` is there."""
        while not os.path.exists(payload["gate"]):
            time.sleep(0.5)
        return {}

    def relax(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Sends the crystals back after ``seconds``, and when it began, in seconds since 1970."""
        begun = time.time()
        time.sleep(payload["seconds"])
        return {"crystals": payload["crystals"], "begun": begun}


def sleeper(settings: Mapping[str, Any]) -> Sleeper:
    """Builds one; it has no settings."""
    return Sleeper()
