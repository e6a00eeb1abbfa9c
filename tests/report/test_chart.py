"""Axes and marks."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.report.chart import Chart, nice_ticks, padded, tick_labels


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 8))
def test_ticks_are_round_evenly_spaced_and_within(low: float, length: float, wanted: int) -> None:
    high = low + length
    ticks = nice_ticks(low, high, wanted)
    step = 10 ** np.floor(np.log10(length)) * 1e-9
    assert all(low - abs(low) * 1e-9 - step <= t <= high + abs(high) * 1e-9 + step for t in ticks)
    assert 1 <= len(ticks) <= 2 * wanted
    if len(ticks) > 2 and length > 1e-9 * abs(low):
        gaps = np.diff(ticks)
        np.testing.assert_allclose(gaps, gaps[0], rtol=1e-3)


def test_tick_labels_have_the_decimals_their_distance_needs() -> None:
    assert tick_labels([-0.5, 0.0, 0.5]) == ["−0.5", "0.0", "0.5"]
    assert tick_labels([0.0, 500.0, 1000.0]) == ["0", "500", "1,000"]
    assert tick_labels(nice_ticks(0, 0.1, 4)) == ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]


def test_a_constant_still_gets_a_range() -> None:
    assert padded([3.0, 3.0]) == (1.5, 4.5)
    assert padded([np.nan]) == (0.0, 1.0)


def test_missing_points_break_a_line_and_the_picture_stays_well_formed() -> None:
    chart = Chart((0.0, 4.0), (0.0, 1.0))
    chart.axes("x < y & z", 'in "units"')
    chart.line([0, 1, 2, 3, 4], [0.1, 0.2, np.nan, 0.4, 0.5], "accent")
    chart.end_labels([(0.50, "a", ""), (0.51, "b", ""), (0.52, "c", "")])
    picture = ET.fromstring(chart.svg("<title>", "a & b"))
    (line,) = [p for p in picture.iter("path") if p.get("class") == "line accent"]
    assert line.get("d", "").count("M") == 2
    heights = sorted(
        float(t.get("y", "0")) for t in picture.iter("text") if "end-label" in t.get("class", "")
    )
    assert min(np.diff(heights)) >= 14.9


def test_loops_are_counted_in_whole_numbers() -> None:
    chart = Chart((1.0, 4.0), (0.0, 1.0), width=1120.0)
    chart.axes("Loop", "", whole=True)
    picture = chart.svg("t", "d")
    assert all(f'text-anchor="middle">{loop}</text>' in picture for loop in (1, 2, 3, 4))
    assert ">1.5<" not in picture
