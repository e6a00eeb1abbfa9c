"""A learner one of whose processes dies at its first batch."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import distributed

from ray_matdesign.rl.workers import LearnerWorker, learner_worker


class DyingLearner:
    def __init__(self, learner: LearnerWorker, log: Path) -> None:
        self._learner, self._log = learner, log

    def finetune(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._log.open("a") as log:
            log.write(f"{distributed.get_rank()}\n")
        distributed.barrier()
        if distributed.get_rank() == 1 and len(self._log.read_text().splitlines()) <= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._learner.finetune(payload)


def dying_learner(settings: Mapping[str, Any]) -> DyingLearner:
    return DyingLearner(learner_worker(settings), Path(settings["log"]))
