"""What a campaign comes to in the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ray_matdesign.agents.saga.events import CampaignState, Event, digest, fold
from ray_matdesign.agents.saga.folder import Places
from ray_matdesign.agents.saga.inner import of_kind
from ray_matdesign.agents.saga.population import read_population, scores
from ray_matdesign.agents.saga.protocol import Implemented, Leader, SelectRequest
from ray_matdesign.agents.saga.settings import SagaSettings
from ray_matdesign.agents.saga.statistics import leaders_of
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.atomic import write_atomic

FINALISTS = 40
"""Crystals that the selector is shown, at most."""


class Finished(Settings):
    """Data of ``finished``."""

    digest: str
    """Of the outcome; see :func:`.events.digest`."""


def union_of(state: CampaignState) -> tuple[Implemented, ...]:
    """Every objective that was ever in force; of two with one scorer the later one."""
    held: dict[str, Implemented] = {}
    for one in (o for finished in state.rounds for o in finished.objectives):
        held.pop(one.column, None)
        held[one.column] = one
    return tuple(held.values())


def finalists(settings: SagaSettings, union: Sequence[Implemented], table: Path) -> SelectRequest:
    """The question for the crystals to make: those on the front first, then by mean score.

    Args:
        settings: Of the campaign.
        union: All objectives.
        table: Of every crystal on them.
    """
    members = read_population(table)
    leaders = {one.id: one for one in leaders_of(members, union)}
    means = _mean_scores(scores(members, of_kind(union, "candidate")))
    order = sorted(
        range(len(members)),
        key=lambda place: (
            not leaders[members[place].id].front,
            -means[place],
            members[place].id,
        ),
    )
    candidates = [leaders[members[place].id] for place in order]
    return SelectRequest(
        goal=settings.goal,
        context=settings.context,
        objectives=tuple(union),
        candidates=tuple(candidates[: max(FINALISTS, settings.select)]),
        count=settings.select,
        seed=settings.seed,
    )


def write_outcome(events: Sequence[Event], places: Places) -> Finished:
    """Writes ``final.json``."""
    state, told = fold(events), digest(events)
    decision = state.rounds[-1].decision if state.rounds else None
    union = union_of(state)
    known: dict[str, Leader] = {}
    if state.rescored is not None:
        known = {one.id: one for one in leaders_of(read_population(places.final_table), union)}
    chosen = state.selection.chosen if state.selection else ()
    content: dict[str, Any] = {
        "name": state.name,
        "digest": told,
        "rounds": len(state.rounds),
        "ended": None if decision is None else decision.model_dump(mode="json"),
        "objectives": [one.model_dump(mode="json") for one in union],
        "dropped": [
            {"round": one.number, **lost.model_dump(mode="json")}
            for one in state.rounds
            for lost in one.dropped
        ],
        "crystals": 0 if state.rescored is None else state.rescored.crystals,
        "front": [one.id for one in known.values() if one.front],
        "selected": [{**known[one.id].model_dump(mode="json"), "why": one.why} for one in chosen],
        "held_out": None if state.judged is None else state.judged.model_dump(mode="json"),
    }
    write_atomic(places.outcome, json.dumps(content, indent=1) + "\n")
    return Finished(digest=told)


def _mean_scores(table: np.ndarray[Any, Any]) -> list[float]:
    """A missing score counts as none at all."""
    if not table.size:
        return [0.0] * len(table)
    return [float(value) for value in np.nan_to_num(table).mean(axis=1)]
