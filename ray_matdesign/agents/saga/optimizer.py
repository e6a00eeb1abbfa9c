"""The optimizer: a round's run, and the population that it hands on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray_matdesign.agents.saga.compositions import propose_and_run
from ray_matdesign.agents.saga.inner import of_kind, round_config
from ray_matdesign.agents.saga.population import (
    POPULATION_NAME,
    Member,
    rank,
    read_population,
    reward,
    write_population,
)
from ray_matdesign.agents.saga.protocol import Implemented, Optimized, OptimizeRequest
from ray_matdesign.agents.saga.running import Instruments, candidates_of, run_in
from ray_matdesign.agents.saga.scoring import Appraiser
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.generators.protocol import Evolving
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.potentials.protocol import Failed

START_NAME = "start.safetensors"
RUN_NAME = "run"
_PASSES_FROM = 0.5


def optimize(asked: OptimizeRequest, tools: Instruments) -> Optimized:
    """Looks for crystals by a round's objectives.

    Asked again, it goes on where it was: the run in ``run/`` is resumed, and the rest is computed
    from what it left.

    Args:
        asked: The round.
        tools: To work with.

    Raises:
        RunFailed: The run cannot start or go on.
        LlmError: The language model is beyond reach.
        ScorerError: A scorer cannot be built.
        OSError: The disk is full, say.
    """
    directory, scorers = Path(asked.directory), Path(asked.scorers)
    directory.mkdir(parents=True, exist_ok=True)
    base = RunConfig.model_validate(asked.base)
    config = round_config(base, asked.objectives, scorers, asked.seed)
    appraiser = Appraiser(base, scorers, tools.sandbox)
    carried, problems = _carried(asked, config, appraiser)
    if asked.inner.kind == "compositions":
        runs = propose_and_run(asked, config, tools)
    else:
        run_in(directory / RUN_NAME, _started_from(config, carried, directory), tools)
        runs = [directory / RUN_NAME]
    rows = [row for folder in runs for row in candidates_of(folder)]
    members = _distinct([*_found(rows, asked), *carried], config)[: asked.population]
    names = [one.name for one in asked.objectives if one.objective.spec.kind != "population"]
    digest = write_population(directory / POPULATION_NAME, members, names)
    values, more = _population_values(asked.objectives, members, appraiser)
    held = {one.id for one in carried}
    return Optimized(
        size=len(members),
        carried=sum(one.id in held for one in members),
        sampled=len(rows),
        evaluated=sum(bool(row["evaluated"]) for row in rows),
        outcomes=dict(sorted(Counter(row["outcome"] for row in rows).items())),
        let_through=_let_through(asked.objectives, rows),
        best_reward=members[0].reward if members else None,
        population_values=values,
        problems=(*problems, *_failures(rows), *more),
        digest=digest,
    )


def _carried(
    asked: OptimizeRequest, config: RunConfig, appraiser: Appraiser
) -> tuple[list[Member], list[str]]:
    """Members of the last population that stay, by the objectives of this round."""
    if asked.previous is None or asked.restart_ratio >= 1.0:
        return [], []
    members = read_population(Path(asked.previous))
    judged, problems = rejudged(members, asked.objectives, config, appraiser)
    kept = round((1.0 - asked.restart_ratio) * len(members))
    return [one for one in rank(judged) if one.reward is not None][:kept], problems


def rejudged(
    members: Sequence[Member],
    objectives: Sequence[Implemented],
    config: RunConfig,
    appraiser: Appraiser,
) -> tuple[list[Member], list[str]]:
    """Crystals by other objectives than they were found with; those a filter bars are left out."""
    going = list(members)
    values: dict[str, dict[str, float]] = {one.id: {} for one in members}
    problems: list[str] = []
    for kind in ("filter", "candidate"):
        for objective in of_kind(objectives, kind):
            found = appraiser.values(objective, going)
            for member, value in zip(going, found, strict=True):
                if isinstance(value, Failed):
                    problems.append(f"{objective.name}: {member.id}: {value.reason}")
                else:
                    values[member.id][objective.name] = value
            if kind == "filter":
                going = [m for m in going if values[m.id].get(objective.name, 0.0) >= _PASSES_FROM]
    terms = of_kind(objectives, "candidate")
    judged = [
        m.with_values(values[m.id], reward(values[m.id], config.objective, terms)) for m in going
    ]
    return judged, problems


def _started_from(config: RunConfig, carried: Sequence[Member], directory: Path) -> RunConfig:
    """The run with the carried crystals for parents, where it breeds."""
    if not carried or config.generator.name != "genetic":
        return config
    import safetensors.numpy

    path = directory / START_NAME
    generator = load_policy(config.generator)
    assert isinstance(generator, Evolving)
    rewards = [one.reward or 0.0 for one in carried]
    generator.learn([one.generated for one in carried], rewards, [])
    write_atomic(path, safetensors.numpy.save(generator.weights()))
    chosen = config.generator.model_copy(update={"checkpoint": str(path)})
    return config.model_copy(update={"generator": chosen})


def _found(rows: Sequence[Mapping[str, Any]], asked: OptimizeRequest) -> list[Member]:
    """The crystals with a reward among a run's rows."""
    columns = {
        one.name: f"value_{one.column}"
        for one in asked.objectives
        if one.objective.spec.kind != "population"
    }
    members = []
    for row in rows:
        if row["reward"] is None or row["relaxed"] is None:
            continue
        (generated,), (relaxed,) = (decode_crystals(row[k]) for k in ("generated", "relaxed"))
        members.append(
            Member(
                id=f"{asked.round:02d}{row['run'].removeprefix(RUN_NAME)}-{row['key']}",
                round=asked.round,
                loop=row["loop"],
                generated=generated,
                relaxed=relaxed,
                energy_ev_per_atom=row["energy_ev_per_atom"],
                formation_energy_ev_per_atom=row["formation_energy_ev_per_atom"],
                e_above_hull_ev_per_atom=row["e_above_hull_ev_per_atom"],
                reward=row["reward"],
                values={n: row[c] for n, c in columns.items() if row.get(c) is not None},
            )
        )
    return members


def _distinct(members: Sequence[Member], config: RunConfig) -> list[Member]:
    """The best first, and of crystals that are the same only the best."""
    ranked = rank(members)
    fresh = unique_mask([one.relaxed for one in ranked], config.stability)
    return [one for one, new in zip(ranked, fresh, strict=True) if new]


def _let_through(
    objectives: Sequence[Implemented], rows: Sequence[Mapping[str, Any]]
) -> dict[str, float | None]:
    shares: dict[str, float | None] = {}
    for one in of_kind(objectives, "filter"):
        asked = [v for row in rows if (v := row.get(f"value_{one.column}")) is not None]
        passed = sum(value >= _PASSES_FROM for value in asked)
        shares[one.name] = passed / len(asked) if asked else None
    return shares


def _population_values(
    objectives: Sequence[Implemented], members: Sequence[Member], appraiser: Appraiser
) -> tuple[dict[str, float | None], list[str]]:
    values: dict[str, float | None] = {}
    problems: list[str] = []
    others = of_kind(objectives, "candidate")
    for objective in of_kind(objectives, "population"):
        found = appraiser.of_population(objective, members, others)
        values[objective.name] = None if isinstance(found, Failed) else found
        if isinstance(found, Failed):
            problems.append(f"{objective.name}: {found.reason}")
    return values, problems


def _failures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What evaluations failed of, each reason once, most frequent first."""
    failed = Counter(row["reason"] for row in rows if row["outcome"] == "evaluation_failed")
    return [f"{count} crystals: {reason}" for reason, count in failed.most_common(10)]
