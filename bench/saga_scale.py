"""How a written scorer gains from a second replica, and from values that are kept (B8).

The scorer is one that a campaign for hard crystals comes to: Vickers hardness by Chen's model,
written in the scorer language over the moduli, which the potential computes on one core. It is
registered as a campaign registers it, and asked in the reward pool of a run, on one worker and on
two; each time again with what was kept of the first time. Workers stand and are warm before the
clock starts. The crystals are fifty well-known ones, each in cells of several sizes, in an order
drawn by lot, so that large ones do not come together.

    python bench/saga_scale.py

Needs as many free cores as the most replicas.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import figure, write_results
from scorer_cases.specs import CASES

from ray_matdesign.agents.objectives.artifact import ScorerArtifact, register
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.samples import known_crystals
from ray_matdesign.agents.objectives.scorer import path_of
from ray_matdesign.agents.objectives.validation import validate
from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload, Role
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.workers import roles_of

NAME = "vickers_hardness"
REPLICAS = (1, 2)
LEAST_SPEED_UP, LEAST_HITS = 1.6, 0.95
SPACING = 0.002
"""Between the sizes that a crystal's cell is scored in, of its length."""
WARMING = ("Al", "Cu")
"""Scored, expanded by a tenth, before the clock starts; each worker gets several."""
STANDING_S = 300.0


@dataclass(frozen=True)
class Scored:
    """What one map over all crystals came to.

    Attributes:
        values: Of each crystal; ``None`` where the scorer has none.
        hits: How many were kept from before.
        seconds: Of the whole map.
    """

    values: tuple[float | None, ...]
    hits: int
    seconds: float

    @property
    def rate(self) -> float:
        """Crystals a second."""
        return len(self.values) / self.seconds

    @property
    def share(self) -> float:
        """Of the values there are, how many were kept."""
        return self.hits / max(1, sum(value is not None for value in self.values))


def registered(folder: Path) -> Path:
    """The scorer's file, as a campaign leaves it once the scorer is validated."""
    case = next(case for case in CASES if case.spec.name == NAME)
    program = Program.model_validate({"expression": case.expression})
    draft = ScorerArtifact(spec=case.spec, program=program)
    return register(validate(draft, None).artifact, folder)[1]


def config_of(artifact: Path, potential: str, workers: int, cache: Path) -> RunConfig:
    """Settings of a run that designs for the scorer alone."""
    term = {
        "scorer": path_of(NAME),
        "options": {"artifact": str(artifact)},
        "transform": {"kind": "ascending", "min": 0.0, "max": 25.0},
    }
    changes = {
        "objective": {"terms": [term], "aggregation": "mean"},
        "potential.name": potential,
        "cache": str(cache),
        "execution.backend": "ray",
        "execution.reward_workers": workers,
        "execution.object_store_mib": 100,
    }
    return load_run_config("superhard", [f"{key}={json.dumps(v)}" for key, v in changes.items()])


def role_of(config: RunConfig) -> Role:
    """The reward workers of a run."""
    return next(role for role in roles_of(config) if role.name == REWARD)


def payload_of(crystal: Crystal) -> Payload:
    """One crystal to score, its energies as of an element in its reference state."""
    return {
        "crystals": encode_crystals([crystal]),
        "energies": [0.0],
        "formation_energies": [0.0],
        "hull_distances": [0.0],
        "known": [{}],
    }


def score(executor: Executor, crystals: Sequence[Crystal]) -> Scored:
    """Scores crystals, one a batch.

    Raises:
        RuntimeError: A batch came to nothing.
    """
    values: list[float | None] = [None] * len(crystals)
    hits = 0
    begun = time.perf_counter()
    for index, answer in executor.map(REWARD, "score", [payload_of(c) for c in crystals]):
        if isinstance(answer, BatchFailed):
            raise RuntimeError(f"{crystals[index].formula}: {answer.reason}")
        (record,) = answer["records"]
        values[index] = record["values"].get(NAME)
        hits += NAME in record["recalled"]
    return Scored(tuple(values), hits, time.perf_counter() - begun)


def warmed(config: RunConfig) -> RayExecutor:
    """An executor all of whose workers stand and have scored something."""
    role = role_of(config)
    executor = RayExecutor([role], config.execution)
    until = time.monotonic() + STANDING_S
    while len(executor.pids(REWARD)) < role.workers:  # it waits for the first one only
        if time.monotonic() > until:
            executor.close()
            raise RuntimeError(f"only {len(executor.pids(REWARD))} of {role.workers} workers")
        time.sleep(0.5)
    known = known_crystals()
    score(executor, [scaled(known[name], 1.1) for name in WARMING] * (2 * role.workers))
    return executor


def scaled(crystal: Crystal, factor: float) -> Crystal:
    """The crystal in a cell whose edges are so many times as long."""
    return crystal.with_cell(factor * crystal.lattice, crystal.frac_coords)


def drawn(sizes: int) -> list[Crystal]:
    """The known crystals, each in cells of so many sizes about its own."""
    factors = 1.0 + SPACING * (np.arange(sizes) - (sizes - 1) / 2)
    found = [scaled(crystal, f) for crystal in known_crystals().values() for f in factors]
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))]


def compared(first: dict[int, Scored], again: dict[int, Scored]) -> list[dict[str, Any]]:
    """The figures of all maps, by number of replicas."""
    one, most = min(first), max(first)
    scored = [*first.values(), *again.values()]
    same = all(each.values == first[one].values for each in scored)
    failed = sum(value is None for value in first[one].values)
    return [
        figure("B8 crystals", len(first[one].values)),
        figure("B8 crystals without a value", failed),
        *(figure(f"B8 throughput, {n} replicas", s.rate, "1/s") for n, s in first.items()),
        figure(f"B8 speed-up, {most} replicas", first[most].rate / first[one].rate, "",
               LEAST_SPEED_UP),
        figure("B8 identical scores", float(same), "", 1.0),
        figure("B8 cache hits, repeated", min(s.share for s in again.values()), "", LEAST_HITS),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes ``results/saga_scale.json``, and says so with status 1 if it falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potential", default="chgnet")
    parser.add_argument("--sizes", type=int, default=8, help="of each crystal's cell")
    options = parser.parse_args(arguments)
    crystals = drawn(options.sizes)
    first: dict[int, Scored] = {}
    again: dict[int, Scored] = {}
    with tempfile.TemporaryDirectory() as folder:
        artifact = registered(Path(folder))
        for workers in REPLICAS:
            cache = Path(folder) / f"cache-{workers}"
            config = config_of(artifact, options.potential, workers, cache)
            with closing(warmed(config)) as executor:
                first[workers] = score(executor, crystals)
                again[workers] = score(executor, crystals)
    rows = compared(first, again)
    print(write_results("saga_scale", rows))
    short = [row["name"] for row in rows if row["baseline"] and row["value"] < row["baseline"]]
    if short:
        raise SystemExit(f"falls short: {', '.join(short)}")


if __name__ == "__main__":
    main()
