"""What every study leaves behind: data, a figure, and a report made from the data."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_matdesign.crystals.atomic import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA, FIGURE, REPORT = "data.json", "figure.png", "report.md"


class StudyFailed(RuntimeError):
    """A study that came to no result; the message says at which step and why."""


@dataclass(frozen=True)
class Check:
    """Something that must hold for a result to be believed.

    Attributes:
        what: In a few words.
        passed: Whether it holds.
        told: The numbers that say so.
    """

    what: str
    passed: bool
    told: str


@dataclass(frozen=True)
class Comparison:
    """A number beside one from elsewhere.

    Attributes:
        what: The quantity, with its unit.
        found: Here.
        known: Elsewhere.
        source: Where.
    """

    what: str
    found: float
    known: float
    source: str

    @property
    def deviation_percent(self) -> float:
        """Of what was found here."""
        return 100.0 * (self.found / self.known - 1.0)


def write_study(out: str | Path, data: Mapping[str, Any], figure: Figure, report: str) -> Path:
    """Writes the folder of a study; files that are there are replaced, each in one step.

    Args:
        out: Made if it is not there.
        data: Plain values; arrays are written as lists.
        figure: Of matplotlib.
        report: Markdown.

    Returns:
        The path of the report.

    Raises:
        OSError: The folder cannot be written.
        ValueError: A number in the data is not finite.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(data), indent=1, allow_nan=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150, metadata={"Software": None})
    write_atomic(folder / DATA, text + "\n")
    write_atomic(folder / FIGURE, picture.getvalue())
    write_atomic(folder / REPORT, report)
    return folder / REPORT


def new_figure(width_in: float = 7.0, height_in: float = 4.2, panels: int = 1) -> Figure:
    """A figure with panels side by side; no window and no global state behind it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(1, panels)
    return figure


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def check_table(checks: Sequence[Check]) -> str:
    """Checks as a table in markdown."""
    return table(
        ("check", "outcome", "numbers"),
        [(check.what, "passed" if check.passed else "**failed**", check.told) for check in checks],
    )


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Comparisons as a table in markdown."""
    return table(
        ("quantity", "here", "elsewhere", "deviation", "source"),
        [
            (c.what, f"{c.found:.4g}", f"{c.known:.4g}", f"{c.deviation_percent:+.1f} %", c.source)
            for c in comparisons
        ],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value
