"""What one job left behind, in numbers: its curves, its costs, its final population."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from rl_curves import Point, Yardstick, final_mean, learning_curve
from rl_jobs import differences, loops_done, measured, passes, read_candidates
from rl_plan import PRIOR, Job, Plan, config_of, measuring

from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.report.run_data import read_run
from ray_matdesign.rl.candidate import Outcome
from ray_matdesign.rl.hypervolume import hypervolume

STAGES = ("sample", "relax", "evaluate", "finetune")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """One job.

    Attributes:
        job: Which.
        numbers: Figures by name; what does not apply or was not reached is not in it.
        survivors: Learning curve of all survivors; empty for the prior.
        evaluated: The same of the evaluated alone, the paper's measure.
        elements: Share of the final S.U.N. crystals that hold each element, by symbol.
    """

    job: Job
    numbers: dict[str, float]
    survivors: list[Point] = field(default_factory=list)
    evaluated: list[Point] = field(default_factory=list)
    elements: dict[str, float] = field(default_factory=dict)


def missing(plan: Plan, job: Job) -> str:
    """What a job still lacks, in one line; empty if it is complete."""
    if not (job.folder / "config.yaml").is_file():
        return "not begun"
    if changed := differences(config_of(plan, job), job):
        return f"run with another {', '.join(changed)}"
    if job.mode != PRIOR and (done := loops_done(job)) < job.loops:
        return f"{done} of {job.loops} loops"
    return "" if measured(job) else "not measured"


def read(plan: Plan, job: Job) -> Reading:
    """Reads a complete job."""
    config = measuring(plan, job)
    yardstick = Yardstick(config.objective, plan.tasks[job.task].measure)
    drawn = pq.read_table(job.population).to_pylist()
    final = [row for row in drawn if passes(row, config)]
    numbers = population_numbers(drawn, final, yardstick, job.final)
    numbers |= opinion_numbers(pq.read_table(job.opinion).to_pylist(), final, yardstick)
    if "confirmed" in numbers:
        numbers["S.U.N., both"] = numbers["S.U.N."] * numbers["confirmed"]
    elements = element_shares([row for row in drawn if row["sun"]])
    if job.mode == PRIOR:
        return Reading(job, numbers | relaxed_numbers(drawn), elements=elements)
    metrics = read_run(job.folder).metrics[: job.loops]
    candidates = read_candidates(job)
    numbers |= relaxed_numbers([row for row in candidates if row["loop"] > job.loops / 2])
    paid = [row for row in candidates if row["outcome"] == Outcome.EVALUATED]
    curves = [
        learning_curve(((row["loop"], yardstick.of(row)) for row in rows), metrics)
        for rows in (pq.read_table(job.survivors).to_pylist(), paid)
    ]
    numbers |= run_numbers(metrics, paid, config.objective.reward_threshold)
    numbers |= named("front of the evaluated", front(paid, yardstick))
    numbers |= named("survivors, last loops", final_mean(curves[0]))
    numbers |= named("evaluated, last loops", final_mean(curves[1]))
    return Reading(job, numbers, *curves, elements)


def named(name: str, value: float | None) -> dict[str, float]:
    """The figure, or nothing where there is none."""
    return {} if value is None else {name: float(value)}


def front(rows: Sequence[Row], yardstick: Yardstick) -> float | None:
    """Hypervolume of the scores of crystals, from the zeros; of two or more properties only."""
    terms = len(yardstick.objective.terms)
    if terms < 2:
        return None
    found = (yardstick.scores(row) for row in rows)
    return hypervolume([scores for scores in found if scores is not None], [0.0] * terms)


def run_numbers(
    metrics: Sequence[Row], evaluated: Sequence[Row], threshold: float
) -> dict[str, float]:
    """What the run cost and found, and where its time went (seconds a loop, medians)."""
    last = metrics[-1]
    hits = {row["formula"] for row in evaluated if row["reward"] > threshold}
    numbers = {
        "evaluations": last["evaluations_total"],
        "relaxations": sum(row["relaxed"] for row in metrics),
        "samples": sum(row["requested"] for row in metrics),
        "unique hits": len(hits),
        "seconds a loop": statistics.median(row["wall_s"] for row in metrics),
        "share of fine-tuning": sum(row["timings"]["finetune"] for row in metrics)
        / sum(row["wall_s"] for row in metrics),
    }
    for stage in STAGES:
        numbers[f"seconds, {stage}"] = statistics.median(row["timings"][stage] for row in metrics)
    numbers |= named("diversity ratio", last["diversity_ratio"])
    numbers |= named("burden", last["evaluations_total"] / len(hits) if hits else None)
    return {name: float(value) for name, value in numbers.items()}


def relaxed_numbers(rows: Sequence[Row]) -> dict[str, float]:
    """What relaxations are spent on: shares of the relaxed crystals.

    Where a surrogate chooses what is relaxed, this is the policy's doing and the surrogate's.
    """
    relaxed = [row for row in rows if row["relaxed"] is not None]
    if not relaxed:
        return {}
    sun = [row for row in relaxed if row["sun"]]
    on_hull = sum(row["e_above_hull_ev_per_atom"] <= 0.0 for row in sun)
    return {
        "S.U.N. of the relaxed": len(sun) / len(relaxed),
        "S.U.N. on the hull, of the relaxed": on_hull / len(relaxed),
    }


def population_numbers(
    drawn: Sequence[Row], final: Sequence[Row], yardstick: Yardstick, asked: int
) -> dict[str, float]:
    """The crystals drawn from the final policy; shares are of all that were asked for.

    Args:
        drawn: All that came.
        final: Those that pass the gate.
        yardstick: What they are measured by.
        asked: How many were asked for.
    """
    crystals = [decode_crystals(row["generated"])[0] for row in drawn]
    held = [{SYMBOLS[z] for z in crystal.elements} for crystal in crystals]
    sun = [row for row in drawn if row["sun"]]
    threshold = yardstick.objective.reward_threshold
    hits = [r for r in final if r["sun"] and r["reward"] is not None and r["reward"] > threshold]
    counts = {
        "valid": sum(row["valid"] for row in drawn),
        "S.U.N.": len(sun),
        # A stricter limit than the gate's: most of what a good prior makes is within 0.1 eV/atom.
        "S.U.N. on the hull": sum(row["e_above_hull_ev_per_atom"] <= 0.0 for row in sun),
        "S.U.N. hits": len(hits),
        "distinct formulas": len({row["formula"] for row in drawn}),
        "pure elements": sum(len(symbols) == 1 for symbols in held),
        "noble gases": sum(not symbols.isdisjoint(NOBLE_GASES) for symbols in held),
        "radioactive": sum(not symbols.isdisjoint(RADIOACTIVE) for symbols in held),
    }
    values = yardstick.known(final)
    numbers = {name: count / asked for name, count in counts.items()}
    numbers |= {"drawn": float(asked), "unscored": float(len(final) - len(values))}
    numbers |= named("final mean", statistics.fmean(values) if values else None)
    return numbers | named("final front", front(final, yardstick))


def opinion_numbers(
    judged: Sequence[Row], final: Sequence[Row], yardstick: Yardstick
) -> dict[str, float]:
    """The second potential against the first, on the same crystals.

    ``confirmed`` is the share of the first one's S.U.N. crystals that are so by the second. The gap
    is the mean difference of those crystals of which both have the property.

    Args:
        judged: Rows of the second opinion, each with the ``index`` of its crystal.
        final: Survivors of the population.
        yardstick: What they are measured by.
    """
    if not judged:
        return {}
    first = {row["index"]: row for row in final}
    both = [(first[row["index"]], row) for row in judged]
    pairs = [
        (before, after)
        for one, other in both
        if (before := yardstick.of(one)) is not None and (after := yardstick.of(other)) is not None
    ]
    confirmed = [bool(other["sun"]) for one, other in both if one["sun"]]
    numbers = {"judged": float(len(judged))}
    numbers |= named("confirmed", statistics.fmean(confirmed) if confirmed else None)
    if pairs:
        before, after = (statistics.fmean(side) for side in zip(*pairs, strict=True))
        numbers |= {"first mean": before, "second mean": after, "gap": after - before}
    return numbers


def element_shares(rows: Sequence[Row]) -> dict[str, float]:
    """Share of crystals that hold each element, most frequent first."""
    counts = Counter(
        SYMBOLS[z] for row in rows for z in sorted(decode_crystals(row["relaxed"])[0].elements)
    )
    return {symbol: count / len(rows) for symbol, count in counts.most_common()}
