"""Compositions by a language model: elements for structure types, judged by the run's own loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from ray_matdesign.agents.llm.protocol import BadAnswer, Request
from ray_matdesign.agents.saga.asking import ask_checked, narrowed, request_of, shown
from ray_matdesign.agents.saga.describing import objective_lines
from ray_matdesign.agents.saga.proposed import PATH, BadDecoration, Decoration, decorated
from ray_matdesign.agents.saga.protocol import OptimizeRequest
from ray_matdesign.agents.saga.running import Instruments, candidates_of, run_in
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.prototypes import prototypes

VERSION = "1"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_TOKENS_PER_CRYSTAL = 40
_TOLD = 24
"""Crystals of earlier generations that a prompt holds, at most."""
_ENOUGH = 0.5
"""Share of the proposals that must be usable."""

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]?$")]


class Proposal(Settings):
    """A crystal, as a model proposes it."""

    type: str
    elements: tuple[Symbol, ...] = Field(min_length=1, max_length=3)


class CompositionsAnswer(Settings):
    """A generation, as a model proposes it."""

    crystals: tuple[Proposal, ...] = Field(min_length=1)


def propose_and_run(asked: OptimizeRequest, config: RunConfig, tools: Instruments) -> list[Path]:
    """Generations of proposals, each judged by a run of one loop.

    Args:
        asked: The round.
        config: Its run; generator and length are replaced.
        tools: With the model to ask.

    Returns:
        The folders of the runs, in order.

    Raises:
        LlmError: No usable answer.
        RunFailed: A run cannot start or go on.
    """
    folders: list[Path] = []
    rows: list[dict[str, Any]] = []
    tried: list[Decoration] = []
    for generation in range(1, asked.inner.generations + 1):
        request = compositions_request(asked, config, rows, generation)
        usable = partial(_usable, config=config, tried=tried)
        new = ask_checked(tools.llm, request, CompositionsAnswer, usable)
        tried += new
        folder = Path(asked.directory) / f"run-{generation:02d}"
        run_in(folder, _judged(config, new), tools)
        folders.append(folder)
        rows += candidates_of(folder)
    return folders


def compositions_request(
    asked: OptimizeRequest, config: RunConfig, rows: Sequence[Mapping[str, Any]], generation: int
) -> Request:
    """The question for a generation of crystals."""
    kinds = {one.name: len(one.stoichiometry) for one in prototypes()}
    listed = ", ".join(f"{name} ({sites})" for name, sites in kinds.items())
    system = (
        "You propose inorganic crystals: a structure type and an element for each of its sites. "
        f"Structure types, with the number of sites: {listed}. "
        'Answer with a JSON object {"crystals": [{"type": ..., "elements": [symbols, in the order '
        "of the sites]}]}, each crystal once, none that was tried before."
    )
    schema = CompositionsAnswer.model_json_schema()
    schema["properties"]["crystals"] |= {"maxItems": asked.inner.proposals}
    schema = narrowed(schema, {"type": list(kinds)})
    return request_of(
        "optimizer.compositions",
        VERSION,
        system,
        _told(asked, config, rows, generation),
        schema,
        max_tokens=256 + _TOKENS_PER_CRYSTAL * asked.inner.proposals,
        seed=asked.seed + generation,
    )


def _told(
    asked: OptimizeRequest, config: RunConfig, rows: Sequence[Mapping[str, Any]], generation: int
) -> str:
    aims = objective_lines(one.objective for one in asked.objectives)
    parts = [f"Goal: {asked.goal}"]
    if asked.context:
        parts.append(f"Context: {asked.context}")
    parts.append(f"Objectives:\n{aims}")
    allowed = config.generator.constraints.allowed_elements
    if allowed:
        parts.append(f"Only these elements: {', '.join(allowed)}")
    barred = config.generator.constraints.excluded_elements
    if barred:
        parts.append(f"None of these elements: {', '.join(barred)}")
    if rows:
        best = sorted(rows, key=lambda row: (-(row["reward"] or 0.0), row["key"]))[:_TOLD]
        lines = "\n".join(f"- {_outcome(row)}" for row in best)
        parts.append(f"What became of earlier proposals, best first:\n{lines}")
    parts.append(
        f"Generation {generation} of {asked.inner.generations}: propose {asked.inner.proposals}."
    )
    return "\n\n".join(parts)


def _outcome(row: Mapping[str, Any]) -> str:
    if row["reward"] is None:
        return f"{row['formula']}: {row['outcome']}, {row['reason']}"
    values = ", ".join(
        f"{name.removeprefix('value_')} {shown(value)}"
        for name, value in row.items()
        if name.startswith("value_")
    )
    return f"{row['formula']}: reward {shown(row['reward'])}; {values}"


def _usable(
    answer: CompositionsAnswer, config: RunConfig, tried: Sequence[Decoration]
) -> list[Decoration]:
    limits = config.generator.constraints
    allowed = set(limits.allowed_elements or SYMBOLS[1:]) - set(limits.excluded_elements)
    good: list[Decoration] = []
    problems: list[str] = []
    for proposal in answer.crystals:
        one = Decoration(type=proposal.type, elements=proposal.elements)
        name = f"{one.type} {' '.join(one.elements)}"
        barred = [s for s in one.elements if s in ATOMIC_NUMBERS and s not in allowed]
        try:
            decorated(one)
        except BadDecoration as error:
            problems.append(f"{name}: {error}")
            continue
        if barred:
            problems.append(f"{name}: {barred[0]} is not allowed")
        elif one in tried or one in good:
            problems.append(f"{name}: proposed before")
        else:
            good.append(one)
    if len(good) < _ENOUGH * len(answer.crystals):
        raise BadAnswer(f"crystals: {len(good)} can be used; {'; '.join(problems[:5])}")
    return good


def _judged(config: RunConfig, crystals: Sequence[Decoration]) -> RunConfig:
    """A run of one loop that judges these crystals."""
    options = {"crystals": [one.model_dump(mode="json") for one in crystals]}
    generator = config.generator.model_copy(
        update={
            "name": PATH,
            "checkpoint": "packaged",
            "options": options,
            "batch_size": len(crystals),
        }
    )
    rl = config.rl.model_copy(
        update={
            "loops": 1,
            "staleness": 0,
            "samples": len(crystals),
            "evaluations": len(crystals),
            "first_evaluations": None,
            "relaxations": None,
        }
    )
    return config.model_copy(update={"generator": generator, "rl": rl})
