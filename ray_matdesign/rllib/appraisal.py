"""Crystals in, rewards out: the loop's gate without its generator.

Whatever made the crystals, they pass the same stages as in :func:`ray_matdesign.rl.loop.run_loop`:
validity, guards, relaxation, S.U.N., filters, evaluation and the diversity filter. Every batch is
recorded like a loop, so that reports read the directory of such a run too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rl import choice, metrics, records, stages
from ray_matdesign.rl.candidate import BILLED, Candidate, new_candidate
from ray_matdesign.rl.diversity import diversity_key
from ray_matdesign.rl.ledger import Ledger, Record
from ray_matdesign.rl.loop import Campaign, Clock, LoopRecord, remember
from ray_matdesign.rl.memory import Evaluated, Rested
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.replay import ReplayBuffer
from ray_matdesign.rl.run import changed_settings
from ray_matdesign.rl.scoring import REWARD
from ray_matdesign.rl.spending import Spending
from ray_matdesign.rl.stages import RunFailed, Tools
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.rllib.campaign import ask, open_executor
from ray_matdesign.stability.reference import ReferenceSet

_EVERY = 10**9
"""More batches than a run will ever have."""


class Recollection(Ledger):
    """A ledger that knows a crystal again in any batch, and so never pays for it twice.

    Builders without noise make the same crystal often. What was computed for it stays valid; what
    its find is worth the second time is for the diversity filter to say.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        super().open_loop(0)

    def open_loop(self, loop: int) -> None:
        """Changes nothing: all batches share one file."""

    def get(self, verb: str, key: str) -> Record | None:
        """The result of ``verb`` for the candidate's crystal, if it was paid for."""
        return super().get(verb, _digest(key))

    def record(self, verb: str, results: Mapping[str, Record]) -> None:
        """Keeps the results of one batch by crystal; they are on disk when this returns."""
        super().record(verb, {_digest(key): record for key, record in results.items()})

    def knows(self, candidate: Candidate) -> bool:
        """Whether the candidate's crystal was relaxed before."""
        return self.get("assess", candidate.key) is not None


class Appraiser:
    """Judges batches of crystals by a run's gate and objective.

    Every survivor is evaluated: ``rl.evaluations`` limits a loop that may choose among its samples.

    Attributes:
        reference: The run's reference set.

    Args:
        config: Of the run.
        directory: Run directory to write, or to go on with; ``None`` keeps nothing.

    Raises:
        RunFailed: The directory holds a run with other settings, or the reward worker cannot start.
    """

    def __init__(self, config: RunConfig, directory: Path | None = None) -> None:
        self._config = config
        self._campaign = Campaign({}, ReplayBuffer(config.rl.replay))
        self.reference = ReferenceSet.load(config.stability.reference, config.stability)
        if directory is not None:
            _claim(directory, config)
        self._ledger = Recollection(None if directory is None else directory / "ledger")
        roles = [role for role in roles_of(config) if role.name == REWARD]
        self._executor = open_executor(roles, config)
        self._records: records.Records | None = None
        try:
            description = ask(self._executor, REWARD, "describe")
            scorers = {s["name"]: s["cost"] for s in description["terms"] + description["filters"]}
            self._tools = Tools(
                config,
                self._executor,
                self.reference,
                self._ledger,
                Silent(),
                tuple(scorers),
            )
            if directory is not None:
                records.write_json(directory / "objective.json", dict(description))
                self._take_up(directory, scorers)
        except BaseException:
            self.close()
            raise

    @property
    def batches(self) -> int:
        """Batches judged so far, those of an interrupted run included."""
        return self._campaign.loop

    @property
    def evaluations(self) -> int:
        """Evaluations billed so far, likewise."""
        return len(self._campaign.memory)

    def judge(self, crystals: Sequence[Crystal]) -> list[Candidate]:
        """Relaxes and scores a batch.

        Returns:
            A candidate for each crystal, in order. ``penalised_reward`` is what it earns; ``None``,
            with the reason, where the gate turned it down.

        Raises:
            OSError: The record cannot be written.
        """
        campaign, tools, clock = self._campaign, self._tools, Clock()
        batch = campaign.loop + 1
        candidates = [new_candidate(batch, i, 0, crystal) for i, crystal in enumerate(crystals)]
        fresh = [c for c in _firsts(candidates) if not self._ledger.knows(c)]
        candidates = stages.prefilter(candidates, tools)
        candidates = stages.drop_unwanted(candidates, tools)
        candidates = stages.drop_missing_elements(candidates, tools)
        stages.relax(_firsts(candidates), tools)  # the ledger then has them for the others
        candidates = stages.relax(candidates, tools)
        candidates = stages.require_sun(candidates, tools)
        candidates = stages.screen(candidates, tools)
        candidates = choice.spare(candidates, campaign.memory, tools)
        candidates = stages.evaluate(candidates, tools, len(candidates))
        spent = Spending()
        spent.add(candidates)
        campaign.memory.spending.include(spent)
        candidates, _ = remember(candidates, campaign, tools)
        campaign.loop = batch
        self._record(candidates, spent, sum(map(self._ledger.knows, fresh)), clock)
        return candidates

    def close(self) -> None:
        """Stops the workers and closes the record; idempotent."""
        self._executor.close()
        if self._records is not None:
            self._records.close()
            self._records = None

    def _record(self, candidates: list[Candidate], spent: Spending, new: int, clock: Clock) -> None:
        if self._records is None:
            return
        memory, threshold = self._campaign.memory, self._config.objective.reward_threshold
        earned = [c.penalised_reward or 0.0 for c in candidates]
        figures = {
            "loop": self._campaign.loop,
            "policy_version": 0,
            **metrics.funnel(candidates, len(candidates)),
            **metrics.property_figures(candidates),
            **metrics.memory_figures(memory, threshold),
            **metrics.spending_figures(spent, memory, threshold),
            "earned_mean": metrics.mean(earned),
            "newly_relaxed": new,
            "rejections": metrics.rejections(candidates),
            "wall_s": clock.total(),
            "timings": {},
        }
        self._records.append(LoopRecord(candidates, figures))

    def _take_up(self, directory: Path, costs: Mapping[str, str]) -> None:
        """Opens the record, and remembers what is on it."""
        log = self._records = records.Records(directory, self._tools.properties)
        log.rewind(_EVERY)
        batches = len(log.rows)
        log.rewind(batches)  # forgets a table whose line a crash cut short
        memory = self._campaign.memory
        for table in sorted((directory / "candidates").glob("loop-*.parquet")):
            rows = pq.read_table(table).to_pylist()
            memory.append(self._evaluated(row) for row in rows if _billed(row))
        if log.rows:
            totals = {kind: log.rows[-1][f"{kind}_total"] for kind in ("computed", "recalled")}
            memory.spending.load_state_dict({**totals, "costs": costs})
        self._campaign.loop = batches

    def _evaluated(self, row: Mapping[str, Any]) -> Evaluated:
        (crystal,) = decode_crystals(row["generated"])
        values = {name: row[f"value_{name}"] for name in self._tools.properties}
        return Evaluated(
            key=row["key"],
            loop=row["loop"],
            formula=row["formula"],
            diversity_key=diversity_key(crystal, self._config.rl.diversity),
            reward=row["reward"],
            values={name: value for name, value in values.items() if value is not None},
            rested=Rested(
                row["relaxed"],
                row["energy_ev_per_atom"],
                row["formation_energy_ev_per_atom"],
                row["e_above_hull_ev_per_atom"],
            ),
            generated=row["generated"],
        )


def _firsts(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates without those whose crystal an earlier one has."""
    return list({_digest(c.key): c for c in reversed(candidates)}.values())[::-1]


def _billed(row: Mapping[str, Any]) -> bool:
    return row["outcome"] in {outcome.value for outcome in BILLED}


def _digest(key: str) -> str:
    """The part of a candidate's key that depends on the crystal alone."""
    return key.rpartition("-")[2]


def _claim(directory: Path, config: RunConfig) -> None:
    """Begins a run directory, or checks that it was begun with the same settings."""
    if not (directory / "config.yaml").exists():
        directory.mkdir(parents=True, exist_ok=True)
        records.write_versions(directory, config.seed)
        records.write_config(directory, config)
        return
    changed = changed_settings(records.read_config(directory), config)
    if changed:
        raise RunFailed(
            f"{directory} was started with another {', '.join(changed)}; go on with its own "
            f"config.yaml, or choose another folder"
        )
