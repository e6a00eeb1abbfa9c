"""The deep solver: research, a program, debuggers side by side, and a vote on what they found."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from ray_matdesign.agents.cascade.course import Course
from ray_matdesign.agents.cascade.debugging import Workplace, assign, debug, ran, told
from ray_matdesign.agents.cascade.meter import Metered, OutOfMeans
from ray_matdesign.agents.cascade.phases import (
    CODE,
    DEBUG,
    PROCESS,
    RESEARCH,
    SIMPLE,
    Coded,
    Debugged,
    Processed,
    Researched,
)
from ray_matdesign.agents.cascade.prompts import (
    CODE as CODE_PURPOSE,
)
from ray_matdesign.agents.cascade.prompts import (
    SIMPLE as SIMPLE_PURPOSE,
)
from ray_matdesign.agents.cascade.prompts import (
    Choice,
    code_request,
    judge_request,
    research_request,
    section,
)
from ray_matdesign.agents.cascade.running import Run
from ray_matdesign.agents.cascade.settings import Strategy
from ray_matdesign.agents.cascade.voting import representative, vote
from ray_matdesign.agents.llm.protocol import BadAnswer, LlmError, Truncated, ask_for

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_MOST_SYMBOLS = 5
_MOST_LETTERS = 26


def solve_simply(place: Workplace, course: Course, context: list[str]) -> Coded:
    """One program, after what is known already."""

    def work(llm: Metered) -> Coded:
        return _coded(place, course, llm, context, SIMPLE, SIMPLE_PURPOSE)

    return course.phase(SIMPLE, Coded, work)


def solve_in_depth(place: Workplace, course: Course, context: list[str]) -> Processed:
    """Research, a program, debuggers if it fails, and the output processor.

    Args:
        place: What programs are written with.
        course: The task's.
        context: Sections of what is known already: skills, an earlier program.

    Raises:
        LlmError: The model gave no answer, and nobody found one without it.
        OutOfMeans: The task has used up its time or tokens before anybody found an answer.
        SandboxUnavailable: Nothing can be run.
    """
    able, size = place.settings.able, place.settings.prompt
    sections = list(context)
    if able.research or able.documentation:
        found = course.phase(RESEARCH, Researched, lambda llm: _researched(place, course, llm))
        sections += [
            section("What exists", found.known, size.documentation_chars // 2),
            section("Documentation", found.passages, size.documentation_chars),
        ]
    sections = [one for one in sections if one]
    coded = course.phase(
        CODE, Coded, lambda llm: _coded(place, course, llm, sections, CODE, CODE_PURPOSE)
    )
    candidates: dict[str, Run] = {CODE: coded.run}
    if not coded.run.ok and able.debuggers:
        candidates |= _debugged(place, course, coded.run)
    return course.phase(PROCESS, Processed, lambda llm: process(place, llm, candidates))


def process(place: Workplace, llm: Metered, candidates: dict[str, Run]) -> Processed:
    """Chooses among answers: the largest group that agrees; the model is asked about ties alone.

    Args:
        place: What programs are written with.
        llm: Whom to ask about a tie.
        candidates: Last programs by phase, with answers or without.
    """
    settings = place.settings
    answered = {name: run for name, run in candidates.items() if run.ok}
    if not answered:
        *_, last = candidates.values()
        return Processed(reason=told(last), spent=llm.spent)
    names, runs = list(answered), list(answered.values())
    answers = [run.answer for run in runs]
    counted = vote(answers, settings.tolerance)
    spokesmen = [representative(answers, one, settings.tolerance) for one in counted.clusters]
    first, judged = spokesmen[0], False
    if not counted.decided and settings.able.judge:
        tied = spokesmen[: min(counted.tied, _MOST_LETTERS)]
        choice = _judged(place, llm, [runs[position] for position in tied])
        judged = choice is not None
        first = tied[choice or 0]
    return Processed(
        chosen=runs[first],
        clusters=tuple(tuple(names[position] for position in one) for one in counted.clusters),
        judged=judged,
        spent=llm.spent,
    )


def _judged(place: Workplace, llm: Metered, tied: list[Run]) -> int | None:
    """Which of several the model prefers; None if it says nothing of use, or has nothing left."""
    request = judge_request(place.task, tied, place.settings.prompt)
    try:
        letter = ask_for(llm, request, Choice, repairs=1).choice
    except (BadAnswer, Truncated, OutOfMeans):
        return None
    position = ord(letter) - ord("A")
    return position if position < len(tied) else None


def _researched(place: Workplace, course: Course, llm: Metered) -> Researched:
    able, size = place.settings.able, place.settings.prompt
    symbols: list[str] = []
    if able.research:
        answer = llm.ask(research_request(place.task, size))
        symbols = list(dict.fromkeys(_DOTTED.findall(answer.text)))[:_MOST_SYMBOLS]
        course.say(RESEARCH, "asked", ", ".join(symbols) or "no symbols named")
    known = place.consultation.lookup(symbols)
    passages = place.consultation.search(place.task.question, size.results)
    course.say(RESEARCH, "done", f"{len(known)} symbols, {len(passages)} passages")
    return Researched(
        symbols=tuple(symbols), known=tuple(known), passages=tuple(passages), spent=llm.spent
    )


def _coded(
    place: Workplace, course: Course, llm: Metered, context: list[str], phase: str, purpose: str
) -> Coded:
    settings = place.settings
    request = code_request(
        place.task,
        settings.prompt,
        context=context,
        temperature=settings.temperature,
        purpose=purpose,
    )
    answer = llm.ask(request)
    course.say(phase, "asked", f"{answer.completion_tokens} tokens")
    run = ran(place, answer, llm)
    course.say(phase, "ran", told(run))
    return Coded(run=run, spent=llm.spent)


def _debugged(place: Workplace, course: Course, failed: Run) -> dict[str, Run]:
    """Last programs of all debuggers by phase.

    A debugger that breaks off, for want of a model, time or tokens, leaves the others at work. Its
    error counts only if none of them found an answer.
    """
    assert failed.failure is not None
    assigned = assign(failed.failure, place.settings)
    with ThreadPoolExecutor(len(assigned), thread_name_prefix="debugger") as threads:
        working = {
            f"{DEBUG}-{number}-{strategy}": threads.submit(
                _one_debugger, place, course, failed, number - 1, strategy
            )
            for number, strategy in enumerate(assigned, start=1)
        }
    candidates: dict[str, Run] = {}
    broken: list[LlmError | OutOfMeans] = []
    for name, future in working.items():
        try:
            done = future.result()
        except (LlmError, OutOfMeans) as error:
            course.say(name, "broke", str(error))
            broken.append(error)
            continue
        candidates[name] = done.attempts[-1]
    if broken and not any(run.ok for run in candidates.values()):
        raise broken[0]
    return candidates


def _one_debugger(
    place: Workplace, course: Course, failed: Run, number: int, strategy: Strategy
) -> Debugged:
    name = f"{DEBUG}-{number + 1}-{strategy}"

    def say(kind: str, text: str) -> None:
        course.say(name, kind, text)

    return course.phase(
        name, Debugged, lambda llm: debug(place, failed, number, strategy, llm, say)
    )
