"""The evaluator: every crystal of a campaign on one set of properties, by no role's word."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from ray_matdesign.agents.saga.inner import of_kind, round_config
from ray_matdesign.agents.saga.optimizer import rejudged
from ray_matdesign.agents.saga.population import Member, rank, read_population, write_population
from ray_matdesign.agents.saga.protocol import Evaluated, EvaluateRequest
from ray_matdesign.agents.saga.scoring import Appraiser
from ray_matdesign.agents.saga.settings import HeldOut
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.potentials.protocol import Failed


def evaluate(asked: EvaluateRequest) -> Evaluated:
    """Scores all populations on objectives, or on held-out properties; writes one table.

    Args:
        asked: What and where.

    Raises:
        ScorerError: A scorer cannot be built.
        OSError: A population cannot be read, or the table not be written.
    """
    base = RunConfig.model_validate(asked.base)
    appraiser = Appraiser(base, Path(asked.scorers))
    populations = [read_population(Path(path)) for path in asked.populations]
    output = Path(asked.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if asked.held_out:
        return _held_out(populations, asked.held_out, appraiser, output)
    return _on_union(populations, asked, base, appraiser)


def everything(populations: Sequence[Sequence[Member]]) -> list[Member]:
    """Each crystal once, though later rounds took it over; the latest values are kept beside."""
    held: dict[str, Member] = {}
    for members in populations:
        for one in members:
            earlier = held.get(one.id)
            values = {**(earlier.values if earlier else {}), **one.values}
            held[one.id] = one.with_values(values, one.reward)
    return list(held.values())


def _on_union(
    populations: Sequence[Sequence[Member]],
    asked: EvaluateRequest,
    base: RunConfig,
    appraiser: Appraiser,
) -> Evaluated:
    members = everything(populations)
    config = round_config(base, asked.objectives, Path(asked.scorers), base.seed)
    judged, problems = rejudged(members, asked.objectives, config, appraiser)
    ranked = rank(judged)
    fresh = unique_mask([one.relaxed for one in ranked], config.stability)
    kept = [one for one, new in zip(ranked, fresh, strict=True) if new]
    names = [one.name for one in asked.objectives if one.objective.spec.kind != "population"]
    digest = write_population(Path(asked.output), kept, names)
    candidates = of_kind(asked.objectives, "candidate")
    missing = {one.name: sum(one.name not in m.values for m in kept) for one in candidates}
    return Evaluated(crystals=len(kept), missing=missing, problems=tuple(problems), digest=digest)


def _held_out(
    populations: Sequence[Sequence[Member]],
    held_out: Sequence[HeldOut],
    appraiser: Appraiser,
    output: Path,
) -> Evaluated:
    import pyarrow as pa
    import pyarrow.parquet as pq

    members = everything(populations)
    found = {one.name: appraiser.held_out(one, members) for one in held_out}
    rows = []
    for place, member in enumerate(members):
        values = {
            f"value_{name}": None if isinstance(v := column[place], Failed) else float(v)
            for name, column in found.items()
        }
        passes = all(_within(one, values[f"value_{one.name}"]) for one in held_out)
        rows.append(
            {"id": member.id, "formula": member.relaxed.formula, **values, "passes": passes}
        )
    columns = [("id", pa.string()), ("formula", pa.string())]
    columns += [(f"value_{one.name}", pa.float64()) for one in held_out]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pa.schema([*columns, ("passes", pa.bool_())])), buffer
    )
    write_atomic(output, buffer.getvalue())
    good = {row["id"] for row in rows if row["passes"]}
    return Evaluated(
        crystals=len(rows),
        missing={
            name: sum(isinstance(v, Failed) for v in column) for name, column in found.items()
        },
        success=tuple(
            sum(one.id in good for one in members) / len(members) if members else None
            for members in populations
        ),
        digest=hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest(),
    )


def _within(one: HeldOut, value: float | None) -> bool:
    if value is None:
        return False
    return (one.min is None or value >= one.min) and (one.max is None or value <= one.max)
