"""The selector: which of all crystals found are worth making."""

from __future__ import annotations

from pydantic import Field

from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Request
from ray_matdesign.agents.saga.asking import ask_checked, narrowed, request_of
from ray_matdesign.agents.saga.describing import leader_lines, objective_lines
from ray_matdesign.agents.saga.drafting import Sentence
from ray_matdesign.agents.saga.protocol import Chosen, Selection, SelectRequest
from ray_matdesign.config.settings import Settings

VERSION = "1"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_TOKENS_PER_CHOICE = 80
_SYSTEM = """\
You pick the inorganic crystals that are worth making from a list. Weigh the objectives against each
other, prefer crystals on the front, and avoid picking several that are nearly the same.
Answer with a JSON object: chosen, a list of {"id": from the list, "why": one sentence}, best first,
each crystal once, as many as are asked for."""


class Choice(Settings):
    """A crystal, as a model picks it."""

    id: str
    why: Sentence


class SelectorAnswer(Settings):
    """A selection, as a model answers."""

    chosen: tuple[Choice, ...] = Field(min_length=1)


def select(asked: SelectRequest, llm: Llm) -> Selection:
    """Asks which crystals to make.

    Args:
        asked: The crystals; with no more than are to be picked, nobody is asked.
        llm: Who is asked.

    Raises:
        LlmError: No usable answer.
    """
    if len(asked.candidates) <= asked.count:
        return ranked(asked)
    return ask_checked(
        llm, select_request(asked), SelectorAnswer, lambda answer: _selection(asked, answer)
    )


def ranked(asked: SelectRequest) -> Selection:
    """The first of the list, which is in order of merit: what is picked without a model."""
    chosen = [Chosen(id=one.id, why="by rank") for one in asked.candidates[: asked.count]]
    return Selection(chosen=tuple(chosen))


def select_request(asked: SelectRequest) -> Request:
    """The question for the crystals to make."""
    schema = SelectorAnswer.model_json_schema()
    schema["properties"]["chosen"] |= {"minItems": asked.count, "maxItems": asked.count}
    schema = narrowed(schema, {"id": [one.id for one in asked.candidates]})
    aims = objective_lines(one.objective for one in asked.objectives)
    context = f"\n\nContext: {asked.context}" if asked.context else ""
    told = (
        f"Goal: {asked.goal}{context}\n\nObjectives:\n{aims}\n\n"
        f"Crystals, best first by all objectives:\n{leader_lines(asked.candidates)}\n\n"
        f"Pick {asked.count}."
    )
    return request_of(
        "selector",
        VERSION,
        _SYSTEM,
        told,
        schema,
        max_tokens=256 + _TOKENS_PER_CHOICE * asked.count,
        seed=asked.seed,
    )


def _selection(asked: SelectRequest, answer: SelectorAnswer) -> Selection:
    known = {one.id for one in asked.candidates}
    ids = [choice.id for choice in answer.chosen]
    unknown = [one for one in ids if one not in known]
    if unknown:
        raise BadAnswer(f"chosen: there is no crystal {unknown[0]!r} in the list; copy ids exactly")
    twice = [one for one in ids if ids.count(one) > 1]
    if twice:
        raise BadAnswer(f"chosen: {twice[0]} is picked more than once")
    if len(ids) != asked.count:
        raise BadAnswer(f"chosen: {asked.count} are asked for, and there are {len(ids)}")
    return Selection(chosen=tuple(Chosen(id=one.id, why=one.why) for one in answer.chosen))
