"""The planner: what to design for in a round."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Request
from ray_matdesign.agents.objectives.groups import GROUPS
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.saga.asking import ask_checked, narrowed, request_of
from ray_matdesign.agents.saga.describing import (
    dropped_lines,
    figure_lines,
    objective_lines,
    report_lines,
)
from ray_matdesign.agents.saga.drafting import (
    DIVERSITY,
    ELEMENTS,
    OTHER,
    SHARE,
    Draft,
    NotAnObjective,
    Sentence,
    draft_schema,
    name_of,
    planned,
)
from ray_matdesign.agents.saga.protocol import Dropped, Plan, Planned, PlanRequest
from ray_matdesign.agents.saga.settings import Aim
from ray_matdesign.config.settings import Settings

VERSION = "2"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_MOST_TOKENS = 768
_MOST_NEW = 3
_FIGURES = (
    "population.", "reward.", "mean.", "saturation.", "corr.", "diversity.", "let_through.",
    "value.", "element.",
)  # fmt: skip

_EXAMPLE = (
    '{"thoughts":"Nothing keeps the gap open.","keep":[],"add":[{"why":"A leaking insulator is of '
    'no use.","kind":"candidate","measure":"band_gap","direction":"maximize","low":0,"high":6}]}'
)


def _measures() -> str:
    return "\n".join(
        f"- {name} [{one.unit or '1'}]: {one.wordings[0]}, {one.low:g} to {one.high:g}"
        for name, one in REGISTERED.items()
    )


_SYSTEM = f"""\
You choose the objectives of a search for inorganic crystals. The search is run by a program that
rewards crystals by your objectives, so a goal that no objective speaks of is ignored, and an
objective that is only a stand-in for the goal gets exploited. Few objectives that matter are better
than many.
An objective is of one kind:
- candidate: a number for each crystal, to maximize or minimize. low and high say between which
  values crystals are to be told apart.
- filter: crystals outside low and high are thrown away; one of the two may be null. Only for what
  most crystals meet: where nearly all are thrown away, there is nothing left to learn from.
- population: one number for all crystals of a round, to maximize or minimize; it is watched only.
An objective measures one of these; where a range is given, most crystals lie in it:
{_measures()}
- {SHARE}: share of atoms, from 0 to 1, of the elements or groups listed in elements (groups:
  {", ".join(GROUPS)})
- {ELEMENTS}: how many elements a crystal has
- {DIVERSITY}: of the compositions of a population
- {OTHER}: anything else that can be computed from a relaxed crystal, described in quantity, unit
  and inputs
Initial objectives always stay as they are; do not add them again. Each part of the goal that no
objective measures yet deserves one.
Answer with a JSON object: thoughts, one sentence; keep, the names of earlier objectives to keep;
add, new objectives, each with why, the reason in one short sentence; add may be empty. For example:
{_EXAMPLE}"""


class PlannerAnswer(Settings):
    """A plan, as a model answers."""

    thoughts: Sentence
    keep: tuple[str, ...] = Field(default=(), max_length=12)
    """Names of those that may be kept."""
    add: tuple[Draft, ...] = Field(default=(), max_length=_MOST_NEW)


def plan(asked: PlanRequest, llm: Llm) -> Plan:
    """Asks for the objectives of a round.

    What code can guarantee is not left to the model: initial objectives are there word for word,
    kept ones are unchanged, names are unique, and there are no more than allowed. Of several new
    objectives, those that can be had are taken. If none can, the model is asked again, unless they
    were to replace what could not be had before.

    Args:
        asked: The round.
        llm: Who is asked.

    Raises:
        LlmError: No usable answer.
    """
    return ask_checked(llm, plan_request(asked), PlannerAnswer, lambda answer: _plan(asked, answer))


def plan_request(asked: PlanRequest) -> Request:
    """The question for a round's objectives."""
    purpose = "planner.replace" if asked.attempt > 1 else "planner.revise"
    if asked.round == 1 and asked.attempt == 1:
        purpose = "planner.begin"
    schema = PlannerAnswer.model_json_schema()
    schema["$defs"]["Draft"] = draft_schema()
    schema["required"] = ["thoughts", "keep", "add"]
    room = _room(asked)
    schema["properties"]["add"]["maxItems"] = min(_MOST_NEW, room)
    schema["properties"]["keep"]["maxItems"] = len(_free(asked))
    schema = narrowed(schema, {"keep": [one.spec.name for one in _free(asked)]})
    return request_of(
        purpose,
        VERSION,
        _SYSTEM,
        _told(asked, room),
        schema,
        max_tokens=_MOST_TOKENS,
        seed=asked.seed,
    )


def with_initial(initial: Sequence[Aim], objectives: Sequence[Planned]) -> tuple[Planned, ...]:
    """Objectives with the initial ones first and word for word, whatever became of them."""
    names = {aim.spec.name for aim in initial}
    first = [
        Planned(spec=aim.spec, low=aim.low, high=aim.high, origin="initial", since=1)
        for aim in initial
    ]
    return (*first, *(one for one in objectives if one.spec.name not in names))


def _free(asked: PlanRequest) -> list[Planned]:
    """Objectives of the round before that need not be kept."""
    names = {aim.spec.name for aim in asked.initial}
    return [one for one in asked.current if one.spec.name not in names]


def _room(asked: PlanRequest) -> int:
    """How many may be added if nothing is kept; in a further attempt all that stands is."""
    held = len(asked.initial) + (len(_free(asked)) if asked.attempt > 1 else 0)
    return max(0, asked.limit - held)


def _told(asked: PlanRequest, room: int) -> str:
    parts = [f"Goal: {asked.goal}"]
    if asked.context:
        parts.append(f"Context: {asked.context}")
    parts.append(f"Round {asked.round}. Initial objectives:\n{objective_lines(asked.initial)}")
    if _free(asked):
        parts.append(f"Other objectives so far:\n{objective_lines(_free(asked))}")
    if asked.statistics is not None:
        chosen = tuple(f for f in asked.statistics.figures if f.id.startswith(_FIGURES))
        told = figure_lines(asked.statistics.model_copy(update={"figures": chosen}))
        parts.append(f"Figures of the last round:\n{told}")
    if asked.report is not None:
        parts.append(f"Report on the last round:\n{report_lines(asked.report)}")
    if asked.dropped:
        what = "These could not be had; replace them by something else, or do without"
        parts.append(f"{what}:\n{dropped_lines(asked.dropped)}")
    if asked.remarks:
        parts.append("Reviewers said:\n" + "\n".join(f"- {remark}" for remark in asked.remarks))
    parts.append(f"You may add at most {min(_MOST_NEW, room)} objectives, {asked.limit} in all.")
    return "\n\n".join(parts)


def _plan(asked: PlanRequest, answer: PlannerAnswer) -> Plan:
    free = {one.spec.name: one for one in _free(asked)}
    unknown = [name for name in answer.keep if name not in free]
    if unknown:
        raise BadAnswer(f"keep: {unknown[0]!r} is none of {', '.join(free) or 'none'}")
    wanted = free if asked.attempt > 1 else {name: free[name] for name in answer.keep}
    objectives = list(with_initial(asked.initial, list(wanted.values())))
    refused = []
    for draft in answer.add:
        try:
            if len(objectives) >= asked.limit:
                raise NotAnObjective(f"there is no room for more than {asked.limit} objectives")
            objectives.append(_checked(draft, asked.round, objectives))
        except NotAnObjective as error:
            name = name_of(draft)
            refused.append(Dropped(name=name, attempt=asked.attempt, reason=str(error)))
    # What replaces something that could not be had may also be nothing.
    if refused and len(refused) == len(answer.add) and asked.attempt == 1:
        raise BadAnswer(f"add: {'; '.join(one.reason for one in refused)}")
    if len(objectives) > asked.limit:
        raise BadAnswer(f"that makes {len(objectives)} objectives, and {asked.limit} are allowed")
    if not any(one.spec.kind == "candidate" for one in objectives):
        raise BadAnswer("add: at least one objective must be of kind candidate")
    retired = tuple(name for name in free if name not in wanted)
    return Plan(
        thoughts=answer.thoughts,
        objectives=tuple(objectives),
        retired=retired,
        refused=tuple(refused),
    )


def _checked(draft: Draft, since: int, others: Sequence[Planned]) -> Planned:
    new = planned(draft, since)
    for other in others:
        if other.spec.name == new.spec.name:
            raise NotAnObjective(f"there is an objective {new.spec.name} already")
        if other.spec.hash == new.spec.hash:
            raise NotAnObjective(f"{new.spec.name} is the same as {other.spec.name}")
    return new
