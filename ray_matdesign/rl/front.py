"""The front: evaluated crystals that none surpasses in every property at once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rewards.transforms import apply
from ray_matdesign.rl.memory import Evaluated, LongTermMemory

FRONT_NAME = "front.parquet"


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Which points are on the front, every objective to be maximised.

    A point is dominated where another is at least as good in every objective and better in one;
    of equal points all are on the front or none.

    Args:
        points: Shape ``(n, objectives)``, finite; ``n`` may be zero.

    Returns:
        Shape ``(n,)``.

    Raises:
        ValueError: The shape is another, or a number is not finite.
    """
    found = np.asarray(points, dtype=np.float64)
    if not found.size:
        return np.zeros(len(found), dtype=bool)
    if found.ndim != 2:
        raise ValueError(f"points have shape {found.shape}, expected (n, objectives)")
    if not np.isfinite(found).all():
        raise ValueError("a point holds a number that is not finite")
    # From the best sum down: what dominates a point has a larger sum, hence comes before it. The
    # sums of two points that differ in the last bit may be equal, and then the sort goes by the
    # coordinates, in which the dominating one is larger as well.
    order = np.lexsort((*(-found.T[::-1]), -found.sum(axis=1)))
    kept = np.empty_like(found)
    count = 0
    on_front = np.zeros(len(found), dtype=bool)
    for index in order:
        point, front = found[index], kept[:count]
        surpassed = (front >= point).all(axis=1) & (front > point).any(axis=1)
        if not surpassed.any():
            on_front[index] = True
            kept[count] = point
            count += 1
    return on_front


def scores(
    records: Sequence[Evaluated], objective: ObjectiveSettings, properties: Sequence[str]
) -> NDArray[np.float64]:
    """Scores of successful evaluations, shape ``(n, terms)``, in [0, 1].

    Args:
        records: Each with a reward.
        objective: Its terms' transforms make scores of properties.
        properties: Names under which the records hold the terms' values, in the terms' order.
    """
    terms = objective.terms
    rows = [
        [apply(t.transform, r.values[name]) for t, name in zip(terms, properties, strict=False)]
        for r in records
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, len(terms))


def write_front(
    directory: Path,
    memory: LongTermMemory,
    objective: ObjectiveSettings,
    properties: Sequence[str],
) -> None:
    """Writes ``front.parquet`` anew, atomically: the best trade-offs evaluated so far.

    One row a crystal: ``key``, ``loop``, ``formula``, ``reward`` (of the configured objective),
    ``e_above_hull_ev_per_atom``, and for every property ``value_<name>`` in the scorer's unit and
    ``score_<name>`` in [0, 1]; ``relaxed`` holds the crystal in the wire codec, null in a run begun
    by a version that did not remember it. Best reward first. With a single property, the best
    crystal and its equals.

    Args:
        directory: Of the run.
        memory: The run's.
        objective: Which properties, and what counts as good.
        properties: As for :func:`scores`.

    Raises:
        OSError: The disk is full.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rewarded = [record for record in memory.records if record.reward is not None]
    points = scores(rewarded, objective, properties)
    names = list(properties[: len(objective.terms)])
    columns = [
        *(("key", pa.string()), ("loop", pa.int32()), ("formula", pa.string())),
        *(("reward", pa.float64()), ("e_above_hull_ev_per_atom", pa.float64())),
        *((f"{what}_{name}", pa.float64()) for what in ("value", "score") for name in names),
        ("relaxed", pa.binary()),
    ]
    rows: list[dict[str, Any]] = [
        _row(rewarded[index], points[index], names)
        for index in np.flatnonzero(non_dominated(points)).tolist()
    ]
    rows.sort(key=lambda row: (-row["reward"], row["key"]))
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, schema=pa.schema(columns))
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(directory / FRONT_NAME, buffer.getvalue())


def _row(record: Evaluated, point: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    rested = record.rested
    return {
        "key": record.key,
        "loop": record.loop,
        "formula": record.formula,
        "reward": record.reward,
        "e_above_hull_ev_per_atom": rested.e_above_hull_ev_per_atom if rested else None,
        "relaxed": rested.crystal if rested else None,
        **{f"value_{name}": record.values[name] for name in names},
        **{f"score_{name}": float(score) for name, score in zip(names, point, strict=True)},
    }
