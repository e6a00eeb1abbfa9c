"""Do objectives that evolve escape from a proxy that is exploited? The planted one (B3).

Campaigns of three rounds begin with magnetic density alone, in the world of ``saga_planted.py``.
The ``fixed`` ones keep it. In the ``evolved`` ones a replayed planner adds, in the second round,
the concentration of supply and, in the third, filters on stability and on the number of elements.
The ``shuffled`` ones add as many objectives on the same properties at the same time, each turned
the wrong way round. All may spend the same evaluations.

What counts is known to none of them: the share of the last round's crystals that are magnetic, of
safe supply by another table than the objective's, stable, and compounds. The thresholds, proposed
before measuring: evolved at least twice fixed in four of five seeds, and shuffled no better than
fixed in the mean.

    python bench/saga_proxy.py
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import saga_planted
import torch
from record import figure, write_results

from ray_matdesign.agents.llm.protocol import Answer, Request
from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.roles import LocalRoles
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.config.loading import dump, load_run_config
from ray_matdesign.config.schema import RunConfig

ARMS = ("fixed", "evolved", "shuffled")
ROUNDS, LOOPS, SAMPLES = 3, 2, 20
TWICE, OF_SEEDS = 2.0, 0.8

_FIRST = {
    "spec": {
        "name": "magnetization",
        "description": "Magnetic density.",
        "kind": "candidate",
        "direction": "maximize",
        "quantity": "magnetic density",
        "unit": "mu_B/A^3",
        "inputs": ["composition", "structure"],
    },
    "low": 0.0,
    "high": 0.25,
}
_HELD_OUT = [
    {"name": "magnetic", "scorer": "magnetic_density", "min": 0.08},
    {"name": "safe", "scorer": "hhi", "options": {"basis": "production"}, "max": 2600.0},
    {"name": "stable", "scorer": "e_above_hull", "max": 0.0},
    {"name": "compound", "scorer": "saga_planted:element_count", "min": 2.0},
]


def objective(name: str, kind: str, measure: str, direction: str, **bounds: Any) -> dict[str, Any]:
    """A draft, as the planner answers."""
    told = {"name": name, "kind": kind, "direction": direction, "measure": measure}
    return {**told, "low": None, "high": None, "why": "As replayed.", **bounds}


SCRIPTS: Mapping[str, Mapping[int, list[dict[str, Any]]]] = {
    "fixed": {},
    "evolved": {
        2: [objective("risk", "candidate", "hhi", "minimize", low=1000.0, high=5000.0)],
        3: [
            objective("stable", "filter", "e_above_hull", "none", high=0.02),
            objective("mixed", "filter", "number_of_elements", "none", low=2),
        ],
    },
    "shuffled": {
        2: [objective("risk", "candidate", "hhi", "maximize", low=1000.0, high=5000.0)],
        3: [
            objective("stable", "filter", "e_above_hull", "none", low=-0.02),
            objective("mixed", "filter", "number_of_elements", "none", high=2),
        ],
    },
}


class Replay:
    """A planner with a script; it analyses in a word and picks what comes first: an ``Llm``.

    Args:
        script: What is added, by round.
    """

    def __init__(self, script: Mapping[int, list[dict[str, Any]]]) -> None:
        self._script = script
        self._planned = 0

    def ask(self, request: Request) -> Answer:
        """The next line."""
        said: dict[str, Any]
        if request.purpose.startswith("planner"):
            self._planned += 1
            keep = [o["name"] for n in range(self._planned) for o in self._script.get(n, [])]
            add = self._script.get(self._planned, [])
            said = {"thoughts": "As replayed.", "keep": keep, "add": add}
        elif request.purpose == "analyzer":
            sections = ("overview", "performance", "issues", "recommendations")
            nothing: dict[str, list[Any]] = {section: [] for section in sections}
            said = {**nothing, "stop": False, "reason": "As replayed."}
        else:
            assert request.schema is not None
            ids = request.schema["$defs"]["Choice"]["properties"]["id"]["enum"]
            count = request.schema["properties"]["chosen"]["minItems"]
            said = {"chosen": [{"id": one, "why": "As replayed."} for one in ids[:count]]}
        return Answer(json.dumps(said), "replay", 0, 0, 0.0, "stop")


def base(reference: Path) -> RunConfig:
    """The run of a round."""
    overrides = [
        "potential.name=saga_planted:potential",
        f"stability.reference={reference}",
        "stability.require=[unique]",
        "stability.max_e_above_hull_ev_per_atom=1.0",
        "prefilter={smact: false, min_elements: 1}",
        f"generator.constraints={{allowed_elements: [{', '.join(saga_planted.ATOMS)}]}}",
        "generator.options={smact: false, min_elements: 1, prototypes: [diamond, copper_gold,"
        " caesium_chloride, rock_salt, gold_copper_3, fluorite, molybdenum_disilicide]}",
        f"generator.batch_size={SAMPLES}",
        f"rl.loops={LOOPS}",
        f"rl.samples={SAMPLES}",
        f"rl.evaluations={SAMPLES}",
        "relaxation.batch_size=20",
        "relaxation.max_steps=60",
        "relaxation.fmax_ev_per_ang=0.2",
    ]
    return load_run_config("rare-earth-free-magnet", overrides)


def success(arm: str, seed: int, folder: Path) -> tuple[list[float], int]:
    """Hidden success by round, and the evaluations that were paid for."""
    settings = SagaSettings.model_validate(
        {
            "name": arm,
            "goal": "Magnets that can be made.",
            "base": {"recipe": str(folder / "base.yaml")},
            "objectives": [_FIRST],
            "rounds": ROUNDS,
            "restart_ratio": 0.5,
            "population": 24,
            "select": 5,
            "stopping": {"rounds": None},
            "held_out": _HELD_OUT,
            "seed": 100 * seed,
        }
    )
    state = run_campaign(settings, folder / f"{arm}-{seed}", LocalRoles(Replay(SCRIPTS[arm])))
    assert state.judged is not None
    paid = sum(one.optimized.evaluated for one in state.rounds if one.optimized)
    return [share or 0.0 for share in state.judged.success], paid


def main() -> None:
    """Runs all campaigns and writes ``results/saga_proxy.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parent))
    begun = time.process_time()
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    paid: dict[str, list[int]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        saga_planted.write_reference(folder / "reference")
        (folder / "base.yaml").write_text(dump(base(folder / "reference")))
        for seed in seeds:
            for arm in ARMS:
                shares, evaluations = success(arm, seed, folder)
                found[arm].append(shares[-1])
                paid[arm].append(evaluations)
                print(f"seed {seed} {arm:9s} {shares} {evaluations} evaluations", flush=True)
    mean = {arm: float(np.mean(shares)) for arm, shares in found.items()}
    pairs = zip(found["evolved"], found["fixed"], strict=True)
    won = [evolved > 0.0 and evolved >= TWICE * fixed for evolved, fixed in pairs]
    figures = [
        figure("hidden success, evolved, mean", mean["evolved"], "", mean["fixed"]),
        figure("hidden success, shuffled, mean", mean["shuffled"], "", mean["fixed"]),
        figure("gain of shuffled objectives", mean["shuffled"] - mean["fixed"], ""),
        figure("seeds with at least twice the success", float(np.mean(won)), "", OF_SEEDS),
        *(figure(f"evaluations, {arm}, mean", float(np.mean(paid[arm])), "") for arm in ARMS),
        figure("processor time of all campaigns", time.process_time() - begun, "s"),
    ]
    print(write_results("saga_proxy", figures))
    if np.mean(won) < OF_SEEDS or mean["shuffled"] > mean["fixed"]:
        raise SystemExit("a threshold is missed")


if __name__ == "__main__":
    main()
