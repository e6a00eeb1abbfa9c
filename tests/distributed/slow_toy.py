"""The toy generator and solid, slow enough to be killed at work, and saying when they begin."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import toy

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, SinglePoint
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class SlowPolicy(toy.ToyPolicy):
    def __init__(self, log: str, delay: float) -> None:
        super().__init__()
        self._log, self._delay = log, delay

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        _sign_in(self._log)
        time.sleep(self._delay)
        return super().sample(n, seed=seed, condition=condition)


class SlowSolid(toy.ToySolid):
    def __init__(self, log: str, delay: float) -> None:
        self._log, self._delay = log, delay

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        _sign_in(self._log)
        time.sleep(self._delay)
        return super().evaluate(crystals)


class Sleepless:
    """Density; one formula it never comes to an end with."""

    name, unit, source, version = "density", "g/cm3", "relaxed cell", "1"
    cost = CostClass.MLIP

    def __init__(self, formula: str, log: str) -> None:
        self._formula, self._log = formula, log

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        for specimen in specimens:
            if specimen.crystal.formula == self._formula:
                with Path(self._log).open("a") as file:
                    file.write(f"{self._formula} {os.getpid()}\n")
                time.sleep(3600)
        return [s.crystal.density for s in specimens]


def load(settings: GeneratorSettings) -> SlowPolicy:
    return SlowPolicy(**settings.options)


def solid(log: str, delay: float) -> SlowSolid:
    return SlowSolid(log, delay)


def sleepless(bench: Bench, formula: str, log: str) -> Sleepless:
    return Sleepless(formula, log)


def _sign_in(log: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")
