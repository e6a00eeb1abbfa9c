"""Tables of what runs amount to, for people and for the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray_matdesign.agents.benchmark.statistics import Share, Summary

_HEAD = ("problems", "attempts", "success", "of answered")
_TAIL = ("s", "tokens", "requests", "runs")


def table(summaries: Mapping[str, Sequence[Summary]]) -> str:
    """Markdown, a row for each group of each mode; shares with their standard errors.

    Args:
        summaries: Of the groups of attempts, by mode.
    """
    ks = sorted({k for groups in summaries.values() for group in groups for k in group.pass_at})
    columns = ("mode", "group", *_HEAD, *(f"pass@{k}" for k in ks if k > 1), *_TAIL)
    lines = [_row(columns), _row("---" for _ in columns)]
    for mode, groups in summaries.items():
        for group in groups:
            passes = (str(group.pass_at[k]) if k in group.pass_at else "" for k in ks if k > 1)
            lines.append(
                _row((
                    mode, group.name, group.problems, group.attempts, group.success,
                    group.success_of_answered, *passes, f"{group.seconds:.1f}",
                    f"{group.tokens:.0f}", f"{group.requests:.1f}", f"{group.runs:.1f}",
                ))
            )  # fmt: skip
    return "\n".join(lines) + "\n"


def figures(mode: str, groups: Sequence[Summary]) -> list[dict[str, Any]]:
    """A run's figures, each with ``name``, ``value``, ``unit``, ``baseline``, ``ratio``, ``error``.

    Args:
        mode: Of the run.
        groups: Of its attempts.
    """
    rows = []
    for group in groups:
        about = f"{mode}, {group.name}"
        shares = {"success": group.success, "success of answered": group.success_of_answered}
        shares |= {f"pass@{k}": share for k, share in group.pass_at.items() if k > 1}
        rows += [_figure(f"{about}: {name}", share) for name, share in shares.items()]
        means = {"time": (group.seconds, "s"), "tokens": (group.tokens, "")}
        means |= {"requests": (group.requests, ""), "runs of code": (group.runs, "")}
        for name, (value, unit) in means.items():
            rows.append(_figure(f"{about}: {name} an attempt", Share(value, 0.0), unit))
    return rows


def _figure(name: str, share: Share, unit: str = "share") -> dict[str, Any]:
    error = {"error": share.error} if unit == "share" else {}
    return {
        "name": name, "value": share.value, "unit": unit, "baseline": None, "ratio": None, **error
    }  # fmt: skip


def _row(cells: Any) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
