"""One job of the benchmark of reinforcement learning, start to end, in a worker process.

A run through the public interface; then, billed to nobody, the properties of the survivors of its
loops, a population drawn from its final policy, and a second potential's opinion of that. Each step
that is complete has left a file and is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import rl_population as population
from rl_plan import PRIOR, Job, Plan, config_of, measuring
from rl_population import Laboratory, equipped

from ray_matdesign.config.schema import PotentialSettings, RunConfig
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.rl import checkpoint, stages
from ray_matdesign.rl.candidate import Assessment, Candidate, Outcome
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.records import read_config, write_config
from ray_matdesign.rl.run import changed_settings, start_run
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import GENERATOR, roles_of

JUDGE = "sevennet"
"""The potential that no reward of the benchmark saw."""


class Lines(Silent):
    """A line on the terminal for each loop."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def loop_finished(self, metrics: Mapping[str, Any]) -> None:
        """Prints what is worth watching."""
        mean = metrics["reward_mean"]
        reward = "no reward" if mean is None else f"mean reward {mean:.3f}"
        say(
            self._job,
            f"loop {metrics['loop']} of {self._job.loops}, {reward}, "
            f"{metrics['evaluations_total']} evaluations, {metrics['wall_s']:.0f} s",
        )

    def note(self, line: str) -> None:
        """Prints what the run found worth a line."""
        say(self._job, line)


def say(job: Job, line: str) -> None:
    """Prints a line with the job's name, at once."""
    print(f"{job.name}: {line}", flush=True)


def perform(plan: Plan, job: Job) -> None:
    """Does whatever of a job is not done yet.

    Raises:
        RunFailed: The run, or the sampling after it, cannot go on; one line says why.
        ConfigError: The plan asks for settings that do not exist.
    """
    run(config_of(plan, job), job)
    if not measured(job):
        measure(plan, job)


def measured(job: Job) -> bool:
    """Whether every table of the job is there."""
    tables = [job.population, job.opinion, *([] if job.mode == PRIOR else [job.survivors])]
    return all(table.is_file() for table in tables)


def loops_done(job: Job) -> int:
    """Loops that the job's run has on record."""
    return len(list((job.folder / "candidates").glob("loop-*.parquet")))


def differences(config: RunConfig, job: Job) -> list[str]:
    """Settings in which the run on record differs from ``config``.

    What a learner is told makes no difference to the prior.
    """
    changed = changed_settings(read_config(job.folder), config)
    return [key for key in changed if job.mode != PRIOR or not key.startswith("rl.")]


def run(config: RunConfig, job: Job) -> None:
    """Starts the run, or goes on with it, unless it is complete; of the prior notes its settings.

    Raises:
        RunFailed: It cannot go on, or the one on record has other settings.
    """
    begun = (job.folder / "config.yaml").is_file()
    if begun and (changed := differences(config, job)):
        raise RunFailed(
            f"{job.folder} was run with another {', '.join(changed)}: move it away to run anew"
        )
    if job.mode == PRIOR:
        job.folder.mkdir(parents=True, exist_ok=True)
        write_config(job.folder, config)
        return
    if begun and loops_done(job) >= job.loops:
        return
    with closing(LocalExecutor(roles_of(config))) as executor:
        start_run(config, job.folder, executor, resume=begun, progress=Lines(job))


def measure(plan: Plan, job: Job) -> None:
    """Writes the tables that are missing."""
    config, task = measuring(plan, job), plan.tasks[job.task]
    with closing(LocalExecutor(roles_of(config))) as executor:
        laboratory = equipped(config, executor, job.folder / "bench" / "ledger")
        if job.mode != PRIOR and not job.survivors.is_file():
            score_survivors(task.scored_per_loop, job, laboratory)
        if not job.population.is_file():
            draw_population(job, laboratory)
        if not job.opinion.is_file():
            write_opinion(task.second_opinion, job, laboratory)


def draw_population(job: Job, laboratory: Laboratory) -> None:
    """Draws crystals from the job's final policy, scores them, and writes the table.

    Raises:
        RunFailed: Nothing could be sampled, or the run went on since the job's last loop.
    """
    publish_final(job, laboratory.executor)
    drawn = population.scored(population.draw(job.final, laboratory), laboratory)
    population.write(job.population, drawn, laboratory)
    say(job, f"{job.final} crystals drawn from the final policy and scored")


def publish_final(job: Job, executor: Executor) -> None:
    """Gives the generator the weights after the job's last loop.

    Raises:
        RunFailed: The run went on since then.
        CheckpointError: No checkpoint can be read.
    """
    if job.mode == PRIOR:
        return
    held, _ = checkpoint.load_latest(job.folder / "checkpoints")
    if held.loop != job.loops:
        raise RunFailed(f"{job.folder} holds the policy after loop {held.loop}, not {job.loops}")
    executor.publish(GENERATOR, held.weights, held.version)


def score_survivors(most: int | None, job: Job, laboratory: Laboratory) -> None:
    """Writes the properties of the loops' survivors; what the run did not evaluate is scored.

    Args:
        most: Survivors of each loop, at most.
        job: Whose run it is.
        laboratory: Scores.
    """
    names = laboratory.properties
    drawn = [*read_candidates(job), *relaxed_afterwards(job, laboratory)]
    rows = [row for row in drawn if passes(row, laboratory.config)]
    chosen = population.sampled_survivors(rows, most, job.seed)
    values = {row["key"]: {name: row.get(f"value_{name}") for name in names} for row in chosen}
    unpaid = [row for row in chosen if None in values[row["key"]].values()]
    specimens = {row["key"]: population.specimen_of_row(row) for row in unpaid}
    found = population.score(specimens, laboratory)
    values |= {key: record["values"] for key, record in found.items()}
    population.write_values(job.survivors, chosen, values, laboratory)
    say(job, f"{len(chosen)} survivors on record, {len(found)} of them scored unbilled")


def read_candidates(job: Job) -> list[dict[str, Any]]:
    """Every candidate of the job's loops, one mapping each; ``None`` where a cell is empty."""
    folder = job.folder / "candidates"
    tables = [folder / f"loop-{loop:05d}.parquet" for loop in range(1, job.loops + 1)]
    return [row for table in tables for row in pq.read_table(table).to_pylist()]


def relaxed_afterwards(job: Job, laboratory: Laboratory) -> list[dict[str, Any]]:
    """What the run had no relaxations for, relaxed unbilled and judged among its whole loop.

    Otherwise a mode that chooses what it relaxes would be measured on its choice.
    """
    rows = read_candidates(job)
    left = {row["key"] for row in rows if row["outcome"] == Outcome.NOT_RELAXED}
    if not left:
        return []
    tools = laboratory.tools(len(rows))
    candidates = [candidate_of_row(row) for row in rows]
    rest = stages.relax([c for c in candidates if c.key in left], tools)
    relaxed = [c for c in [*candidates, *rest] if c.assessment is not None]
    judged: list[Candidate] = []
    for loop in range(1, job.loops + 1):
        among = sorted((c for c in relaxed if c.loop == loop), key=lambda c: c.index)
        judged += stages.require_sun(among, tools)
    table = job.survivors.with_name(f"afterwards-{job.loops:05d}.parquet")
    population.write(table, [c for c in judged if c.key in left], laboratory)
    return pq.read_table(table).to_pylist()


def passes(row: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether a row of a candidate table passes the gate; a flag not reached is not passed."""
    return row["relaxed"] is not None and all(row[name] for name in config.stability.require)


def write_opinion(kind: str, job: Job, laboratory: Laboratory) -> None:
    """Has a second potential relax, judge and, unless told otherwise, score the population."""
    own = laboratory.config
    config = own.model_copy(update={"potential": PotentialSettings(name=JUDGE)})
    survivors = read_survivors(job, own)[: job.judged]
    with closing(LocalExecutor(roles_of(config))) as executor:
        judge = equipped(config, executor, job.folder / "bench" / f"ledger-{JUDGE}")
        candidates = population.relaxed_again(survivors, judge)
        scorer = judge if kind == "potential" else replace(laboratory, ledger=judge.ledger)
        population.write(job.opinion, population.scored(candidates, scorer), judge)
    say(job, f"{len(survivors)} survivors judged by {JUDGE}")


def read_survivors(job: Job, config: RunConfig) -> list[Candidate]:
    """Those of the population, as candidates, in the order drawn."""
    return [
        candidate_of_row(row)
        for row in pq.read_table(job.population).to_pylist()
        if passes(row, config)
    ]


def candidate_of_row(row: Mapping[str, Any]) -> Candidate:
    """A candidate of a table as it was before anything was decided about it."""
    assessment = None
    if row["relaxed"] is not None:
        assessment = Assessment(
            relaxed=decode_crystals(row["relaxed"])[0],
            energy_ev_per_atom=row["energy_ev_per_atom"],
            formation_energy_ev_per_atom=row["formation_energy_ev_per_atom"],
            e_above_hull_ev_per_atom=row["e_above_hull_ev_per_atom"],
            novel=row["novel"],
            relax_steps=row["relax_steps"],
            converged=row["relax_converged"],
            displacement_ang=row["displacement_ang"],
        )
    return Candidate(
        key=row["key"],
        loop=row["loop"],
        index=row["index"],
        policy_version=row["policy_version"],
        generated=decode_crystals(row["generated"])[0],
        assessment=assessment,
    )
