"""The learning curve as a bitmap, for places that show no HTML."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.report.figures import reward_marks
from ray_matdesign.report.run_data import RunData, RunDirectoryError, read_run
from ray_matdesign.report.summary import curve, moving_average, windows
from ray_matdesign.report.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, ACCENT, QUIET = "#1c232b", "#59636e", "#0b6a6f", "#b9bfc5"
STYLE: dict[str, object] = {
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ebeae4",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": "white",
}


def learning_curve_png(run_dir: Path, out: Path) -> Path:
    """Draws how the first property of the objective moved, and its first and last distribution.

    Args:
        run_dir: A run directory with at least two loops that evaluated something.
        out: PNG file to write, 1800 x 680 pixels.

    Returns:
        ``out``.

    Raises:
        RunDirectoryError: There is no run, or too little of it.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run = read_run(run_dir)
    prop = run.properties[0]
    if len(curve(run, f"value_{prop.name}").loops) < 2:
        raise RunDirectoryError(
            f"{run_dir}: a learning curve needs two loops with evaluated crystals"
        )
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(11.25, 4.25), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
        _draw_curve(left, run)
        _draw_distributions(right, run)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(out, buffer.getvalue())
    return out


def _draw_curve(axes: Axes, run: RunData) -> None:
    term, prop = run.config.objective.terms[0], run.properties[0]
    found = curve(run, f"value_{prop.name}")
    low, high = moving_average(found.low), moving_average(found.high)
    axes.fill_between(
        found.spent, low, high, color=ACCENT, alpha=0.16, lw=0, label="10th to 90th percentile"
    )
    axes.plot(found.spent, found.mean, "o", color=ACCENT, alpha=0.4, markersize=3)
    axes.plot(found.spent, moving_average(found.mean), color=ACCENT, linewidth=2.4, label="mean")
    bottom, top = axes.get_ylim()
    for value, label in reward_marks(term, prop):
        if bottom <= value <= top:
            axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (5, 4)))
            axes.annotate(
                label, (0.99, value), xycoords=("axes fraction", "data"), color=MUTED, ha="right",
                va="bottom", fontsize=9.5, style="italic",
            )  # fmt: skip
    axes.set(xlabel="Property evaluations spent", ylabel=prop.axis, xlim=(0, found.spent[-1]))
    axes.set_title(f"{prop.label} of the evaluated crystals")
    axes.legend(loc="lower right", frameon=False, fontsize=10)


def _draw_distributions(axes: Axes, run: RunData) -> None:
    import numpy as np
    from matplotlib.ticker import PercentFormatter

    prop, pair = run.properties[0], windows(run)
    samples = [w.values(prop.name) for w in pair] if pair else []
    if pair is None or not all(len(values) for values in samples):
        axes.set_axis_off()
        return
    edges = np.histogram_bin_edges(np.concatenate(samples), bins=18)
    for window, values, colour, alpha in zip(
        pair, samples, (QUIET, ACCENT), (0.75, 0.55), strict=True
    ):
        name = f"{window.name}: mean {number(float(values.mean()))} (n = {len(values)})"
        weights = np.full(len(values), 1 / len(values))
        axes.hist(
            values, edges.tolist(), weights=weights, histtype="stepfilled", color=colour,
            alpha=alpha, label=name,
        )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(xlabel=prop.axis, ylabel="Share of evaluated crystals")
    axes.set_ylim(0, 1.28 * axes.get_ylim()[1])
    axes.set_title("First and last loops")
    axes.legend(loc="upper left", frameon=False, fontsize=9.5)
