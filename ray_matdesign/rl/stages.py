"""The steps of a loop: each takes candidates and returns them with what was learned.

Order and length are kept throughout; a candidate that falls out stays in the list, with its outcome
and the reason. Steps that leave the process go through the executor, in batches that depend on the
configuration alone, so that any executor gives the same candidates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from ray_matdesign.config.schema import RunConfig, StabilitySettings
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.crystals.validity import check, unwanted
from ray_matdesign.generators.protocol import Weights
from ray_matdesign.rl import seeds
from ray_matdesign.rl.candidate import Assessment, Candidate, Outcome, new_candidate
from ray_matdesign.rl.executor import BatchFailed, Executor, Payload
from ray_matdesign.rl.ledger import Ledger, Record
from ray_matdesign.rl.progress import Progress
from ray_matdesign.rl.replay import ReplayEntry
from ray_matdesign.rl.scoring import CHEAP_SCORER, REWARD, Share, in_turn
from ray_matdesign.rl.workers import GENERATOR, LEARNER
from ray_matdesign.stability.reference import ReferenceSet
from ray_matdesign.stability.sun import SunFlags

logger = logging.getLogger(__name__)

_QUARANTINE = "quarantined"
"""In the ledger, instead of a result: why no worker can treat the crystal."""


class RunFailed(RuntimeError):
    """A run that cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Tools:
    """What the steps of every loop work with.

    Attributes:
        properties: What the scorers of the objective's terms are called, in their order, then those
            of the filters alone.
        shares: Who runs them.
    """

    config: RunConfig
    executor: Executor
    reference: ReferenceSet
    ledger: Ledger
    progress: Progress
    properties: tuple[str, ...]
    shares: tuple[Share, ...] = ()

    @property
    def whole(self) -> Share:
        """The reward workers, scoring everything; they alone relax."""
        return Share(REWARD, self.config.relaxation.batch_size)

    @property
    def screening(self) -> Share:
        """Who runs the cheap filters."""
        return next((s for s in self.shares if s.role == CHEAP_SCORER), self.whole)


def sample(tools: Tools, loop: int) -> list[Candidate]:
    """Draws the loop's crystals.

    Fewer than asked for come back where the model emitted arrays that are no crystal, or where a
    batch failed.

    Raises:
        RunFailed: Every batch failed.
    """
    drawn = dict(draw(tools, loop))
    return [candidate for number in sorted(drawn) for candidate in drawn[number]]


def draw(tools: Tools, loop: int) -> Iterator[tuple[int, list[Candidate]]]:
    """:func:`sample`, batch by batch: yields ``(number, candidates)`` as the batches finish.

    Sampling is asked for by the call itself, hence with the weights published by then.
    """
    total, size = tools.config.rl.samples, tools.config.generator.batch_size
    starts = range(0, total, size)
    payloads = [
        {
            "n": min(size, total - start),
            "seed": seeds.integer(tools.config.seed, loop, seeds.Stage.SAMPLE, number),
        }
        for number, start in enumerate(starts)
    ]
    tools.progress.stage("sample", 0, total)
    results = tools.executor.map(GENERATOR, "sample", payloads)

    def as_they_finish() -> Iterator[tuple[int, list[Candidate]]]:
        failures, drawn = [], 0
        for number, result in results:
            if isinstance(result, BatchFailed):
                failures.append(result.reason)
                tools.progress.note(f"loop {loop}: a sampling batch failed: {result.reason}")
                continue
            candidates = [
                new_candidate(loop, starts[number] + place, result["version"], crystal)
                for place, crystal in enumerate(decode_crystals(result["crystals"]))
            ]
            drawn += len(candidates)
            tools.progress.stage("sample", drawn, total)
            yield number, candidates
        if len(failures) == len(payloads):
            raise RunFailed(f"loop {loop}: no crystal could be sampled: {failures[0]}")

    return as_they_finish()


def prefilter(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Drops what fails the checks of geometry and composition, before any energy is paid for."""

    def checked(candidate: Candidate) -> Candidate:
        reason = check(candidate.generated, tools.config.prefilter)
        return candidate if reason is None else candidate.rejected(Outcome.INVALID, reason)

    return [checked(c) if c.pending else c for c in candidates]


def drop_unwanted(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Drops valid crystals that the guards rule out: pure elements, forbidden elements."""

    def checked(candidate: Candidate) -> Candidate:
        reason = unwanted(candidate.generated, tools.config.prefilter)
        return candidate if reason is None else candidate.rejected(Outcome.UNWANTED, reason)

    return [checked(c) if c.pending else c for c in candidates]


def drop_missing_elements(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Drops crystals whose stability the reference set cannot judge."""

    def checked(candidate: Candidate) -> Candidate:
        missing = tools.reference.missing_elements(candidate.generated)
        if not missing:
            return candidate
        reason = f"no reference energy for {', '.join(missing)}"
        return candidate.rejected(Outcome.NO_REFERENCE, reason)

    return [checked(c) if c.pending else c for c in candidates]


def relax(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Relaxes every crystal still in the race, and places it against the reference set."""
    pending = [c for c in candidates if c.pending]
    results = _pay(tools.whole, "assess", "relax", pending, tools, _crystals_payload)

    def assessed(candidate: Candidate) -> Candidate:
        record = results[candidate.key]
        if isinstance(record, BatchFailed):
            return candidate.rejected(Outcome.RELAXATION_FAILED, record.reason)
        if "failed" in record:
            return candidate.rejected(Outcome.RELAXATION_FAILED, record["failed"])
        fields = dict(record)
        relaxed = decode_crystals(fields.pop("relaxed"))[0]
        return replace(candidate, assessment=Assessment(relaxed=relaxed, **fields))

    return [assessed(c) if c.pending else c for c in candidates]


def require_sun(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Keeps what is stable, unique within the loop, and novel: as much of it as is required."""
    settings = tools.config.stability
    relaxed = [c.assessment.relaxed for c in candidates if c.assessment is not None]
    uniqueness = iter(unique_mask(relaxed, settings))

    def judged(candidate: Candidate) -> Candidate:
        assessment = candidate.assessment
        if assessment is None:
            return candidate
        above = assessment.e_above_hull_ev_per_atom
        stable = above <= settings.max_e_above_hull_ev_per_atom
        flags = SunFlags(stable, unique=next(uniqueness), novel=assessment.novel)
        verdict = _rejection(flags, above, settings)
        judged = replace(candidate, flags=flags)
        return judged.rejected(*verdict) if verdict else judged

    return [judged(c) for c in candidates]


def screen(candidates: Sequence[Candidate], tools: Tools) -> list[Candidate]:
    """Turns down, before the budget is touched, what the cheap filters do not let through.

    A cheap term with a least score filters as well. Where a filter's property cannot be had, the
    crystal is not let through either: nobody could say that it lies within the bounds.
    """
    objective = tools.config.objective
    if not objective.filters and all(term.min_score is None for term in objective.terms):
        return list(candidates)
    pending = [c for c in candidates if c.pending]
    results = _pay(tools.screening, "screen", "screen", pending, tools, _specimens_payload)

    def screened(candidate: Candidate) -> Candidate:
        record = results[candidate.key]
        if isinstance(record, BatchFailed):
            return candidate.rejected(Outcome.FILTERED, record.reason)
        known = _informed(candidate, record)
        reason = record["rejection"] or _failures(record)
        return known.rejected(Outcome.FILTERED, reason) if reason else known

    return [screened(c) if c.pending else c for c in candidates]


def evaluate(
    candidates: Sequence[Candidate],
    tools: Tools,
    budget: int,
    chosen: Collection[str] | None = None,
) -> list[Candidate]:
    """Pays for the properties of survivors, as many as the budget allows.

    Args:
        candidates: The loop's.
        tools: The run's.
        budget: Evaluations paid for, at most.
        chosen: Keys of those to evaluate; the first ones by default.
    """
    survivors = [c for c in candidates if c.pending and (chosen is None or c.key in chosen)]
    objective, shares = tools.config.objective, tools.shares or (tools.whole,)

    def pay(share: Share, some: Sequence[Candidate]) -> dict[str, Record | BatchFailed]:
        return _pay(share, "score", "evaluate", some, tools, _specimens_payload)

    results = in_turn(survivors[:budget], shares, pay, objective, tools.properties)

    def evaluated(candidate: Candidate) -> Candidate:
        record = results.get(candidate.key)
        if record is None:
            return candidate.rejected(
                Outcome.NOT_EVALUATED, f"the loop's {budget} property evaluations were spent"
            )
        if isinstance(record, BatchFailed):
            return candidate.rejected(Outcome.EVALUATION_FAILED, record.reason)
        scored = _informed(candidate, record)
        if record.get("rejection"):
            return scored.rejected(Outcome.ABANDONED, record["rejection"])
        if record["reward"] is None:
            return scored.rejected(Outcome.EVALUATION_FAILED, _failures(record))
        return replace(scored, reward=record["reward"], outcome=Outcome.EVALUATED)

    return [evaluated(c) if c.pending else c for c in candidates]


def finetune(
    entries: Sequence[ReplayEntry],
    tried: Sequence[Candidate],
    optimizer: Weights | None,
    loop: int,
    tools: Tools,
) -> Payload:
    """Fine-tunes the published policy on generated crystals with their penalised rewards.

    Args:
        entries: What is learnt from.
        tried: All of the loop's candidates: a policy that evolves avoids them from now on.
        optimizer: Adam's moments, where they are carried from loop to loop.
        loop: Gives the seed.
        tools: The run's.

    Returns:
        The learner's payload: ``weights``, ``optimizer`` and figures.

    Raises:
        RunFailed: The learner failed.
    """
    payload = {
        "crystals": encode_crystals([decode_crystals(e.crystal)[0] for e in entries]),
        "rewards": [entry.reward for entry in entries],
        "tried": encode_crystals([candidate.generated for candidate in tried]),
        "seed": seeds.integer(tools.config.seed, loop, seeds.Stage.FINETUNE),
        "optimizer": optimizer,
    }
    tools.progress.stage("finetune", 0, len(entries))
    ((_, result),) = tools.executor.map(LEARNER, "finetune", [payload])
    if isinstance(result, BatchFailed):
        raise RunFailed(f"loop {loop}: fine-tuning failed: {result.reason}")
    tools.progress.stage("finetune", len(entries), len(entries))
    return result


def _pay(
    share: Share,
    verb: str,
    stage: str,
    candidates: Sequence[Candidate],
    tools: Tools,
    payload: Callable[[Sequence[Candidate]], Payload],
) -> dict[str, Record | BatchFailed]:
    """Has the workers of a share treat candidates, but those the ledger already knows.

    Batches are cut before the ledger is consulted, so that a resumed run repeats the very batches
    that the interrupted one would have run. Members of a batch that fails are tried again one by
    one: a crystal that takes its worker down does not take its company along. One that fails alone
    is put in quarantine, and the ledger keeps why: a resumed run does not try it again.
    """
    size, entry = share.batch_size, share.entry(verb)
    told = {} if share.scorers is None else {"scorers": list(share.scorers)}
    results: dict[str, Record | BatchFailed] = {}
    batches: list[list[Candidate]] = []
    for start in range(0, len(candidates), size):
        unpaid = []
        for candidate in candidates[start : start + size]:
            record = tools.ledger.get(entry, candidate.key)
            if record is None:
                unpaid.append(candidate)
            else:
                results[candidate.key] = _quarantined(record) or record
        if unpaid:
            batches.append(unpaid)
    tools.progress.stage(stage, len(results), len(candidates))

    def send(batches: Sequence[Sequence[Candidate]]) -> list[int]:
        """Runs batches; returns the indices of those that failed."""
        failed = []
        payloads = [{**payload(batch), **told} for batch in batches]
        for index, result in tools.executor.map(share.role, verb, payloads):
            keys = [candidate.key for candidate in batches[index]]
            about = {"loop": batches[index][0].loop, "stage": stage, "candidates": keys}
            if isinstance(result, BatchFailed):
                results.update(dict.fromkeys(keys, result))
                failed.append(index)
                logger.info("%s: batch failed: %s", stage, result.reason, extra=about)
                if len(keys) == 1:
                    tools.ledger.record(entry, {keys[0]: {_QUARANTINE: result.reason}})
                tools.progress.note(f"{stage}: {_trouble(batches[index])}: {result.reason}")
            else:
                paid = dict(zip(keys, result["records"], strict=True))
                tools.ledger.record(entry, paid)
                results.update(paid)
                logger.info("%s: batch done", stage, extra=about)
            tools.progress.stage(stage, len(results), len(candidates))
        return failed

    failed = [batches[index] for index in sorted(send(batches))]
    send([[candidate] for batch in failed if len(batch) > 1 for candidate in batch])
    return results


def _quarantined(record: Record) -> BatchFailed | None:
    return BatchFailed(record[_QUARANTINE]) if _QUARANTINE in record else None


def _trouble(batch: Sequence[Candidate]) -> str:
    if len(batch) == 1:
        return f"{batch[0].generated.formula} failed"
    return f"a batch failed, its {len(batch)} crystals are tried one by one"


def _crystals_payload(candidates: Sequence[Candidate]) -> Payload:
    return {"crystals": encode_crystals([c.generated for c in candidates])}


def _specimens_payload(candidates: Sequence[Candidate]) -> Payload:
    found = [c.assessment for c in candidates if c.assessment is not None]
    return {
        "crystals": encode_crystals([a.relaxed for a in found]),
        "energies": [a.energy_ev_per_atom for a in found],
        "formation_energies": [a.formation_energy_ev_per_atom for a in found],
        "hull_distances": [a.e_above_hull_ev_per_atom for a in found],
        "known": [dict(c.values) for c in candidates if c.assessment is not None],
    }


def _informed(candidate: Candidate, record: Record) -> Candidate:
    """The candidate with what a screening or an evaluation found."""
    # A run begun by an older version may resume from a ledger without counts or rejections.
    return replace(
        candidate,
        values=record["values"],
        computed={**candidate.computed, **record.get("computed", {})},
        recalled={**candidate.recalled, **record.get("recalled", {})},
    )


def _failures(record: Record) -> str:
    return "; ".join(f"{name}: {why}" for name, why in record["failures"].items())


def _rejection(
    flags: SunFlags, e_above_hull: float, settings: StabilitySettings
) -> tuple[Outcome, str] | None:
    if "stable" in settings.require and not flags.stable:
        limit = settings.max_e_above_hull_ev_per_atom
        return Outcome.UNSTABLE, f"{e_above_hull:.3f} eV/atom above the hull, limit {limit:g}"
    if "unique" in settings.require and not flags.unique:
        return Outcome.DUPLICATE, "the same as an earlier crystal of this loop"
    if "novel" in settings.require and not flags.novel:
        return Outcome.KNOWN, "the reference set holds it"
    return None
