"""Every word that models are asked when they solve tasks.

Short, as a model of one or two billion parameters with 8k tokens of context has to follow them, and
in free text: such a model writes better programs in a block of code than within JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from ray_matdesign.agents.cascade.running import Failure, Run
from ray_matdesign.agents.cascade.settings import PromptSettings, Strategy
from ray_matdesign.agents.cascade.task import FoundSkill, Task
from ray_matdesign.agents.llm.protocol import Message, Request
from ray_matdesign.config.settings import Settings

VERSION = "1"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

CODE = "solver.code"
SIMPLE = "solver.simple"
RESEARCH = "solver.research"
DEBUG = "solver.debug"
JUDGE = "solver.judge"
"""Purposes of requests; a debugger's has its strategy after it, ``solver.debug.direct``."""

_RULES = """\
You write one Python program that answers a question of materials science or chemistry.
- Answer with one ```python block and nothing else.
- Installed: numpy, scipy, pandas, pymatgen, ase, spglib, smact, phonopy, chgnet. No network.
- Use only names you are sure of, and those listed below if any are.
- A plain script: no main(), no plots, no try/except around errors.
- The last line assigns the result to the variable answer, as a plain Python value: \
answer = float(x), int(x), bool(x), str(x), a list or a dict of these."""

_RESEARCH = """\
You know the Python packages numpy, scipy, pandas, pymatgen, ase, spglib, smact, phonopy, chgnet.
List the classes and functions that a program answering the question would use: at most five, one \
a line, each with its full dotted path, such as ase.build.bulk. No explanations."""

_JUDGE = """\
Programs gave different answers to a question. Choose the one whose method and magnitude are right.
Answer with the JSON object {"choice": "A"} alone."""

_STRATEGY: dict[Strategy, str] = {
    "direct": "Find the cause of the error and put it right, with everything else that is wrong.",
    "introspection": "A name or a call is not as the program has it. Use what exists instead, with "
    "the arguments that are listed.",
    "documentation": "Follow the documentation above rather than memory, by another route if there "
    "is a better one.",
    "diagnostic": "Go step by step: print the type and value of each intermediate result before "
    "it is used, and do not assume what a function returns.",
    "result": "The way the answer is formed is in doubt: check its type, its unit, and that it is "
    "the quantity that was asked for.",
}


class Choice(Settings):
    """Which of several answers to take."""

    choice: Annotated[str, Field(pattern=r"^[A-Z]$")]


def research_request(task: Task, size: PromptSettings) -> Request:
    """Asks which symbols a program would use."""
    return _request(
        RESEARCH, _RESEARCH, task.question, size.list_tokens, temperature=0.0, seed=task.seed
    )


def code_request(
    task: Task,
    size: PromptSettings,
    *,
    context: Sequence[str] = (),
    temperature: float,
    purpose: str = CODE,
) -> Request:
    """Asks for a program.

    Args:
        task: The question.
        size: How long the answer may be.
        context: Sections of help, each with a heading: documentation, skills, an earlier program.
        temperature: Of the sampling.
        purpose: ``solver.code``, or ``solver.simple`` for a program after a known one.
    """
    user = "\n\n".join([*context, task.prompt()])
    return _request(purpose, _RULES, user, size.code_tokens, temperature, task.seed)


def debug_request(
    task: Task,
    failed: Run,
    strategy: Strategy,
    size: PromptSettings,
    *,
    evidence: Sequence[str],
    tried: Sequence[str],
    temperature: float,
    seed: int,
) -> Request:
    """Asks for a corrected program.

    Args:
        task: The question.
        failed: The last program and its failure.
        strategy: What to look at.
        size: How long everything may be.
        evidence: Sections of what was found out for the strategy.
        tried: Errors of programs before this one, a line each.
        temperature: Of the sampling.
        seed: Of the sampling.
    """
    program = middle_cut(failed.source, size.program_chars)
    parts = [
        *evidence,
        task.prompt(),
        f"This program fails:\n```python\n{program.strip()}\n```",
        failure_text(failed, size),
    ]
    if tried:
        parts.append("Errors before this one, not to be made again:\n" + "\n".join(tried))
    parts.append(f"{_STRATEGY[strategy]} Write the whole program anew.")
    purpose = f"{DEBUG}.{strategy}"
    return _request(purpose, _RULES, "\n\n".join(parts), size.code_tokens, temperature, seed)


def judge_request(task: Task, candidates: Sequence[Run], size: PromptSettings) -> Request:
    """Asks which of up to 26 answers to take; they are lettered in their order."""
    letters = [chr(ord("A") + number) for number in range(len(candidates))]
    each = size.program_chars // max(1, len(candidates))
    told = [
        f"{letter}: answer = {_short(run.answer)}\n```python\n"
        f"{middle_cut(run.source, each).strip()}\n```"
        for letter, run in zip(letters, candidates, strict=True)
    ]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": letters}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    user = "\n\n".join([task.prompt(), *told])
    return _request(JUDGE, _JUDGE, user, 32, 0.0, task.seed, schema)


def failure_text(run: Run, size: PromptSettings) -> str:
    """What a model is told of a failure: where, what, and the end of what was printed."""
    failure = run.failure or Failure(kind="none", message="")
    where = f"Line {failure.line}: {failure.text}\n" if failure.line else ""
    below = f"\nRaised in {failure.below}" if failure.below else ""
    told = f"{where}{failure.kind}: {failure.message}"[: size.error_chars] + below
    printed = f"\nPrinted: {run.output[-size.output_chars :]}" if run.output else ""
    return f"The error:\n{told}{printed}"


def section(heading: str, lines: Sequence[str], most_chars: int) -> str:
    """A heading and as many whole lines as fit; empty without lines."""
    kept: list[str] = []
    left = most_chars
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join([f"{heading}:", *kept]) if kept else ""


def skills_section(skills: Sequence[FoundSkill]) -> str:
    """How skills are offered: their code lies beside the program and is imported."""
    lines = [
        f"from {skill.name} import {skill.name}  # {skill.signature}\n"
        f"#   {_one_line(skill.description)}"
        for skill in skills
    ]
    return "\n".join(["Tested functions you can import; use one if it fits:", *lines])


def program_section(heading: str, source: str, size: PromptSettings) -> str:
    """An earlier program, to be adapted."""
    return f"{heading}:\n```python\n{middle_cut(source, size.program_chars // 2).strip()}\n```"


def middle_cut(text: str, most_chars: int) -> str:
    """A text without its middle, if it is too long."""
    if len(text) <= most_chars:
        return text
    half = most_chars // 2
    head = text[:half].rpartition("\n")[0] or text[:half]
    tail = text[-half:].partition("\n")[2] or text[-half:]
    return f"{head}\n# ... some lines are left out here ...\n{tail}"


def _request(
    purpose: str,
    system: str,
    user: str,
    tokens: int,
    temperature: float,
    seed: int,
    schema: dict[str, Any] | None = None,
) -> Request:
    messages = (Message("system", system), Message("user", user))
    return Request(purpose, VERSION, messages, schema, tokens, temperature, seed)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 240 else f"{text[:237]}..."
