"""From a few words that a small language model can hit to the specification of an objective."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from ray_matdesign.agents.objectives.groups import GROUPS, UnknownElements, members
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.specification import (
    ATTRIBUTES,
    Direction,
    Kind,
    Name,
    ObjectiveSpec,
)
from ray_matdesign.agents.saga.protocol import Planned
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS

Short = Annotated[str, StringConstraints(max_length=120)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=240)]

SHARE, ELEMENTS, DIVERSITY, OTHER = "share_of_elements", "number_of_elements", "diversity", "other"
MEASURES = (*REGISTERED, SHARE, ELEMENTS, DIVERSITY, OTHER)
"""What an objective measures: a registered scorer, something simple, or what must be written."""

_LONGEST_NAME = 64
_LONGEST_WHY = 160


class NotAnObjective(ValueError):
    """Words that make no objective; the message is one line fit to be fed back."""


class Draft(Settings):
    """A new objective, as a planner answers."""

    name: Name | Literal[""] = ""
    """Made from the rest if there is none."""
    kind: Kind
    direction: Direction = "none"
    measure: str
    """One of ``MEASURES``."""
    elements: tuple[Short, ...] = Field(default=(), max_length=12)
    """Symbols or groups, of ``share_of_elements``."""
    quantity: Short = ""
    """In words, of ``other``."""
    unit: Short = ""
    """Of ``other``."""
    inputs: tuple[str, ...] = Field(default=(), max_length=6)
    """Of ``other``: ``composition``, ``structure`` or registered scorers."""
    low: float | None = None
    high: float | None = None
    weight: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    why: Sentence


def planned(draft: Draft, since: int) -> Planned:
    """The objective that a draft means.

    A filter on a measure is a condition between ``low`` and ``high``; an objective of a population
    is the mean of its measure, or its diversity. Both follow from the draft, so that nobody has to
    write them.

    Args:
        draft: As answered.
        since: Round that it comes in.

    Raises:
        NotAnObjective: It contradicts itself, or says too little.
    """
    if draft.measure not in MEASURES:
        raise NotAnObjective(f"{draft.measure}: measure must be one of {', '.join(MEASURES)}")
    draft = draft.model_copy(update={"name": name_of(draft)})
    ramp = _ramp(draft)
    try:
        spec = ObjectiveSpec.model_validate({**_common(draft), **_measured(draft)})
        return Planned(spec=spec, **ramp, origin="planner", since=since, why=draft.why)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"])) or draft.name
        told = " ".join(str(detail["msg"]).removeprefix("Value error, ").split())
        raise NotAnObjective(f"{draft.name}: {where}: {told}") from error


def _common(draft: Draft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "description": draft.why,
        "kind": draft.kind,
        "direction": draft.direction,
        "weight": draft.weight,
    }


def _ramp(draft: Draft) -> dict[str, float]:
    if draft.kind != "candidate" or draft.low is None or draft.high is None:
        return {}
    if draft.low >= draft.high:
        raise NotAnObjective(f"{draft.name}: low must be below high, whatever the direction")
    return {"low": draft.low, "high": draft.high}


def _measured(draft: Draft) -> dict[str, Any]:
    if draft.measure == OTHER:
        return _in_words(draft)
    if draft.measure == DIVERSITY:
        if draft.kind != "population":
            raise NotAnObjective(f"{draft.name}: diversity is of a population, not a {draft.kind}")
        return {
            "quantity": "diversity of compositions",
            "inputs": ["composition"],
            "formula": {"op": "population_diversity"},
            "intensive": True,
        }
    expression, unit, inputs, words = _expression(draft)
    if draft.kind == "filter":
        return {
            "quantity": f"condition on {words}",
            "inputs": inputs,
            "formula": _condition(draft, expression, unit),
        }
    if draft.kind == "population":
        return {
            "quantity": f"mean {words}",
            "unit": unit,
            "inputs": inputs,
            "formula": {"op": "population_mean", "arg": expression},
        }
    registered = {"quantity": words, "unit": unit, "inputs": inputs}
    if draft.measure in REGISTERED:
        return registered
    return {**registered, "formula": expression, "range": _range(draft)}


def _expression(draft: Draft) -> tuple[dict[str, Any], str, list[str], str]:
    """A measure as an expression, its unit, what it depends on, and its name in words."""
    if draft.measure == SHARE:
        try:
            members(draft.elements)
        except UnknownElements as error:
            raise NotAnObjective(f"{draft.name}: elements: {error}") from error
        if not draft.elements:
            raise NotAnObjective(f"{draft.name}: {SHARE} needs elements")
        words = f"atomic share of {' '.join(draft.elements)}"
        return {"op": "share", "of": list(draft.elements)}, "", ["composition"], words
    if draft.measure == ELEMENTS:
        return {"op": "count", "of": "elements"}, "", ["composition"], "number of elements"
    one = REGISTERED[draft.measure]
    words = draft.measure.replace("_", " ")
    inputs = list(one.inputs) if draft.kind == "candidate" else [draft.measure]
    return {"op": "property", "scorer": draft.measure}, one.unit, inputs, words


def _condition(draft: Draft, expression: dict[str, Any], unit: str) -> dict[str, Any]:
    bounds = [
        {"op": op, "left": expression, "right": {"op": "number", "value": bound, "unit": unit}}
        for op, bound in (("at_least", draft.low), ("at_most", draft.high))
        if bound is not None
    ]
    if not bounds:
        raise NotAnObjective(f"{draft.name}: a filter needs low, high, or both")
    return bounds[0] if len(bounds) == 1 else {"op": "all", "args": bounds}


def _range(draft: Draft) -> dict[str, float]:
    return {"low": 0.0, "high": 1.0} if draft.measure == SHARE else {"low": 1.0}


def _in_words(draft: Draft) -> dict[str, Any]:
    if not draft.quantity.strip():
        raise NotAnObjective(f"{draft.name}: say in quantity what is measured")
    unknown = [name for name in draft.inputs if name not in (*ATTRIBUTES, *REGISTERED)]
    if unknown:
        known = ", ".join((*ATTRIBUTES, *REGISTERED))
        raise NotAnObjective(f"{draft.name}: inputs: {unknown[0]!r} is none of {known}")
    inputs = list(dict.fromkeys(draft.inputs)) or ["composition"]
    found: dict[str, Any] = {
        "quantity": draft.quantity,
        "inputs": inputs,
        "unit": "" if draft.kind == "filter" else draft.unit,
    }
    bounds = [
        f"{word} {value:g}"
        for word, value in (("at least", draft.low), ("at most", draft.high))
        if value is not None
    ]
    if draft.kind == "filter" and bounds:
        found["method"] = f"{draft.quantity}: {' and '.join(bounds)} {draft.unit}".strip()
    return found


def name_of(draft: Draft) -> str:
    """The name of a draft, or one that says what it asks for, such as ``low_hhi``."""
    if draft.name:
        return draft.name
    what = " ".join([draft.quantity or draft.measure, *draft.elements])
    if draft.kind == "filter":
        bounds = (("from", draft.low), ("to", draft.high))
        told = " ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        words = f"{what} {told}".replace("-", "minus ")
    else:
        way = {"maximize": "high", "minimize": "low"}.get(draft.direction, "")
        words = f"{way} {'mean ' if draft.kind == 'population' else ''}{what}"
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return (plain if re.match("[a-z].", plain) else f"objective_{plain}")[:_LONGEST_NAME]


def draft_schema() -> dict[str, Any]:
    """JSON schema of a draft: a form for each kind of objective and of measure.

    A model that writes under it can only say what belongs together, and nothing that code can
    tell by itself.
    """
    simple = [*REGISTERED, ELEMENTS]
    elements = {"type": "array", "items": _one_of(*GROUPS, *ATOMIC_NUMBERS), "minItems": 1}
    written = {
        "quantity": {"type": "string", "minLength": 4, "maxLength": 80},
        "unit": {"type": "string", "maxLength": 16},
        "inputs": {"type": "array", "items": _one_of(*ATTRIBUTES, *REGISTERED), "minItems": 1},
    }
    written["inputs"]["maxItems"], elements["maxItems"] = 3, 8
    way = {"direction": _one_of("maximize", "minimize")}
    number, open_end = {"type": "number"}, {"anyOf": [{"type": "number"}, {"type": "null"}]}
    endings: dict[str, dict[str, Any]] = {
        "candidate": {**way, "low": number, "high": number},
        "filter": {"low": open_end, "high": open_end},
        "population": way,
    }
    forms = []
    for kind, ending in endings.items():
        plain = [*simple, DIVERSITY] if kind == "population" else simple
        for measures, more in ((plain, {}), ([SHARE], {"elements": elements}), ([OTHER], written)):
            forms.append({"kind": _one_of(kind), "measure": _one_of(*measures), **more, **ending})
    why = {"type": "string", "minLength": 1, "maxLength": _LONGEST_WHY}
    return {"anyOf": [_object({"why": why, **form}) for form in forms]}


def _one_of(*choices: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(choices)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
