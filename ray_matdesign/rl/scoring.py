"""Who scores what: one objective, shared by cost class among the roles that have workers for it.

Without workers of their own, all scorers run on the reward workers. Where cheap or DFT scorers have
theirs, a crystal goes from role to role, cheapest first, until it is turned down, a scorer fails,
or everything is known; the outcome is what a single worker would have found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.schema import PotentialSettings, RunConfig, StabilitySettings
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.potentials.deferred import DeferredPotential
from ray_matdesign.rewards.cache import cache_of
from ray_matdesign.rewards.objective import (
    Evaluation,
    Objective,
    Probe,
    build_objective,
    reward_of,
)
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rl.candidate import Candidate
from ray_matdesign.rl.executor import BatchFailed, Payload
from ray_matdesign.rl.ledger import Record
from ray_matdesign.stability.reference import ReferenceSet

REWARD, CHEAP_SCORER, DFT_SCORER = "reward", "cheap_scorer", "dft_scorer"
"""Names of the roles that score."""


class IdleScorers(ValueError):
    """Workers for scorers of a cost class that the objective has none of."""


@dataclass(frozen=True)
class Share:
    """The scorers of an objective that one role runs.

    Attributes:
        role: Who.
        batch_size: Crystals sent to a worker at once.
        scorers: By the names they are asked for in the objective; ``None`` for all.
    """

    role: str
    batch_size: int
    scorers: tuple[str, ...] | None = None

    def entry(self, verb: str) -> str:
        """What the ledger calls this share's results: parts are not to be taken for the whole."""
        return verb if self.scorers is None else f"{verb} {self.role}"


def shares_of(config: RunConfig, description: Mapping[str, Any]) -> tuple[Share, ...]:
    """How the scoring is shared, cheapest first.

    Args:
        config: Of the run.
        description: What a reward worker says of the objective.

    Raises:
        IdleScorers: See there.
    """
    execution, size = config.execution, config.relaxation.batch_size
    pools = {"cheap": execution.cheap_scorers, "dft": execution.dft_scorers}
    roles = {"cheap": CHEAP_SCORER, "dft": DFT_SCORER}
    theirs = {cost: pool for cost, pool in pools.items() if pool is not None}
    if not theirs:
        return (Share(REWARD, size),)
    costs = _costs(config.objective, description)
    for cost in theirs:
        if cost not in costs.values():
            raise IdleScorers(f"execution.{cost}_scorers: the objective has no {cost} scorer")
    members: dict[str, list[str]] = {}
    for cost in CostClass:
        names = [name for name, found in costs.items() if found == cost]
        role = roles[cost] if cost in theirs else REWARD
        if names:
            members.setdefault(role, []).extend(names)
    sizes = {roles[cost]: pool.batch_size for cost, pool in theirs.items()}
    return tuple(
        Share(role, sizes.get(role, size), tuple(names)) for role, names in members.items()
    )


def in_turn(
    candidates: Sequence[Candidate],
    shares: Sequence[Share],
    pay: Callable[[Share, Sequence[Candidate]], Mapping[str, Record | BatchFailed]],
    objective: ObjectiveSettings,
    properties: Sequence[str],
) -> dict[str, Record | BatchFailed]:
    """Has each share of the scorers look at what the ones before it have left in the race.

    Args:
        candidates: To be evaluated.
        shares: From :func:`shares_of`.
        pay: Has one share's role score candidates; results by candidate key.
        objective: What is designed for.
        properties: What its scorers are called: those of the terms, in their order, come first.

    Returns:
        By candidate key, what a reward worker alone would have returned.
    """
    if shares[0].scorers is None:
        return dict(pay(shares[0], candidates))
    found: dict[str, Record | BatchFailed] = {}
    going = list(candidates)
    for share in shares:
        going = [_informed(c, found.get(c.key)) for c in going if _open(found.get(c.key))]
        for key, record in pay(share, going).items():
            found[key] = _joined(found.get(key), record)
    names = properties[: len(objective.terms)]
    return {key: _rewarded(record, objective, names) for key, record in found.items()}


class ScorerWorker:
    """Scores some properties of relaxed crystals; relaxes nothing.

    The scorers it is first asked for are built then, and no others: those of other cost classes may
    need what this worker's machine lacks.

    Args:
        settings: What the run designs for.
        bench: The scorers' instruments.
        build: Builds an objective of some of the scorers.
    """

    def __init__(self, build: Callable[[Sequence[str]], Objective]) -> None:
        self._build = build
        self._built: dict[tuple[str, ...], Objective] = {}

    def screen(self, payload: Payload) -> Payload:
        """As a reward worker's, with ``scorers`` in the payload."""
        return recorded(self._objective(payload).screen(specimens(payload)))

    def score(self, payload: Payload) -> Payload:
        """Likewise."""
        objective = self._objective(payload)
        return recorded(objective.evaluate(specimens(payload), payload["known"]))

    def _objective(self, payload: Payload) -> Objective:
        names = tuple(payload["scorers"])
        if names not in self._built:
            self._built[names] = self._build(names)
        return self._built[names]


def scorer_worker(settings: Mapping[str, Any]) -> ScorerWorker:
    """Builds a scorer worker from ``{potential, stability, objective, cache}``.

    The potential is loaded if a scorer turns out to need it.
    """
    stability = StabilitySettings.model_validate(settings["stability"])
    chosen = PotentialSettings.model_validate(settings["potential"])
    asked = ObjectiveSettings.model_validate(settings["objective"])
    potential: Any = DeferredPotential(chosen)
    bench = Bench(potential, ReferenceSet.load(stability.reference, stability))

    def build(names: Sequence[str]) -> Objective:
        cache = cache_of(settings["cache"], chosen, potential)
        return build_objective(asked.only(names), bench, cache)

    return ScorerWorker(build)


def specimens(payload: Payload) -> list[Specimen]:
    """The relaxed crystals of a payload, with what is known of them."""
    fields = zip(
        decode_crystals(payload["crystals"]),
        payload["energies"],
        payload["formation_energies"],
        payload["hull_distances"],
        strict=True,
    )
    return [Specimen(*values) for values in fields]


def recorded(evaluations: Sequence[Evaluation]) -> Payload:
    """``{records}``: each as in :class:`~ray_matdesign.rewards.objective.Evaluation`."""
    return {"records": [_record(evaluation) for evaluation in evaluations]}


def described(probe: Probe) -> dict[str, str]:
    """What a scorer's numbers mean, and where they come from."""
    scorer = probe.scorer
    return {
        "name": scorer.name,
        "unit": scorer.unit,
        "source": scorer.source,
        "cost": scorer.cost.value,
        "version": scorer.version,
    }


def _record(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "values": dict(evaluation.values),
        "failures": dict(evaluation.failures),
        "reward": evaluation.reward,
        "rejection": evaluation.rejection,
        "computed": {name: cost.value for name, cost in evaluation.computed.items()},
        "recalled": {name: cost.value for name, cost in evaluation.recalled.items()},
    }


def _costs(objective: ObjectiveSettings, description: Mapping[str, Any]) -> dict[str, str]:
    """Cost class by the name a scorer is asked for."""
    terms = [term.scorer for term in objective.terms]
    filters = [limit.scorer for limit in objective.filters if limit.scorer not in terms]
    told = [*description["terms"], *description["filters"]]
    return {name: scorer["cost"] for name, scorer in zip([*terms, *filters], told, strict=True)}


def _open(record: Record | BatchFailed | None) -> bool:
    if isinstance(record, BatchFailed):
        return False
    return record is None or not (record["failures"] or record["rejection"])


def _informed(candidate: Candidate, record: Record | BatchFailed | None) -> Candidate:
    if record is None or isinstance(record, BatchFailed):
        return candidate
    return replace(candidate, values=record["values"])


def _joined(
    earlier: Record | BatchFailed | None, later: Record | BatchFailed
) -> Record | BatchFailed:
    """What two shares found; where the second could not finish, nothing is to be had of either."""
    if earlier is None or isinstance(earlier, BatchFailed) or isinstance(later, BatchFailed):
        return later
    counted = {name: {**earlier[name], **later[name]} for name in ("computed", "recalled")}
    return {**later, **counted}


def _rewarded(
    record: Record | BatchFailed, objective: ObjectiveSettings, names: Sequence[str]
) -> Record | BatchFailed:
    if isinstance(record, BatchFailed):
        return record
    values = [record["values"].get(name) for name in names]
    return {**record, "reward": reward_of(objective, values) if _open(record) else None}
