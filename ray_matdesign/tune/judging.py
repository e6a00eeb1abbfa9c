"""What trials are compared by: figures of a run under one objective, the same for all.

A trial that chooses weights and bounds chooses its own rewards too, so rewards of different trials
mean different things. Here every crystal that a trial evaluated is scored anew, from the properties
in the run directory, under the objective of the trial's base.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rewards.transforms import aggregate, apply
from ray_matdesign.rl.hypervolume import hypervolume

FORK_NAME = "fork.json"
"""File of a run that goes on from a checkpoint of another: which, and after which loop."""


@dataclass(frozen=True)
class Judged:
    """One evaluated crystal.

    Attributes:
        run: Directory of the run that evaluated it.
        key: Of the candidate.
        loop: In which it was evaluated.
        formula: Reduced formula.
        values: Of the objective's terms, in their order, in the scorers' units.
        scores: Likewise, in [0, 1].
        reward: Under the judging objective.
    """

    run: Path
    key: str
    loop: int
    formula: str
    values: tuple[float, ...]
    scores: tuple[float, ...]
    reward: float


def units_of(run: Path) -> dict[str, str]:
    """Properties of a run's terms, in their order, and their units, as the run recorded them."""
    described = json.loads((run / "objective.json").read_text(encoding="utf-8"))
    return {str(term["name"]): str(term["unit"]) for term in described["terms"]}


def judge_loop(run: Path, loop: int, judge: ObjectiveSettings) -> list[Judged]:
    """The crystals that a run evaluated in a loop; none where the loop is not on file.

    Args:
        run: A run directory.
        loop: From 1.
        judge: Its terms are the run's, in their order.
    """
    import pyarrow.parquet as pq

    path = run / "candidates" / f"loop-{loop:05d}.parquet"
    if not path.exists():
        return []
    columns = [f"value_{name}" for name in units_of(run)]
    table = pq.read_table(path, columns=["key", "formula", "reward", *columns])
    found = []
    for row in table.to_pylist():
        if row["reward"] is None:
            continue
        values = tuple(row[column] for column in columns)
        pairs = zip(judge.terms, values, strict=True)
        scores = tuple(apply(term.transform, value) for term, value in pairs)
        reward = aggregate(scores, [term.weight for term in judge.terms], judge.aggregation)
        found.append(Judged(run, row["key"], loop, row["formula"], values, scores, reward))
    return found


def judge_run(run: Path, loops: int, judge: ObjectiveSettings) -> list[Judged]:
    """The crystals behind a run's state after ``loops``: its own, and those of what it forked from.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged.
    """
    origin = origin_of(run)
    found: list[Judged] = []
    first = 1
    if origin is not None:
        found += judge_run(origin[0], origin[1], judge)
        first = origin[1] + 1
    for loop in range(first, loops + 1):
        found += judge_loop(run, loop, judge)
    return found


def origin_of(run: Path) -> tuple[Path, int] | None:
    """The run that this one goes on from, and after which loop; ``None`` for one of its own."""
    path = run / FORK_NAME
    if not path.exists():
        return None
    fork = json.loads(path.read_text(encoding="utf-8"))
    return (run / fork["run"]).resolve(), int(fork["loop"])


def window(loop: int) -> int:
    """Last loops by which a policy is judged: a quarter of those it had, at least two."""
    return min(loop, max(2, math.ceil(loop / 4)))


def figures(
    found: Sequence[Judged],
    config: RunConfig,
    judge: ObjectiveSettings,
    metrics: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    """A run's figures after the last loop of ``metrics``, all of them numbers.

    ``reward`` and ``score.SCORER`` are means over the evaluations *allowed* in the last loops
    (:func:`window`): a crystal that could have been evaluated and was not found counts as zero, so
    that a policy is not praised for a few lucky crystals. The others are of the whole run so far:
    ``best_reward`` and ``best.SCORER``, ``hits`` (distinct formulas above the reward threshold),
    ``hypervolume``, ``diversity`` (distinct formulas per evaluation). ``sun_fraction`` is a mean
    over the last loops again.

    Args:
        found: Crystals behind the run's state.
        config: Of the run.
        judge: What they were judged by.
        metrics: The run's, one mapping a loop.
    """
    loop = int(metrics[-1]["loop"])
    late = range(loop - window(loop) + 1, loop + 1)
    allowed = sum(config.rl.budget(number) for number in late)
    recent = [crystal for crystal in found if crystal.loop in late]
    points = scores_of(found, len(judge.terms))
    shares = [float(row["sun_fraction"]) for row in metrics if int(row["loop"]) in late]
    formulas = {crystal.formula for crystal in found}
    told = {
        "reward": math.fsum(c.reward for c in recent) / allowed,
        "best_reward": max((c.reward for c in found), default=0.0),
        "hits": float(len({c.formula for c in found if c.reward > judge.reward_threshold})),
        "sun_fraction": sum(shares) / len(shares),
        "diversity": len(formulas) / len(found) if found else 0.0,
    }
    if len(judge.terms) > 1:
        told["hypervolume"] = hypervolume(points, np.zeros(len(judge.terms)))
    for place, term in enumerate(judge.terms):
        told[f"score.{term.scorer}"] = math.fsum(c.scores[place] for c in recent) / allowed
        told[f"best.{term.scorer}"] = max((c.scores[place] for c in found), default=0.0)
    return told


def scores_of(found: Sequence[Judged], terms: int) -> NDArray[np.float64]:
    """Scores of crystals, shape ``(n, terms)``."""
    return np.array([crystal.scores for crystal in found], dtype=np.float64).reshape(-1, terms)
