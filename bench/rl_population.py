"""Crystals measured outside the budget: survivors of the loops, and the final policy's population.

Everything is kept in a ledger as it is computed, so that a job that was interrupted goes on where
it stopped; tables are written once a step is complete.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rl import stages
from ray_matdesign.rl.candidate import Candidate, new_candidate
from ray_matdesign.rl.executor import BatchFailed, Executor
from ray_matdesign.rl.ledger import Ledger, Record
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.stages import RunFailed, Tools
from ray_matdesign.rl.tables import write_candidates
from ray_matdesign.rl.workers import REWARD
from ray_matdesign.stability.reference import ReferenceSet

NO_LOOP = 0
"""Loop of the seeds and records of what is drawn outside a run; a run's loops count from 1."""
SCORED_AT_ONCE = 4


@dataclass(frozen=True)
class Laboratory:
    """What crystals are measured with.

    Attributes:
        config: Potential, gate and objective.
        executor: With workers of that configuration.
        ledger: What was found already.
        properties: Names of the objective's scorers, in its order.
    """

    config: RunConfig
    executor: Executor
    ledger: Ledger
    properties: tuple[str, ...]

    def tools(self, samples: int) -> Tools:
        """For the steps of a loop of so many samples."""
        rl = self.config.rl.model_copy(update={"samples": samples})
        config = self.config.model_copy(update={"rl": rl})
        reference = ReferenceSet.load(config.stability.reference, config.stability)
        return Tools(config, self.executor, reference, self.ledger, Silent(), self.properties)


def equipped(config: RunConfig, executor: Executor, folder: Path) -> Laboratory:
    """A laboratory whose ledger, with what earlier attempts left in it, is in a folder.

    Raises:
        RunFailed: The reward worker cannot start.
    """
    ((_, told),) = executor.map(REWARD, "describe", [{}])
    if isinstance(told, BatchFailed):
        raise RunFailed(f"the reward worker cannot start: {told.reason}")
    ledger = Ledger(folder)
    ledger.open_loop(NO_LOOP)
    return Laboratory(config, executor, ledger, tuple(term["name"] for term in told["terms"]))


def draw(n: int, laboratory: Laboratory) -> list[Candidate]:
    """Draws from the published policy and judges as a loop does, up to the gate.

    The seeds are those of no loop. Survivors are those still pending.

    Raises:
        RunFailed: Nothing could be sampled.
    """
    tools = laboratory.tools(n)
    candidates = stages.sample(tools, NO_LOOP)
    for step in (stages.prefilter, stages.drop_unwanted, stages.drop_missing_elements):
        candidates = step(candidates, tools)
    return stages.require_sun(stages.relax(candidates, tools), tools)


def relaxed_again(survivors: Sequence[Candidate], laboratory: Laboratory) -> list[Candidate]:
    """The crystals at rest, relaxed once more by the laboratory's potential, and judged anew."""
    tools = laboratory.tools(len(survivors))
    fresh = [
        new_candidate(NO_LOOP, c.index, c.policy_version, c.assessment.relaxed)
        for c in survivors
        if c.assessment is not None
    ]
    return stages.require_sun(stages.relax(fresh, tools), tools)


def scored(candidates: Sequence[Candidate], laboratory: Laboratory) -> list[Candidate]:
    """The candidates, those that passed the gate with values and reward; none of them is billed."""
    specimens = {c.key: c.assessment.specimen for c in candidates if c.pending and c.assessment}
    found = score(specimens, laboratory)
    return [
        replace(c, values=found[c.key]["values"], reward=found[c.key]["reward"])
        if c.key in found
        else c
        for c in candidates
    ]


def score(specimens: Mapping[str, Specimen], laboratory: Laboratory) -> dict[str, Record]:
    """Scores crystals that nobody is billed for.

    Args:
        specimens: By key.
        laboratory: Scores them, unless its ledger knows them.

    Returns:
        By key ``{values, failures, reward}``; see
        :class:`~ray_matdesign.rewards.objective.Evaluation`.
    """
    held = {key: laboratory.ledger.get("score", key) for key in specimens}
    found: dict[str, Record] = {key: record for key, record in held.items() if record is not None}
    unknown = [key for key in specimens if key not in found]
    batches = [unknown[k : k + SCORED_AT_ONCE] for k in range(0, len(unknown), SCORED_AT_ONCE)]
    failed = _send(batches, specimens, laboratory, found)
    # One crystal that takes a scorer down does not take its company along.
    _send([[key] for batch in failed for key in batch], specimens, laboratory, found)
    return found


def _send(
    batches: Sequence[Sequence[str]],
    specimens: Mapping[str, Specimen],
    laboratory: Laboratory,
    found: dict[str, Record],
) -> list[Sequence[str]]:
    """Scores batches into ``found``; returns those that failed and hold several crystals."""
    failed: list[Sequence[str]] = []
    payloads = [_payload([specimens[key] for key in batch]) for batch in batches]
    for index, result in laboratory.executor.map(REWARD, "score", payloads):
        batch = batches[index]
        if not isinstance(result, BatchFailed):
            paid = dict(zip(batch, result["records"], strict=True))
            laboratory.ledger.record("score", paid)
            found.update(paid)
        elif len(batch) > 1:
            failed.append(batch)
        else:
            found[batch[0]] = {"values": {}, "failures": {"": result.reason}, "reward": None}
    return failed


def _payload(specimens: Sequence[Specimen]) -> dict[str, Any]:
    return {
        "crystals": encode_crystals([s.crystal for s in specimens]),
        "energies": [s.energy_ev_per_atom for s in specimens],
        "formation_energies": [s.formation_energy_ev_per_atom for s in specimens],
        "hull_distances": [s.e_above_hull_ev_per_atom for s in specimens],
        "known": [{} for _ in specimens],
    }


def specimen_of_row(row: Mapping[str, Any]) -> Specimen:
    """What the scorers get to see of a relaxed crystal in a candidate table."""
    return Specimen(
        decode_crystals(row["relaxed"])[0],
        row["energy_ev_per_atom"],
        row["formation_energy_ev_per_atom"],
        row["e_above_hull_ev_per_atom"],
    )


def sampled_survivors(
    rows: Iterable[Mapping[str, Any]], most: int | None, seed: int
) -> list[Mapping[str, Any]]:
    """Survivors of a run to be scored, at most so many of each loop, drawn at random from all.

    Which of them the run itself evaluated makes no difference to the draw: an algorithm that
    chooses what it evaluates is measured on what it generates, not on what it chose.
    """
    by_loop: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_loop.setdefault(row["loop"], []).append(row)
    chosen: list[Mapping[str, Any]] = []
    for loop, survivors in sorted(by_loop.items()):
        places = list(range(len(survivors)))
        if most is not None and most < len(places):
            places = sorted(np.random.default_rng([seed, loop]).permutation(places)[:most].tolist())
        chosen += [survivors[place] for place in places]
    return chosen


def write(path: Path, candidates: Sequence[Candidate], laboratory: Laboratory) -> None:
    """Writes candidates as a run does, survivors or not, with their properties; atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_candidates(path, candidates, laboratory.properties)


def write_values(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    values: Mapping[str, Mapping[str, float]],
    laboratory: Laboratory,
) -> None:
    """Writes ``key``, ``loop`` and properties of crystals as parquet, atomically.

    Args:
        path: Of the file.
        rows: Of candidate tables.
        values: Properties by scorer, by key; null where one is missing.
        laboratory: Where they were scored; each scorer has a column ``value_<name>``.
    """
    columns = {f"value_{name}": name for name in laboratory.properties}
    schema = pa.schema(
        [("key", pa.string()), ("loop", pa.int32()), *((c, pa.float64()) for c in columns)]
    )
    told = [
        {"key": row["key"], "loop": row["loop"]}
        | {column: values[row["key"]].get(name) for column, name in columns.items()}
        for row in rows
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(told, schema=schema), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())
