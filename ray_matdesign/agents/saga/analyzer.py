"""The analyzer: what a round's figures mean for the objectives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Request
from ray_matdesign.agents.saga.asking import ask_checked, narrowed, request_of
from ray_matdesign.agents.saga.describing import (
    dropped_lines,
    figure_lines,
    leader_lines,
    objective_lines,
)
from ray_matdesign.agents.saga.drafting import Sentence
from ray_matdesign.agents.saga.protocol import Analysis, AnalyzeRequest, Finding
from ray_matdesign.config.settings import Settings

VERSION = "2"
"""Raised when the wording changes, so that recorded answers are not taken for the new question."""

_MOST_TOKENS = 1024
_NEVER_EMPTY = ("overview", "performance", "recommendations")
"""Sections that small models leave out where they may."""
_SYSTEM = """\
You judge a round of a search for inorganic crystals by figures that a program has counted. You
cannot count yourself: whatever you claim must rest on figures, whose ids you cite. Look for
objectives that are saturated, that contradict or repeat each other, that nearly everything or
nearly nothing passes, for crystals that are all alike, and for parts of the goal that no objective
speaks of.
Answer with a JSON object: overview, one or two findings on the whole; performance, how the
objectives did; issues, what went wrong; recommendations, how the objectives of the next round
should differ; at most two findings each, the most important. A finding is {"text": one short
sentence, "cites": ids of figures}. stop is true if another round would not help; reason says why
or why not."""


class CitedFinding(Settings):
    """A finding, as a model answers."""

    text: Sentence
    cites: tuple[str, ...] = Field(max_length=3)


Findings = Annotated[tuple[CitedFinding, ...], Field(max_length=2)]


class AnalyzerAnswer(Settings):
    """An analysis, as a model answers."""

    overview: Findings
    performance: Findings
    issues: Findings
    recommendations: Findings
    stop: bool
    reason: Sentence


def analyze(asked: AnalyzeRequest, llm: Llm) -> Analysis:
    """Asks what a round has come to.

    Every id that is cited is one of the round's; findings that say how the crystals did cite at
    least one.

    Args:
        asked: The round.
        llm: Who is asked.

    Raises:
        LlmError: No usable answer.
    """
    ids = asked.statistics.ids
    return ask_checked(
        llm, analyze_request(asked), AnalyzerAnswer, lambda answer: _analysis(answer, ids)
    )


def analyze_request(asked: AnalyzeRequest) -> Request:
    """The question for a round's analysis."""
    schema = narrowed(AnalyzerAnswer.model_json_schema(), {"cites": asked.statistics.ids})
    for section in _NEVER_EMPTY:
        schema["properties"][section]["minItems"] = 1
    return request_of(
        "analyzer",
        VERSION,
        _SYSTEM,
        _told(asked),
        schema,
        max_tokens=_MOST_TOKENS,
        seed=asked.seed,
    )


def _told(asked: AnalyzeRequest) -> str:
    parts = [f"Goal: {asked.goal}"]
    if asked.context:
        parts.append(f"Context: {asked.context}")
    aims = [one.objective for one in asked.objectives]
    parts.append(f"Round {asked.round} of at most {asked.rounds}. Objectives:")
    parts.append(objective_lines(aims))
    if asked.dropped:
        parts.append(f"Objectives that could not be had:\n{dropped_lines(asked.dropped)}")
    parts.append(f"Figures, as id = value: meaning\n{figure_lines(asked.statistics, asked.before)}")
    parts.append(f"Best crystals:\n{leader_lines(asked.statistics.leaders)}")
    return "\n\n".join(parts)


def _analysis(answer: AnalyzerAnswer, ids: tuple[str, ...]) -> Analysis:
    for section in ("overview", "performance", "issues", "recommendations"):
        for place, finding in enumerate(getattr(answer, section)):
            where = f"{section}.{place}.cites"
            unknown = [cited for cited in finding.cites if cited not in ids]
            if unknown:
                raise BadAnswer(f"{where}: there is no figure {unknown[0]!r}; copy ids exactly")
            if section == "performance" and not finding.cites:
                raise BadAnswer(f"{where}: name the figures that this rests on")
    return Analysis(
        overview=_findings(answer.overview),
        performance=_findings(answer.performance),
        issues=_findings(answer.issues),
        recommendations=_findings(answer.recommendations),
        stop=answer.stop,
        reason=answer.reason,
    )


def _findings(cited: tuple[CitedFinding, ...]) -> tuple[Finding, ...]:
    return tuple(Finding(text=one.text, cites=tuple(dict.fromkeys(one.cites))) for one in cited)
