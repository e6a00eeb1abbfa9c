"""The report's charts: learning, distributions, S.U.N. over loops, and the state of training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.objective import (
    AscendingTransform,
    DescendingTransform,
    DoubleSigmoidTransform,
    ObjectiveTerm,
    ReverseSigmoidTransform,
    SigmoidTransform,
    StepTransform,
    TargetTransform,
)
from ray_matdesign.report.chart import Chart, padded
from ray_matdesign.report.run_data import RunData
from ray_matdesign.report.summary import (
    Curve,
    Window,
    curve,
    loop_shares,
    loop_values,
    moving_average,
    windows,
)
from ray_matdesign.report.wording import Property, number, setting

Array = NDArray[np.float64]

WIDE, TALL = 1120.0, 380.0


def learning_chart(run: RunData, term: ObjectiveTerm, prop: Property) -> str | None:
    """Mean of a property over the evaluations spent, with the 10th to 90th percentile.

    Returns:
        ``None`` where fewer than two loops evaluated anything.
    """
    found = curve(run, f"value_{prop.name}")
    if len(found.loops) < 2:
        return None
    marks = reward_marks(term, prop)
    y_range = _reaching(padded(np.concatenate([found.low, found.high])), [m for m, _ in marks])
    chart = Chart(_from_zero(found.spent), y_range, WIDE, TALL, right=24, top=34)
    chart.axes("Property evaluations spent", prop.axis, whole=True)
    _loop_axis(chart, found)
    for value, label in marks:
        chart.level(value, label)
    _band_and_mean(chart, found)
    first, last = found.mean[0], found.mean[-1]
    return chart.svg(
        f"Learning curve: {prop.label}",
        f"Mean of the evaluated crystals per loop, from {number(first)}{prop.suffix} in loop "
        f"{found.loops[0]:.0f} to {number(last)}{prop.suffix} in loop {found.loops[-1]:.0f}.",
    )


def reward_chart(run: RunData) -> str | None:
    """Mean and best reward over the evaluations spent; ``None`` for fewer than two loops."""
    found = curve(run, "reward")
    if len(found.loops) < 2:
        return None
    chart = Chart(_from_zero(found.spent), (0.0, 1.04), right=58)
    chart.axes("Property evaluations spent", "Reward", whole=True)
    chart.level(run.config.objective.reward_threshold, "hit threshold")
    _band_and_mean(chart, found)
    chart.line(found.spent, moving_average(found.best), "quiet dashed")
    best = moving_average(found.best)[-1]
    mean = moving_average(found.mean)[-1]
    chart.end_labels([(best, "best", "quiet"), (mean, "mean", "accent")])
    return chart.svg(
        "Reward",
        f"Mean reward per loop from {number(found.mean[0], 2)} to {number(found.mean[-1], 2)}.",
    )


def distribution_chart(run: RunData, term: ObjectiveTerm, prop: Property) -> str | None:
    """A property in the first and the last loops; ``None`` where either is empty."""
    pair = windows(run)
    if pair is None:
        return None
    before, after = (window.values(prop.name) for window in pair)
    if not (len(before) and len(after)):
        return None
    marks = reward_marks(term, prop)
    if isinstance(term.transform, TargetTransform):
        marks = [(term.transform.target, "target")]
    both = np.concatenate([before, after])
    x_range = _reaching(padded(both), [value for value, _ in marks])
    edges = np.linspace(*x_range, _bins(before, after) + 1)
    heights = [np.histogram(values, edges)[0] / len(values) for values in (before, after)]
    top = 1.3 * max(float(h.max()) for h in heights)
    chart = Chart(x_range, (0.0, top))
    chart.axes(prop.axis, "Share of evaluated crystals", percent=True)
    for values, height, kind in zip((before, after), heights, ("quiet", "accent"), strict=True):
        chart.steps(edges, height, kind)
        chart.line([values.mean()] * 2, [0.0, float(height.max()) * 1.06], f"{kind} thin")
    for value, label in marks:
        chart.mark(value, label)
    return chart.svg(
        f"Distribution of {prop.label}",
        f"{_describe(pair[0], before, prop)}; {_describe(pair[1], after, prop)}.",
    )


def distribution_legend(run: RunData, prop: Property) -> list[tuple[str, str]]:
    """Class and wording of each histogram: loops, mean, spread and n."""
    pair = windows(run)
    if pair is None:
        return []
    return [
        (kind, _describe(window, window.values(prop.name), prop))
        for kind, window in zip(("quiet", "accent"), pair, strict=True)
    ]


def fractions_chart(run: RunData) -> str | None:
    """Valid, stable, unique, novel and S.U.N. shares of the crystals asked for, over loops."""
    if len(run.metrics) < 2:
        return None
    loops = loop_values(run, "loop")
    chart = Chart((float(loops[0]), float(loops[-1])), (0.0, 1.0), WIDE, 340, right=76)
    chart.axes("Loop", "Share of crystals asked for", percent=True, whole=True)
    ends = []
    names = {"valid": "valid", "unique": "unique", "novel": "novel", "stable": "stable"}
    for name, label in names.items():
        smooth = moving_average(loop_shares(run, name))
        chart.line(loops, smooth, f"quiet {name}")
        ends.append((float(smooth[-1]), label, f"quiet {name}"))
    raw = loop_shares(run, "sun")
    smooth = moving_average(raw)
    chart.dots(loops, raw, "accent")
    chart.line(loops, smooth, "accent")
    ends.append((float(smooth[-1]), "S.U.N.", "accent strong"))
    chart.end_labels(ends)
    return chart.svg(
        "Valid, stable, unique, novel and S.U.N. crystals over loops",
        f"S.U.N. share {number(100 * raw[0], 2)} % in the first loop, "
        f"{number(100 * raw[-1], 2)} % in the last.",
    )


HEALTH = {
    "loss": "Reward-weighted denoising loss",
    "deviation": "Squared deviation from the prior",
    "diversity_ratio": "Unique formulas per evaluation",
    "replay_size": "Crystals in the replay buffer",
    "e_above_hull_mean": "Mean energy above hull, relaxed (eV/atom)",
    "displacement_mean_ang": "Mean displacement by relaxation (Å)",
}
"""Metrics that tell how training fares, and their axis titles."""


def health_charts(run: RunData) -> list[tuple[str, str]]:
    """A small chart of each metric in :data:`HEALTH` recorded in at least two loops.

    Returns:
        Title and SVG of each.
    """
    charts = []
    loops = loop_values(run, "loop")
    for name, title in HEALTH.items():
        values = loop_values(run, name)
        if np.isfinite(values).sum() < 2:
            continue
        chart = Chart((float(loops[0]), float(loops[-1])), _health_range(values), 360, 190)
        chart.axes("Loop", "", whole=True)
        if len(values) >= 15:
            chart.dots(loops, values, "quiet", radius=1.6)
        chart.line(loops, moving_average(values), "accent")
        known = values[np.isfinite(values)]
        summary = f"From {number(float(known[0]))} to {number(float(known[-1]))}."
        charts.append((title, chart.svg(title, summary)))
    return charts


def reward_marks(term: ObjectiveTerm, prop: Property) -> list[tuple[float, str]]:
    """Property values where the reward reaches its bounds or a half, and what to call them."""
    transform = term.transform
    match transform:
        case TargetTransform():
            return [(transform.target, f"target {setting(transform.target)}{prop.suffix}")]
        case AscendingTransform():
            return [(transform.max, "reward 1"), (transform.min, "reward 0")]
        case DescendingTransform():
            return [(transform.min, "reward 1"), (transform.max, "reward 0")]
        case SigmoidTransform() | ReverseSigmoidTransform():
            return [((transform.low + transform.high) / 2, "reward 1/2")]
        case DoubleSigmoidTransform():
            return [(transform.low, "reward 1/2"), (transform.high, "reward 1/2")]
        case StepTransform():
            bounds = ((transform.low, "reward 1 from here"), (transform.high, "reward 1 to here"))
            return [(value, label) for value, label in bounds if value is not None]


def _health_range(values: Array) -> tuple[float, float]:
    """Nonnegative quantities start their axis at zero, lest a small wobble look like a fall."""
    low, high = padded(values, 0.1)
    known = values[np.isfinite(values)]
    return (0.0, high) if known.min() >= 0 and high > 0 else (low, high)


def _band_and_mean(chart: Chart, found: Curve) -> None:
    chart.band(found.spent, moving_average(found.low), moving_average(found.high), "accent")
    smooth = moving_average(found.mean)
    if smooth is not found.mean:
        chart.dots(found.spent, found.mean, "accent")
    chart.line(found.spent, smooth, "accent")


def _loop_axis(chart: Chart, found: Curve) -> None:
    """Loop numbers above the evaluations they had cost by their end."""
    stride = max(1, -(-len(found.loops) // 10))
    places = [
        (float(found.spent[k]), f"{found.loops[k]:.0f}")
        for k in range(stride - 1, len(found.loops), stride)
    ]
    chart.top_axis(places, "loop")


def _from_zero(spent: Array) -> tuple[float, float]:
    return 0.0, max(1.0, float(spent[-1]))


def _reaching(span: tuple[float, float], values: list[float]) -> tuple[float, float]:
    """Widens a range to take in marks that lie within its own length of it.

    A bound far away would squeeze the data into a corner: it is left out of the picture, and the
    text still states it.
    """
    low, high = span
    length = high - low
    for value in values:
        if low - 0.35 * length <= value < low:
            low = value - 0.04 * length
        elif high < value <= high + 0.35 * length:
            high = value + 0.06 * length
    return low, high


def _bins(before: Array, after: Array) -> int:
    """As many bins as the smaller sample bears (Sturges' rule, at least 8, at most 32)."""
    return int(np.clip(2 * (np.log2(min(len(before), len(after))) + 1), 8, 32))


def _describe(window: Window, values: Array, prop: Property) -> str:
    if not len(values):
        return f"{window.name}: none evaluated"
    spread = f" ± {number(float(values.std(ddof=1)), 2)}" if len(values) > 1 else ""
    return f"{window.name}: {number(float(values.mean()))}{spread}{prop.suffix} (n = {len(values)})"
