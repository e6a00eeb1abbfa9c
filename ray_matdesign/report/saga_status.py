"""How a campaign is doing, as plain data: for the terminal, for HTTP, for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray_matdesign.report.saga_data import SagaData, SagaRound, name_of

_NEXT = {
    "started": "planning",
    "resumed": "planning",
    "planned": "implementing",
    "implemented": "implementing",
    "agreed": "looking for crystals",
    "optimized": "counting",
    "measured": "analysing",
    "analyzed": "deciding",
    "decided": "planning",
    "rescored": "selecting",
    "selected": "judging",
    "judged": "finishing",
}
"""What comes after an event of a kind, unless people are asked first."""


def phase_of(data: SagaData) -> str:
    """What the campaign does now, or would do next; empty once it is finished."""
    if data.outcome or data.status == "finished":
        return ""
    if data.pending:
        return "waiting for a review"
    kinds = [e["kind"] for e in data.events if e["kind"] not in ("failed", "resumed")]
    if not kinds:
        return "starting"
    if kinds[-1] == "reviewed":
        gate = data.events[-1]["data"].get("gate")
        return "deciding" if gate == "analysis" else "implementing"
    last = data.rounds[-1].decision if data.rounds else None
    if kinds[-1] == "decided" and last is not None and last.get("stop"):
        return "scoring everything anew"
    return _NEXT.get(str(kinds[-1]), str(kinds[-1]))


def status_of(data: SagaData) -> dict[str, Any]:
    """The status as JSON has it.

    Returns:
        ``name``, ``directory``, ``state``, ``phase``, ``round``, ``rounds``, ``rounds_done``,
        ``objectives`` (names in force), ``reviews`` (numbers that wait), ``evaluated``,
        ``best_reward``, ``tokens``, ``requests``, ``failures``, ``dropped``, ``begun``,
        ``updated``, ``events``, ``selected`` and ``notices``.
    """
    agreed = [one for one in data.rounds if one.agreed]
    chosen = (data.of_kind("selected") or {}).get("chosen", ())
    return {
        "name": data.name,
        "directory": str(data.directory),
        "state": str(data.status),
        "phase": phase_of(data),
        "round": data.rounds[-1].number if data.rounds else 0,
        "rounds": data.most_rounds,
        "rounds_done": sum(one.decision is not None for one in data.rounds),
        "objectives": [name_of(objective) for objective in agreed[-1].objectives] if agreed else [],
        "reviews": [review.get("number") for review in data.pending],
        "evaluated": _total(data.rounds, "evaluated"),
        "best_reward": _best(data.rounds),
        "tokens": data.spending.get("tokens", 0),
        "requests": data.spending.get("requests", 0),
        "failures": [dict(failure) for failure in data.failures],
        "dropped": [
            {"round": one.number, **lost} for one in data.rounds for lost in one.dropped
        ],
        "begun": data.begun.isoformat() if data.begun else None,
        "updated": data.updated.isoformat() if data.updated else None,
        "events": len(data.events),
        "selected": [dict(one) for one in chosen],
        "notices": list(data.notices),
    }  # fmt: skip


def event_line(event: Mapping[str, Any]) -> str:
    """An event in a line for people."""
    data, kind = event["data"], str(event["kind"])
    place = f"round {event['round']}  " if event.get("round") else ""
    seconds = float(event.get("seconds") or 0.0)
    took = f"  ({seconds:.0f} s)" if seconds >= 1.0 else ""
    return f"{place}{kind}{_told(kind, data)}{took}"


def _told(kind: str, data: Mapping[str, Any]) -> str:
    match kind:
        case "planned":
            return _listed(data["objectives"])
        case "agreed":
            lost = [str(one["name"]) for one in data.get("dropped", ())]
            without = f", without {', '.join(lost)}" if lost else ""
            return _listed(data["objectives"]) + without
        case "optimized":
            best = data.get("best_reward")
            reward = "" if best is None else f", best reward {best:.3f}"
            return f": {data['size']} crystals, {data.get('evaluated', 0)} evaluated{reward}"
        case "reviewed":
            reason = f": {data['reason']}" if data.get("reason") else ""
            return f": {data['gate']} {data['decision']}{reason}"
        case "decided":
            verdict = f"the last, by {data.get('by')}" if data["stop"] else "goes on"
            return f": {verdict}" + (f": {data['reason']}" if data.get("reason") else "")
        case "selected":
            return f": {len(data.get('chosen', ()))} crystals"
        case "failed":
            return f": {data['role']}: {data['reason']}"
        case _:
            return ""


def _listed(objectives: Sequence[Mapping[str, Any]]) -> str:
    return ": " + (", ".join(map(name_of, objectives)) or "none")


def _total(rounds: Sequence[SagaRound], key: str) -> int:
    return sum(int((one.optimized or {}).get(key) or 0) for one in rounds)


def _best(rounds: Sequence[SagaRound]) -> float | None:
    """The best reward of the last round that has one: rounds reward different things."""
    found = [(one.optimized or {}).get("best_reward") for one in rounds]
    known = [float(value) for value in found if value is not None]
    return known[-1] if known else None
