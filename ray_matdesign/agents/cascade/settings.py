"""How tasks are solved: the mode, each ability, and what a task may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ray_matdesign.agents.cascade.task import Mode
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.config.settings import Settings

Strategy = Literal["direct", "introspection", "documentation", "diagnostic", "result"]
"""What a debugger looks at: the error; what the symbols really are; the documentation; values on
the way; the form of the answer."""

MOST_DEBUGGERS = 8
MOST_TURNS = 20
SEEDS = 1000
"""Seeds that belong to one task: those of its debuggers never meet those of the next seed."""


@dataclass(frozen=True)
class Abilities:
    """What a solver may do; see :class:`AbilitySettings`."""

    memory: bool
    route: bool
    skills: bool
    research: bool
    documentation: bool
    introspection: bool
    probe: bool
    repair: bool
    judge: bool
    debuggers: int


_OF_MODE: dict[Mode, Abilities] = {
    "native": Abilities(False, False, False, False, False, False, False, False, False, 0),
    "search_debug": Abilities(False, False, False, False, True, False, False, False, False, 1),
    "deep": Abilities(False, False, False, True, True, True, True, True, True, 3),
    "deep+skills": Abilities(False, False, True, True, True, True, True, True, True, 3),
}


class AbilitySettings(Settings):
    """Each ability, on or off; ``None`` leaves it to the mode, so every ablation is one key."""

    memory: bool | None = None
    """Look for solved questions first; off in every mode, for a benchmark must not remember."""
    route: bool | None = None
    """Try a task that memory or skills know as a simple one first, and solve it in depth only if
    that fails; off in every mode."""
    skills: bool | None = None
    """Offer skills from the library, their code beside the program."""
    research: bool | None = None
    """Ask the model which classes and functions it would use, before it writes code."""
    documentation: bool | None = None
    """Search the documentation with the question, and by debuggers that are told to."""
    introspection: bool | None = None
    """Look up what is there in place of a symbol that failed, and how it is called."""
    probe: bool | None = None
    """Look at values where the program failed: types, attributes, keys."""
    repair: bool | None = None
    """Mend what needs no model: imports that are missing, an answer that is only printed."""
    judge: bool | None = None
    """Ask the model which answer to take where the vote is tied."""
    debuggers: Annotated[int, Field(ge=0, le=MOST_DEBUGGERS)] | None = None
    """How many work on a failure, at once."""


class ToleranceSettings(Settings):
    """When two answers count as the same in a vote; either is enough."""

    relative: NonNegativeFloat = 1e-3
    absolute: NonNegativeFloat = 1e-9


class RunSettings(Settings):
    """What one run may use; see :class:`ray_matdesign.agents.sandbox.limits.Limits`."""

    cpu_s: PositiveFloat = 120.0
    wall_s: PositiveFloat = 180.0
    memory_mib: PositiveInt = 2048
    scratch_mib: PositiveInt = 128
    output_kib: PositiveInt = 64

    def limits(self) -> Limits:
        """As the sandbox takes them."""
        return Limits(**self.model_dump())


class PromptSettings(Settings):
    """How much of everything goes into a prompt; the defaults fit a context of 8k tokens."""

    code_tokens: PositiveInt = 1024
    """Most tokens of an answer with a program."""
    list_tokens: PositiveInt = 96
    """Most tokens of an answer that lists symbols."""
    documentation_chars: PositiveInt = 3600
    program_chars: PositiveInt = 6000
    """Longest program that is shown; the middle of a longer one is left out."""
    error_chars: PositiveInt = 1200
    output_chars: PositiveInt = 600
    skills: PositiveInt = 3
    """Most skills offered."""
    results: PositiveInt = 4
    """Most passages of the documentation."""


class CascadeSettings(Settings):
    """How tasks are solved."""

    mode: Mode = "deep"
    abilities: AbilitySettings = AbilitySettings()
    strategies: tuple[Strategy, ...] = ()
    """Of the debuggers, in turn; empty: by the kind of failure."""
    turns: Annotated[int, Field(ge=1, le=MOST_TURNS)] = 3
    """Programs that each debugger may write."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.2
    """Of the first program; each further debugger adds ``spread``."""
    spread: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    tolerance: ToleranceSettings = ToleranceSettings()
    tokens: NonNegativeInt = 60_000
    """Read and written for one task, beyond which nothing more is asked."""
    deadline_s: PositiveFloat = 1800.0
    """For one task, over resumptions; looked at before each question and each run."""
    run: RunSettings = RunSettings()
    prompt: PromptSettings = PromptSettings()
    credit_skills: bool = True
    """Whether an answer of the right form counts as a success of the skills that were offered;
    switch it off where a judge who knows the reference reports it instead."""

    @model_validator(mode="after")
    def _strategies_once(self) -> Self:
        if len(set(self.strategies)) < len(self.strategies):
            raise ValueError("strategies: each may be given once")
        return self

    @property
    def able(self) -> Abilities:
        """The mode's abilities, with those that are set put over them."""
        of_mode = _OF_MODE[self.mode]
        given = {k: v for k, v in self.abilities.model_dump().items() if v is not None}
        return Abilities(**{**vars(of_mode), **given})

    def course(self) -> dict[str, object]:
        """All that the course of a solution depends on, but for where it is broken off."""
        return self.model_dump(mode="json", exclude={"deadline_s", "tokens", "credit_skills"})
