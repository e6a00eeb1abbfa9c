"""From what was said in sessions to what is worth knowing later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from pydantic import Field

from ray_matdesign.agents.llm.protocol import (
    BadAnswer,
    Llm,
    Message,
    Request,
    Truncated,
    ask_for,
)
from ray_matdesign.agents.memory.memory import Memory, Note, Remembered, plain_form
from ray_matdesign.agents.retrieval import words
from ray_matdesign.config.settings import Settings

VERSION = "1"
"""Of the prompts' wording; see :mod:`ray_matdesign.agents.skills.prompts`."""

_ALIKE = 0.5
_GROUNDED = 0.6
_LONGEST_TEXT = 6000
_TELLING = re.compile(r"\d+(?:\.\d+)?|\b(?:[A-Z][a-z]?\d*){2,}\b")

_FACTS = """\
Read what was said while a task was solved. Write down what will help with later tasks: which
function or setting worked, which failed and why, which values hold for a material. Each fact is one
sentence that can be understood alone, in the words of the text, with nothing added. No facts is a
good answer. Answer with the JSON object {"facts": [...]} alone."""

_SAME = """\
Do these two sentences say the same? Other numbers, materials or functions are not the same. Answer
with the JSON object {"same": true} or {"same": false} alone."""


class Facts(Settings):
    """What a model finds worth keeping."""

    facts: tuple[str, ...] = Field(max_length=8)


class Same(Settings):
    """Whether two facts are one."""

    same: bool


@dataclass(frozen=True)
class Consolidated:
    """What became of a session or a namespace.

    Attributes:
        learnt: Facts that are now in the namespace and came from the session.
        merged: How many notes others stand for now.
        refused: Facts that a model added of its own: not in what was said.
    """

    learnt: tuple[Remembered, ...] = ()
    merged: int = 0
    refused: tuple[str, ...] = ()


def learn_session(memory: Memory, session: str, into: str, llm: Llm | None = None) -> Consolidated:
    """Brings what a session taught into a namespace.

    Its facts are copied with their origin. With a model, its texts are read for more; a fact whose
    numbers, formulas or words were not said is refused.

    Args:
        memory: Both are in.
        session: Name of the session.
        into: Namespace for the facts.
        llm: Reads the texts; without one only facts are taken.

    Raises:
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
    """
    noted = memory.session(session)
    facts = [(one.text, one.sources[0].task) for one in noted if one.kind == "fact"]
    refused = []
    for one in noted:
        if one.kind == "text" and llm is not None:
            for fact in _facts(llm, one.text):
                if grounded(fact, one.text):
                    facts.append((fact, one.sources[0].task))
                else:
                    refused.append(fact)
    learnt = [
        memory.remember(Note(namespace=into, kind="fact", text=text, session=session, task=task))
        for text, task in facts
    ]
    unique = {one.id: one for one in learnt}
    return Consolidated(tuple(unique.values()), refused=tuple(refused))


def deduplicate(memory: Memory, namespace: str, llm: Llm | None = None) -> Consolidated:
    """Lets one fact stand for those that say the same.

    Without a model, facts that differ in articles, spaces and full stops only. With one, also those
    that share most words and all numbers and formulas, and that the model takes for the same.

    Args:
        memory: The facts are in.
        namespace: Whose facts.
        llm: Judges pairs.

    Raises:
        LlmError: ``Unreachable``, ``BudgetSpent`` or ``NotRecorded``.
    """
    merged: set[int] = set()
    for first, second in combinations(memory.facts(namespace), 2):
        if first.id in merged or second.id in merged:
            continue
        if plain_form(first.text) == plain_form(second.text) or (
            llm is not None and _alike(first.text, second.text) and _same(llm, first, second)
        ):
            memory.merge(first.id, [second.id])
            merged.add(second.id)
    return Consolidated(merged=len(merged))


def grounded(fact: str, text: str) -> bool:
    """Whether a fact says no more than a text: its numbers, formulas and most of its words."""
    if not set(_telling(fact)) <= set(_telling(text)):
        return False
    said = words(fact)
    return bool(said) and len(set(said) & set(words(text))) >= _GROUNDED * len(set(said))


def _alike(one: str, other: str) -> bool:
    left, right = set(words(one)), set(words(other))
    if sorted(_telling(one)) != sorted(_telling(other)) or not left | right:
        return False
    return len(left & right) >= _ALIKE * len(left | right)


def _telling(text: str) -> Iterator[str]:
    """Numbers and formulas, which no paraphrase changes."""
    yield from (found.group() for found in _TELLING.finditer(text))


def _facts(llm: Llm, text: str) -> tuple[str, ...]:
    request = _request("memory.facts", _FACTS, text[:_LONGEST_TEXT], Facts, 512)
    try:
        return ask_for(llm, request, Facts, repairs=1).facts
    except (BadAnswer, Truncated):
        return ()  # the text itself stays and can be read again


def _same(llm: Llm, first: Remembered, second: Remembered) -> bool:
    request = _request("memory.same", _SAME, f"1: {first.text}\n2: {second.text}", Same, 32)
    try:
        return ask_for(llm, request, Same, repairs=1).same
    except (BadAnswer, Truncated):
        return False  # two facts that say the same do less harm than one that is lost


def _request(purpose: str, system: str, user: str, answer: type[Settings], tokens: int) -> Request:
    messages = (Message("system", system), Message("user", user))
    return Request(purpose, VERSION, messages, answer.model_json_schema(), max_tokens=tokens)
