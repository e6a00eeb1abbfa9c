"""Reinforcement learning against conditional generation at an equal number of labels.

Both start from the packaged weights. One spends its labels loop by loop; the other has them for as
many crystals of the training data, drawn at random, learns from these to draw crystals of a given
property (classifier-free guidance, arXiv:2207.12598), and is asked for the target. Then equal
numbers of crystals are drawn from both, relaxed and judged alike, and the stable, unique and novel
ones on target are counted. Labels are values of the task's own scorer, of crystals at rest.

The packaged weights know band gaps of all training crystals. That condition is not used: the
network gets a new one, which knows nothing but the labels bought here.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rl_population as population
from judging import Share
from record import RESULTS, write_results
from rl_jobs import draw_population, read_candidates, run
from rl_plan import PRIOR, Call, Hits, Job, Plan, config_of, measuring
from rl_population import NO_LOOP, Laboratory, equipped
from rl_table import table

from ray_matdesign.config.schema import GeneratorSettings, TrainSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import load_dataset
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.generators.diffusion.artifact import load_artifact, save_artifact
from ray_matdesign.generators.diffusion.data import TrainingSet, prepare
from ray_matdesign.generators.diffusion.outputs import CHECKPOINT_NAME
from ray_matdesign.generators.diffusion.training import train
from ray_matdesign.rl import stages
from ray_matdesign.rl.candidate import new_candidate
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.workers import roles_of

CONDITIONAL = "conditional"
DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
STABLE = "e_above_hull"
HELD_BACK = 0.04
"""Share of crystals that validate; they come on top of the labels that are paid for."""


@dataclass(frozen=True)
class Entry:
    """One contestant with one budget and one seed.

    Attributes:
        job: Where it lies; for a conditional model a stand-in for a run.
        budget: Labels.
        guidance: Weight of the condition; ``None`` for reinforcement learning and the prior.
    """

    job: Job
    budget: int
    guidance: float | None = None

    @property
    def contestant(self) -> str:
        """Row of the table."""
        mode = self.job.mode
        return mode if self.guidance is None else f"{mode}, guidance {self.guidance:g}"

    @property
    def table(self) -> Path:
        """The crystals drawn, scored."""
        if self.guidance is None:
            return self.job.population
        return self.weights.with_name(f"population-{self.guidance:g}-{self.job.final}.parquet")

    @property
    def weights(self) -> Path:
        """The conditional model."""
        return self.job.folder / str(self.budget) / "weights"


def entries_of(plan: Plan, options: argparse.Namespace) -> list[Entry]:
    """Every contestant asked for, with every budget and seed."""

    def job(task: str, mode: str, seed: int) -> Job:
        folder, extra = options.root / "rival", tuple(options.set)
        return Job(task, mode, seed, 1, options.final, 0, folder, extra)

    def reinforced(one: Job, budget: int) -> Entry:
        sized = replace(
            one, root=one.root / str(budget), extra=(*plan.rival.budgets[budget], *one.extra)
        )
        rl = config_of(plan, sized).rl
        later = math.ceil((budget - rl.budget(1)) / rl.budget(2))
        return Entry(replace(sized, loops=1 + max(0, later)), budget)

    found, budgets = [], sorted(plan.rival.budgets)
    for task in (task for task in plan.rival.tasks if task in options.only):
        found.append(Entry(job(task, PRIOR, 0), 0))
        for seed in options.seeds:
            found += [
                reinforced(job(task, mode, seed), b) for mode in options.modes for b in budgets
            ]
            rival = job(task, CONDITIONAL, seed)
            found += [Entry(rival, b, g) for b in budgets for g in plan.rival.guidance]
    return found


def calls_of(plan: Plan, options: argparse.Namespace) -> list[Call]:
    """One call for each folder: a conditional model's budgets follow on each other."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries_of(plan, options):
        groups.setdefault(str(entry.job.folder), []).append(entry)
    calls: list[Call] = []
    for group in groups.values():
        first = group[0]
        call = condition if first.job.mode == CONDITIONAL else reinforce
        calls.append((f"rival {first.job.name}, {first.budget} labels", call, (plan, group)))
    return calls


def reinforce(plan: Plan, entries: Sequence[Entry]) -> None:
    """Runs to the budget, and draws from the policy there.

    Raises:
        RunFailed: The run, or the sampling after it, cannot go on.
    """
    for entry in entries:
        job = entry.job
        if job.population.is_file():
            continue
        run(config_of(plan, job), job)
        config = measuring(plan, job)
        with closing(LocalExecutor(roles_of(config))) as executor:
            draw_population(job, equipped(config, executor, job.folder / "bench" / "ledger"))


def condition(plan: Plan, entries: Sequence[Entry]) -> None:
    """Trains a conditional model with each budget, and draws from it.

    Raises:
        RunFailed: Nothing could be sampled.
    """
    for entry in entries:
        job, hits = entry.job, plan.rival.tasks[entry.job.task]
        config = measuring(plan, job)
        if not entry.weights.is_dir():
            with closing(LocalExecutor(roles_of(config))) as executor:
                folder = job.folder / "bench" / "ledger-labels"
                train_conditional(plan, entry, equipped(config, executor, folder))
        if entry.table.is_file():
            continue
        generator = GeneratorSettings(
            checkpoint=str(entry.weights),
            condition={condition_name(job): hits.ask},
            options={"guidance": entry.guidance},
            batch_size=config.generator.batch_size,
        )
        config = config.model_copy(update={"generator": generator})
        with closing(LocalExecutor(roles_of(config))) as executor:
            laboratory = equipped(config, executor, entry.weights.with_name("ledger"))
            drawn = population.scored(population.draw(job.final, laboratory), laboratory)
            population.write(entry.table, drawn, laboratory)
        print(f"rival {job.name}: {entry.contestant}, {entry.budget} labels: drawn", flush=True)


def condition_name(job: Job) -> str:
    """Of the new condition, unlike any of the packaged weights."""
    return f"evaluated_{job.task}"


def train_conditional(plan: Plan, entry: Entry, laboratory: Laboratory) -> None:
    """Fine-tunes the packaged weights on as many labelled crystals as the budget allows."""
    rival, packaged = plan.rival, load_artifact("packaged")
    shape = packaged.denoiser.shape
    steps = math.ceil(entry.budget * rival.epochs / rival.batch_size)
    settings = TrainSettings(
        steps=steps,
        batch_size=rival.batch_size,
        micro_batches=2,
        precision="fp32",
        lr=rival.lr,
        warmup_steps=max(1, steps // 20),
        width=shape.width,
        layers=shape.layers,
        pair_width=shape.pair_width,
        max_atoms=shape.max_atoms,
        validation_fraction=HELD_BACK,
        validate_every=steps,
        samples_scored=1,
        seed=entry.job.seed,
    )
    folder = entry.weights.with_name("training")
    found = training_set(entry, settings, laboratory)
    resume = (folder / CHECKPOINT_NAME).is_file()
    trained = train(found, settings, folder, resume=resume, start_from=packaged)
    # Scaffolds and known crystals are no labels: the rival keeps those of all training crystals.
    whole = replace(
        trained,
        scaffolds=packaged.scaffolds,
        known=packaged.known,
        elements=packaged.elements,
    )
    scratch = entry.weights.with_name("weights.partial")
    save_artifact(whole, scratch)
    os.replace(scratch, entry.weights)
    print(f"rival {entry.job.name}: trained on {entry.budget} labels, {steps} steps", flush=True)


def training_set(entry: Entry, settings: TrainSettings, laboratory: Laboratory) -> TrainingSet:
    """Random training crystals with their labels; the larger budget includes the smaller."""
    crystals = some_crystals(
        round(entry.budget / (1.0 - HELD_BACK)), entry.job.seed, settings.excluded_elements
    )
    fresh = [new_candidate(NO_LOOP, k, 0, crystal) for k, crystal in enumerate(crystals)]
    rested = stages.relax(fresh, laboratory.tools(len(fresh)))
    (name,) = laboratory.properties
    labels = np.array([c.values.get(name, math.nan) for c in population.scored(rested, laboratory)])
    return prepare(crystals, settings, {condition_name(entry.job): labels})


def some_crystals(n: int, seed: int, excluded: Sequence[str]) -> list[Crystal]:
    """Crystals near the hull from the training data, in an order that the seed gives.

    Raises:
        ValueError: There are fewer.
    """
    dataset = load_dataset(DATA / "crystals_le20.csv.gz", (STABLE,))
    unwanted = {ATOMIC_NUMBERS[symbol] for symbol in excluded}
    limit = TrainSettings().max_e_above_hull_ev_per_atom
    near = [
        crystal
        for crystal, above in zip(dataset.crystals, dataset.labels[STABLE], strict=True)
        if above <= limit and not crystal.elements & unwanted
    ]
    if len(near) < n:
        raise ValueError(f"{n} crystals to label, but the data hold {len(near)} near the hull")
    order = np.random.default_rng(seed).permutation(len(near))[:n]
    return [near[k] for k in order.tolist()]


def is_hit(row: Mapping[str, Any], name: str, hits: Hits) -> bool:
    """Whether a crystal of a table is stable, unique, novel, and on target."""
    value = row[name]
    if not row["sun"] or value is None:
        return False
    return bool(value >= hits.min and (hits.max is None or value <= hits.max))


@dataclass(frozen=True)
class Score:
    """What a contestant made of a budget, all seeds together.

    Attributes:
        seeds: How many.
        drawn: Crystals.
        sun: Share of stable, unique and novel ones.
        hits: Share of those on target as well.
        spent: Labels, a seed; a loop of few survivors spends fewer than it may.
        paid: Hits among the labels themselves, a seed; none where they were bought for known
            crystals.
    """

    seeds: int
    drawn: int
    sun: Share
    hits: Share
    spent: float
    paid: float


def score(plan: Plan, entries: Sequence[Entry]) -> Score:
    """Counts over the seeds of one contestant and budget."""
    task = entries[0].job.task
    wanted, sun, hits, spent, paid = plan.rival.tasks[task], 0, 0, 0, 0
    for entry in entries:
        rows = pq.read_table(entry.table).to_pylist()
        name = next((column for column in rows[0] if column.startswith("value_")), "")
        sun += sum(row["sun"] for row in rows)
        hits += sum(is_hit(row, name, wanted) for row in rows)
        if entry.guidance is None and entry.job.mode != PRIOR:
            billed = [row for row in read_candidates(entry.job) if row["evaluated"]]
            spent += len(billed)
            paid += sum(is_hit(row, name, wanted) for row in billed)
        else:
            spent += entry.budget
    seeds, drawn = len(entries), sum(entry.job.final for entry in entries)
    return Score(seeds, drawn, share(sun, drawn), share(hits, drawn), spent / seeds, paid / seeds)


def share(hits: int, of: int) -> Share:
    """A share and its standard error, which is not nothing where there is no hit.

    The error is that of the share with one hit and one miss more (Laplace's rule).
    """
    likely = (hits + 1.0) / (of + 2.0)
    return {"value": hits / of, "error": math.sqrt(likely * (1.0 - likely) / of)}


def report(plan: Plan, options: argparse.Namespace, *, record: bool) -> None:
    """Table and figures of what was drawn; names what is missing."""
    groups: dict[tuple[str, int, str], list[Entry]] = {}
    lacking = []
    for entry in entries_of(plan, options):
        if entry.table.is_file():
            key = (entry.job.task, entry.budget, entry.contestant)
            groups.setdefault(key, []).append(entry)
        else:
            lacking.append(f"- {entry.job.name}, {entry.budget} labels: {entry.contestant}")
    scores = {key: score(plan, entries) for key, entries in groups.items()}
    headings = ["task", "labels", "contestant", "seeds", "spent, a seed", "drawn", "S.U.N. (%)"]
    headings += ["S.U.N. and on target (%)", "hits among the labels, a seed"]
    text = table(headings, [row_of(key, scores[key]) for key in sorted(scores)])
    missing = "\n".join(["", "## Not in this table", "", *lacking]) if lacking else ""
    text = f"# Against conditional generation\n\n{__doc__.strip()}\n\n{text}\n{missing}\n"
    print(text)
    if record and scores:
        write_results("rl_rival", figures(scores))
        write_atomic(RESULTS / "rl_rival.md", text)


def row_of(key: tuple[str, int, str], found: Score) -> list[str]:
    """One line of the table."""
    shares = [f"{100 * s['value']:.1f} ± {100 * s['error']:.1f}" for s in (found.sun, found.hits)]
    counts = [str(found.seeds), f"{found.spent:.0f}", str(found.drawn)]
    return [key[0], str(key[1]), key[2], *counts, *shares, f"{found.paid:.1f}"]


def figures(scores: Mapping[tuple[str, int, str], Score]) -> list[dict[str, Any]]:
    """Shares of hits, each against the best conditional model with the same budget."""
    told = []
    for (task, budget, contestant), found in scores.items():
        rivals = [
            other.hits["value"]
            for (where, labels, who), other in scores.items()
            if (where, labels) == (task, budget) and who.startswith(CONDITIONAL)
        ]
        best = None if contestant.startswith(CONDITIONAL) else max(rivals, default=None)
        for name, part, against in (("S.U.N.", found.sun, None), ("hits", found.hits, best)):
            told.append(
                {
                    "name": f"{task}; {budget} labels; {contestant}; {name}",
                    "value": round(part["value"], 6),
                    "error": round(part["error"], 6),
                    "unit": "1",
                    "baseline": against,
                    "ratio": round(part["value"] / against, 4) if against else None,
                }
            )
    return told
