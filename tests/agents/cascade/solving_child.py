"""Solves the task of the tests, noting each question; kills itself at a given step."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from cascade_cases import COPPER, INVENTED, RIGHT, TOOLBOX
from conftest import PRELOAD

from ray_matdesign.agents.cascade.orchestrator import Orchestrator
from ray_matdesign.agents.cascade.phases import Step
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.json_lines import append_line
from ray_matdesign.agents.llm.cassette import key_of
from ray_matdesign.agents.llm.protocol import Answer, Request
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.tiers import best_tier


class Noting:
    """Answers by purpose, and notes what it was asked."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, request: Request) -> Answer:
        append_line(self._path, {"key": key_of(request), "purpose": request.purpose})
        texts = {"solver.research": "ase.build.bulk", "solver.code": INVENTED}
        text = texts.get(request.purpose, RIGHT)
        return Answer(text, "noting", 10, 5, 0.0, "stop")


def main(folder: str, fatal: str) -> None:
    def heard(step: Step) -> None:
        if f"{step.phase}:{step.kind}" == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    llm = Noting(Path(folder) / "asked.jsonl")
    with Box(best_tier(), PRELOAD) as box:
        solver = Orchestrator(
            llm,
            box,
            CascadeSettings(),
            toolbox=TOOLBOX,
            folder=Path(folder) / "run",
            listener=heard,
        )
        print(json.dumps(asdict(solver.solve(COPPER))))


if __name__ == "__main__":
    main(*sys.argv[1:])
