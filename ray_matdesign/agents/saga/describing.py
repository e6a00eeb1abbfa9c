"""How prompts put objectives, figures and crystals into words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ray_matdesign.agents.saga.asking import shown
from ray_matdesign.agents.saga.protocol import Analysis, Dropped, Leader, Planned, Statistics
from ray_matdesign.agents.saga.settings import Aim

_SECTIONS = ("overview", "performance", "issues", "recommendations")


def objective_lines(aims: Iterable[Aim]) -> str:
    """One line an objective."""
    return "\n".join(f"- {_objective(aim)}" for aim in aims) or "- none"


def figure_lines(statistics: Statistics, before: Statistics | None = None) -> str:
    """One line a figure: its id, value and meaning, and what it was in the round before."""
    earlier = {} if before is None else {one.id: one.value for one in before.figures}
    lines = []
    for figure in statistics.figures:
        unit = f" {figure.unit}" if figure.unit else ""
        was = f" (before: {shown(earlier[figure.id])})" if figure.id in earlier else ""
        lines.append(f"{figure.id} = {shown(figure.value)}{unit}{was}: {figure.meaning}")
    return "\n".join(lines)


def leader_lines(leaders: Sequence[Leader]) -> str:
    """One line a crystal."""
    lines = []
    for one in leaders:
        values = ", ".join(f"{name} {shown(value)}" for name, value in one.values.items())
        above = shown(one.e_above_hull_ev_per_atom)
        front = ", on the front" if one.front else ""
        lines.append(f"{one.id} {one.formula}: {values}; {above} eV/atom above the hull{front}")
    return "\n".join(lines) or "none"


def dropped_lines(dropped: Iterable[Dropped]) -> str:
    """One line an objective that could not be had."""
    return "\n".join(f"- {one.name}: {one.reason}" for one in dropped) or "- none"


def report_lines(report: Analysis) -> str:
    """An analysis in its sections."""
    parts = []
    for section in _SECTIONS:
        findings = getattr(report, section)
        if findings:
            body = "\n".join(f"- {finding.text}" for finding in findings)
            parts.append(f"{section.capitalize()}:\n{body}")
    return "\n".join(parts) or "none"


def _objective(aim: Aim) -> str:
    spec = aim.spec
    way = "let through" if spec.kind == "filter" else spec.direction
    unit = f" [{spec.unit}]" if spec.unit else ""
    ramp = "" if aim.low is None else f", told apart from {shown(aim.low)} to {shown(aim.high)}"
    why = f"; {aim.why}" if isinstance(aim, Planned) and aim.why else ""
    return f"{spec.name} ({spec.kind}): {way} {spec.quantity}{unit}{ramp}{why}"
