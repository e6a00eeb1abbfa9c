"""The campaign report's sections on objectives and decisions, each a piece of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ray_matdesign.report.saga_data import SagaData, SagaRound, name_of, planned, spec_of
from ray_matdesign.report.sections import empty
from ray_matdesign.report.wording import duration, number, typeset_unit

NOTHING_YET = "No round has been planned: nothing to show yet."
WISHES = {"maximize": "as high as possible", "minimize": "as low as possible", "none": "must hold"}
_ORIGINS = {"initial": "initial", "planner": "planner", "reviewer": "reviewer"}
_GATES = {"plan": "Plan", "analysis": "Analysis"}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: int = 0) -> str:
    """A table of HTML cells.

    Args:
        heads: Plain text.
        rows: Cells as HTML.
        numeric: So many columns at the right hold numbers.
    """
    first = len(heads) - numeric

    def kind(place: int) -> str:
        return ' class="n"' if place >= first else ""

    top = "".join(f'<th scope="col"{kind(i)}>{escape(h)}</th>' for i, h in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(f'<td{kind(i)}>{cell}</td>' for i, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return (
        f'<div class="table-scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def panel(title: str, content: str, hint: str = "") -> str:
    """A framed part of a section; ``content`` and ``hint`` are HTML."""
    said = f'<p class="hint">{hint}</p>' if hint else ""
    return f'<div class="panel"><h3>{escape(title)}</h3>{said}{content}</div>'


def objectives(data: SagaData) -> str:
    """Which objectives were in force when, what each is, and why it was added."""
    if not data.rounds:
        return empty(NOTHING_YET)
    hint = (
        "<b>●</b> in force, <b>+</b> newly so, <b>○</b> planned, <b>–</b> given up, "
        "<b>×</b> could not be had."
    )
    return panel("Objectives by round", _matrix(data), hint) + panel(
        "What they are, and why they are there", _reasons(data)
    )


def _matrix(data: SagaData) -> str:
    names = _names(data)
    rows = [
        [f"<b>{escape(name)}</b>", *(_mark(one, name, data) for one in data.rounds)]
        for name in names
    ]
    heads = ["Objective", *(f"Round {one.number}" for one in data.rounds)]
    return table(heads, rows)


def _names(data: SagaData) -> list[str]:
    """Everything that was ever asked for, in the order it came."""
    found: dict[str, None] = {}
    for one in data.rounds:
        found.update(dict.fromkeys(map(name_of, one.objectives)))
        found.update(dict.fromkeys(str(lost["name"]) for lost in one.dropped))
    return list(found)


def _mark(one: SagaRound, name: str, data: SagaData) -> str:
    held = {name_of(objective) for objective in one.objectives}
    before = next((r for r in data.rounds if r.number == one.number - 1), None)
    was = {name_of(objective) for objective in before.objectives} if before else set()
    if name in held:
        if not one.agreed:
            return "○"
        return "●" if name in was or one.number == 1 else '<span class="hit">+</span>'
    if any(lost["name"] == name for lost in one.dropped):
        return "×"
    return "–" if name in was else ""


def _reasons(data: SagaData) -> str:
    latest = {name_of(o): o for one in data.rounds for o in one.objectives}
    rows = [
        [
            f"<b>{escape(name)}</b><br>{escape(str(spec_of(found)['description']))}",
            _wish(spec_of(found)),
            f"{_ORIGINS.get(str(planned(found).get('origin')), 'unknown')}, "
            f"round {planned(found).get('since', '?')}",
            _scorer(found),
            escape(str(planned(found).get("why") or "–")),
        ]
        for name, found in latest.items()
    ]
    return table(["Objective", "Wanted", "Author", "Scorer", "Why"], rows)


def _wish(spec: Mapping[str, Any]) -> str:
    unit = typeset_unit(str(spec.get("unit") or ""))
    kind = {"population": " of the population"}.get(str(spec["kind"]), "")
    wish = WISHES.get(str(spec["direction"]), str(spec["direction"]))
    return escape(f"{spec['quantity']}{kind}{f' ({unit})' if unit else ''}: {wish}")


def _scorer(objective: Mapping[str, Any]) -> str:
    if "outcome" not in objective:
        return "not yet"
    if objective["outcome"] == "reused":
        name = str(objective["scorer"]).rpartition(":")[2]  # the module says no more
        return f"reused: <code>{escape(name)}</code>"
    tries = int(objective.get("attempts") or 1)
    times = "at the first attempt" if tries == 1 else f"at attempt {tries}"
    return f"written, {times}<br><small>{escape(str(objective.get('reason') or ''))}</small>"


def rounds(data: SagaData) -> str:
    """What planner, analyzer and reviewers said, and how each round ended."""
    if not data.rounds:
        return empty(NOTHING_YET)
    return "".join(_round(one) for one in data.rounds)


def _round(one: SagaRound) -> str:
    parts = []
    if one.plans and one.plans[-1].get("thoughts"):
        parts.append(f"<p><b>Planner</b>: {escape(str(one.plans[-1]['thoughts']))}</p>")
    if len(one.plans) > 1:
        parts.append(f"<p>The plan was made {len(one.plans)} times.</p>")
    if one.analysis is not None:
        parts.append(_analysis(one, one.analysis))
    if one.decision is not None:
        parts.append(f"<p><b>{_decided(one.decision)}</b></p>")
    else:
        parts.append("<p>The round is not over.</p>")
    return panel(f"Round {one.number}", "".join(parts))


def _decided(decision: Mapping[str, Any]) -> str:
    by = f", by {escape(str(decision['by']))}" if decision.get("by") else ""
    verdict = f"The last round{by}" if decision.get("stop") else "Goes on"
    reason = f": {escape(str(decision['reason']))}" if decision.get("reason") else ""
    return verdict + reason


def _analysis(one: SagaRound, analysis: Mapping[str, Any]) -> str:
    parts = []
    for title, key in (
        ("Overview", "overview"),
        ("Performance", "performance"),
        ("Issues", "issues"),
        ("For the next round", "recommendations"),
    ):
        if analysis.get(key):
            items = "".join(f"<li>{_finding(one, finding)}</li>" for finding in analysis[key])
            parts.append(f"<h3>{title}</h3><ul>{items}</ul>")
    return "".join(parts)


def _finding(one: SagaRound, finding: Mapping[str, Any]) -> str:
    """A finding with the figures it cites, so that a reader can hold it against them."""
    figures = one.figures
    cited = ", ".join(
        f"{escape(str(key))}&nbsp;= {number(figures.get(str(key)))}"
        for key in finding.get("cites", ())
    )
    return escape(str(finding["text"])) + (f" <small>[{cited}]</small>" if cited else "")


def reviews(data: SagaData) -> str:
    """What people were asked and what they decided."""
    decided = [(one.number, review) for one in data.rounds for review in one.reviews]
    if not decided and not data.pending:
        level = escape(str(data.settings.get("level", "autopilot")))
        return empty(f"Nothing was reviewed: the campaign runs on {level}.")
    rows = [
        [
            str(review["number"]),
            str(place),
            _GATES.get(str(review["gate"]), escape(str(review["gate"]))),
            escape(str(review["decision"])),
            escape(str(review.get("by") or "–")),
            escape(str(review.get("reason") or "–")),
        ]
        for place, review in decided
    ]
    rows += [
        [
            str(review.get("number")),
            str(review.get("round")),
            _GATES.get(str(review.get("gate")), "?"),
            "<b>waits for a decision</b>",
            "–",
            "–",
        ]
        for review in data.pending
    ]
    heads = ["Review", "Round", "Of", "Decision", "By", "Reason"]
    return panel("Reviews", table(heads, rows))


def failures(data: SagaData) -> str:
    """What went wrong: objectives that could not be had, roles that failed."""
    lost = [
        [str(one.number), f"<b>{escape(str(d['name']))}</b>", str(d["attempt"]),
         escape(str(d["reason"]))]
        for one in data.rounds
        for d in one.dropped
    ]  # fmt: skip
    broke = [
        [
            escape(str(failure.get("role"))),
            escape(str(failure.get("kind"))),
            escape(str(failure.get("reason"))),
            "broke the campaign off" if failure.get("fatal") else "was overcome",
        ]
        for failure in data.failures
    ]
    problems = [
        [str(one.number), escape(str(line))]
        for one in data.rounds
        for line in (one.optimized or {}).get("problems", ())
    ]
    parts = []
    if lost:
        heads = ["Round", "Objective", "Attempt", "Why it could not be had"]
        parts.append(panel("Objectives that were dropped", table(heads, lost)))
    if broke:
        heads = ["Role", "Kind", "Reason", "Effect"]
        parts.append(panel("Failures of roles", table(heads, broke)))
    if problems:
        parts.append(panel("What could not be computed", table(["Round", "Problem"], problems)))
    return "".join(parts) or empty("Nothing failed, and no objective was dropped.")


def costs(data: SagaData) -> str:
    """What language models and computing took."""
    return _questions(data) + _times(data)


def _questions(data: SagaData) -> str:
    by_role: dict[str, list[Mapping[str, Any]]] = {}
    for asked in data.asked:
        by_role.setdefault(str(asked.get("purpose", "?")).partition(".")[0], []).append(asked)
    if not by_role:
        return empty("No language model was asked.")
    rows = [_row(escape(role), asked) for role, asked in by_role.items()]
    if len(rows) > 1:
        rows.append(_row("<b>all</b>", data.asked))
    budget = data.settings.get("llm", {}).get("budget", {})
    hint = ""
    if budget:
        hint = (
            f"Spent {int(data.spending.get('tokens', 0)):,} of {int(budget['tokens']):,} tokens "
            f"and {duration(float(data.spending.get('seconds', 0.0)))} of "
            f"{duration(float(budget['seconds']))} of waiting."
        )
    heads = ["Role", "Questions", "Failed", "Tokens read", "Tokens written", "Waited"]
    return panel("Language models", table(heads, rows, numeric=5), hint)


def _row(role: str, asked: Sequence[Mapping[str, Any]]) -> list[str]:
    def total(key: str) -> float:
        return sum(float(one.get(key) or 0.0) for one in asked)

    return [
        role,
        f"{len(asked):,}",
        f"{sum('error' in one for one in asked):,}",
        f"{total('prompt_tokens'):,.0f}",
        f"{total('completion_tokens'):,.0f}",
        duration(total("seconds")),
    ]


def _times(data: SagaData) -> str:
    kinds = list(dict.fromkeys(kind for one in data.rounds for kind in one.seconds))
    kinds = [kind for kind in kinds if any(one.seconds.get(kind) for one in data.rounds)]
    if not kinds:
        return ""
    rows = [
        [
            str(one.number),
            *(duration(one.seconds[kind]) if kind in one.seconds else "–" for kind in kinds),
            duration(sum(one.seconds.values())),
        ]
        for one in data.rounds
    ]
    return panel("Time", table(["Round", *kinds, "all"], rows, numeric=len(kinds) + 1))
