"""A debugger: asks for a corrected program, runs it, and looks at what is wrong with it now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ray_matdesign.agents.cascade.documentation import Consultation, failing_names
from ray_matdesign.agents.cascade.harness import NO_ANSWER, NOT_PLAIN
from ray_matdesign.agents.cascade.meter import Metered
from ray_matdesign.agents.cascade.phases import Debugged
from ray_matdesign.agents.cascade.programs import NoProgram, extract, symbols
from ray_matdesign.agents.cascade.prompts import debug_request, section
from ray_matdesign.agents.cascade.running import WRONG_TYPE, Bench, Failure, Run
from ray_matdesign.agents.cascade.settings import (
    MOST_TURNS,
    SEEDS,
    CascadeSettings,
    Strategy,
)
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.llm.protocol import LENGTH, Answer

NO_PROGRAM = "NoProgram"
SAME_PROGRAM = "SameProgram"
_SYMBOLS = {"ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "TypeError"}
_ANSWERS = {NO_ANSWER, NOT_PLAIN, WRONG_TYPE}
_LOOKED_UP = 8
_HOTTEST = 1.2
_HEATING = 0.2

_ORDER: dict[str, tuple[Strategy, ...]] = {
    "symbol": ("introspection", "direct", "documentation", "diagnostic", "result"),
    "answer": ("result", "direct", "diagnostic", "documentation", "introspection"),
    "other": ("direct", "diagnostic", "documentation", "introspection", "result"),
}

Say = Callable[[str, str], None]
"""Told of each step: its kind and a line."""


@dataclass(frozen=True)
class Workplace:
    """What the programs of one task are written with.

    Attributes:
        task: The question.
        settings: How it is solved.
        bench: Runs programs.
        consultation: Knows symbols and documentation.
    """

    task: Task
    settings: CascadeSettings
    bench: Bench
    consultation: Consultation


def assign(failure: Failure, settings: CascadeSettings) -> list[Strategy]:
    """Strategies of the debuggers: all different, as long as there are as many.

    By default the kind of failure says which come first, and those are left out whose ability is
    off. Where documentation may be searched and nothing looked up, it comes first.
    """
    able = settings.able
    if settings.strategies:
        order = list(settings.strategies)
    else:
        kind = "symbol" if failure.kind in _SYMBOLS else "other"
        order = list(_ORDER["answer" if failure.kind in _ANSWERS else kind])
        off = {name for name in ("introspection", "documentation") if not getattr(able, name)}
        order = [one for one in order if one not in off]
        if "introspection" in off and "documentation" in order:
            order.sort(key=lambda one: one != "documentation")
    return [order[number % len(order)] for number in range(able.debuggers)]


def debug(
    place: Workplace, failed: Run, number: int, strategy: Strategy, llm: Metered, say: Say
) -> Debugged:
    """Tries to put a program right, a few times.

    Each turn shows the model the last program only, with its error, and a line for each error
    before: a conversation would soon fill the context. A program that was seen before is not run
    again.

    Args:
        place: What programs are written with.
        failed: The program to begin with.
        number: Of the debugger, from 0; its seeds follow from it.
        strategy: What it looks at.
        llm: Whom it asks.
        say: Told of each step.

    Raises:
        LlmError: The model gave no answer.
        OutOfMeans: The task has used up its time or tokens.
        SandboxUnavailable: Nothing can be run.
    """
    attempts: list[Run] = []
    seen = {failed.source.strip()}
    tried: list[str] = []
    current, stuck = failed, 0
    for turn in range(place.settings.turns):
        heat = place.settings.temperature + place.settings.spread * number + _HEATING * stuck
        request = debug_request(
            place.task,
            current,
            strategy,
            place.settings.prompt,
            evidence=_evidence(place, current, strategy),
            tried=tried[-3:],
            temperature=round(min(heat, _HOTTEST), 3),
            seed=place.task.seed * SEEDS + number * MOST_TURNS + turn,
        )
        answer = llm.ask(request)
        say("asked", f"{strategy}: {answer.completion_tokens} tokens")
        run = ran(place, answer, llm, seen)
        attempts.append(run)
        say("ran", told(run))
        if run.ok:
            break
        if run.runs:  # otherwise there is no new program to go on from
            seen |= {run.source.strip()}
            tried.append(f"- {_error_line(current)}")
            current, stuck = run, 0
        else:
            stuck += 1
    return Debugged(strategy=strategy, attempts=tuple(attempts), spent=llm.spent)


def ran(place: Workplace, answer: Answer, llm: Metered, seen: set[str] | None = None) -> Run:
    """Runs the program of an answer; one without a program, or with an old one, is a failure.

    Args:
        place: What programs are written with.
        answer: Of the model.
        llm: Counts the run.
        seen: Programs that need not be run again.

    Raises:
        OutOfMeans: The task has used up its time.
        SandboxUnavailable: Nothing can be run.
    """
    try:
        source = extract(answer.text, cut_off=answer.finish == LENGTH)
    except NoProgram as error:
        return Run(source="", failure=Failure(kind=NO_PROGRAM, message=str(error)), runs=0)
    program = place.bench.mended(source)
    if seen and program.source.strip() in seen:
        failure = Failure(kind=SAME_PROGRAM, message="the same program as before")
        return Run(source=program.source, failure=failure, runs=0)
    llm.check()
    run = place.bench.run(program)
    llm.ran(run.runs)
    return run


def told(run: Run) -> str:
    """What came of a run, in one line."""
    if run.failure is None:
        text = repr(run.answer)
        return f"answer = {text if len(text) <= 200 else f'{text[:197]}...'}"
    return _error_line(run)


def _evidence(place: Workplace, run: Run, strategy: Strategy) -> list[str]:
    """Sections for the prompt.

    What exists in place of a symbol is for every strategy, the rest for those that are about it.
    """
    failure, size = run.failure, place.settings.prompt
    if failure is None:
        return []
    sections = [what_exists(place, run, strategy)]
    if strategy == "documentation":
        query = f"{place.task.question} {' '.join(failing_names(failure))}"
        found = place.consultation.search(query, size.results)
        sections.append(section("Documentation", found, size.documentation_chars))
    if strategy in ("introspection", "diagnostic", "result") and place.settings.able.probe:
        sections.append(
            section("Variables where it failed", failure.values, size.documentation_chars // 3)
        )
    return [one for one in sections if one]


def what_exists(place: Workplace, run: Run, strategy: Strategy) -> str:
    """What there is in place of the symbol that failed.

    The interpreter that missed it knows, and the index does; the introspection strategy looks up
    all that the program takes from packages.
    """
    failure = run.failure
    if failure is None or not place.settings.able.introspection:
        return ""
    names = failing_names(failure)
    if strategy == "introspection":
        names = [*names, *symbols(run.source)][:_LOOKED_UP]
    lines = [*failure.symbols, *place.consultation.lookup(names)]
    return section("What exists", lines, place.settings.prompt.documentation_chars // 2)


def _error_line(run: Run) -> str:
    failure = run.failure or Failure(kind="none", message="")
    where = f"line {failure.line}: " if failure.line else ""
    return f"{where}{failure.kind}: {failure.message}"[:240]
