"""Values of crystals that were found already: what a run did not look for, or nobody may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ray_matdesign.agents.objectives.artifact import load_artifact
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.python_scorer import Sandbox
from ray_matdesign.agents.objectives.scorer import population_value
from ray_matdesign.agents.saga.inner import filter_of, term_of
from ray_matdesign.agents.saga.population import Member
from ray_matdesign.agents.saga.protocol import Implemented
from ray_matdesign.agents.saga.settings import HeldOut
from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.objective import SCORERS, build_scorer
from ray_matdesign.rewards.scorer import Bench, Scorer
from ray_matdesign.rl.workers import bench_of

Values = list[float | Failed]


class Appraiser:
    """Scores crystals at rest, with the instruments of a run.

    Args:
        base: Whose potential and reference are used.
        scorers: Folder of written scorers.
        sandbox: For written scorers of populations in Python.
    """

    def __init__(self, base: RunConfig, scorers: Path, sandbox: Sandbox | None = None) -> None:
        self._base = base
        self._scorers = scorers
        self._sandbox = sandbox

    def values(self, objective: Implemented, members: Sequence[Member]) -> Values:
        """Of a candidate or filter objective; what a member holds already is not computed.

        Raises:
            ScorerError: The scorer cannot be built.
        """
        lacking = [one for one in members if objective.name not in one.values]
        fresh = iter(self._computed(objective, lacking) if lacking else ())
        return [
            one.values[objective.name] if objective.name in one.values else next(fresh)
            for one in members
        ]

    def held_out(self, one: HeldOut, members: Sequence[Member]) -> Values:
        """Of a property that no role is told of.

        Raises:
            ScorerError: The scorer refuses its options.
            UnknownName: There is none of that name.
        """
        factory = load_object(one.scorer, SCORERS, what="scorer")
        scorer: Scorer = factory(self._bench, **one.options)
        return scorer.score([member.specimen for member in members])

    def of_population(
        self,
        objective: Implemented,
        members: Sequence[Member],
        others: Sequence[Implemented] = (),
    ) -> float | Failed:
        """Of a population objective.

        Args:
            objective: Written.
            members: The population.
            others: Objectives whose values the members hold, in place of computing them anew.
        """
        if not members:
            return Failed("there are no crystals")
        artifact = load_artifact(self._scorers / objective.artifact)
        held = {one.scorer: one for one in others}
        found: dict[str, tuple[float | Failed, ...]] = {}
        for name in artifact.spec.needs:
            same = held.get(name)
            if same is None:
                scorer: Scorer = load_object(SCORERS[name], {}, what="scorer")(self._bench)
                found[name] = tuple(scorer.score([member.specimen for member in members]))
            else:
                found[name] = tuple(self.values(same, members))
        batch = Batch(tuple(member.relaxed for member in members), found)
        return population_value(artifact, batch, self._sandbox)

    def _computed(self, objective: Implemented, members: Sequence[Member]) -> Values:
        make = filter_of if objective.objective.spec.kind == "filter" else term_of
        scorer = build_scorer(make(objective, self._scorers), self._bench)
        return scorer.score([member.specimen for member in members])

    @cached_property
    def _bench(self) -> Bench:
        settings: Mapping[str, Any] = self._base.model_dump(mode="json")
        return bench_of(settings)
