"""The numbers the report shows, computed from a run's candidates and metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.report.run_data import RunData

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

WINDOW_LOOPS = 5
"""Most loops that count as the first, and as the last, of a run."""
SMOOTHING_LOOPS = 5
"""Length of the moving average over loops, where there are at least three times as many."""


@dataclass(frozen=True)
class Window:
    """A stretch of loops at the start or at the end of the run.

    Attributes:
        loops: Ascending.
        table: Their candidates.
    """

    loops: tuple[int, ...]
    table: pd.DataFrame

    @property
    def name(self) -> str:
        """``loops 1–5``."""
        first, last = self.loops[0], self.loops[-1]
        return f"loop {first}" if first == last else f"loops {first}–{last}"

    @property
    def evaluated(self) -> pd.DataFrame:
        """Candidates with a complete evaluation."""
        return self.table[self.table["evaluated"] & self.table["reward"].notna()]

    @property
    def sun(self) -> pd.DataFrame:
        """Candidates that are stable, unique in their loop and novel."""
        return _sun(self.table)

    def values(self, scorer: str) -> Array:
        """The property's values of the evaluated crystals."""
        column = f"value_{scorer}"
        if column not in self.table:
            return np.empty(0)
        return np.asarray(self.evaluated[column].dropna(), dtype=np.float64)


def windows(run: RunData) -> tuple[Window, Window] | None:
    """The first and the last ``min(5, loops / 4)`` loops, at least one each.

    Returns:
        ``None`` for a run of fewer than two loops, which has no first and last to compare.
    """
    if not len(run.candidates):
        return None
    loops = sorted({int(loop) for loop in run.candidates["loop"]})
    if len(loops) < 2:
        return None
    k = max(1, min(WINDOW_LOOPS, len(loops) // 4))
    return _window(run, loops[:k]), _window(run, loops[-k:])


def _window(run: RunData, loops: Sequence[int]) -> Window:
    return Window(tuple(loops), run.candidates[run.candidates["loop"].isin(loops)])


@dataclass(frozen=True)
class Curve:
    """A quantity of the evaluated crystals, loop by loop; loops without any are left out.

    Attributes:
        loops: Shape ``(n,)``.
        spent: Property evaluations paid for by the end of each loop, shape ``(n,)``.
        count: Crystals behind each point.
        mean: Their mean.
        low: Their 10th percentile.
        high: Their 90th percentile.
        best: Their maximum.
    """

    loops: Array
    spent: Array
    count: Array
    mean: Array
    low: Array
    high: Array
    best: Array


def curve(run: RunData, column: str) -> Curve:
    """How a column of the candidates moved: ``reward``, or ``value_<scorer>``."""
    spent = evaluations_by_loop(run)
    rows = []
    if len(run.candidates) and column in run.candidates:
        # As in the run's own metrics, a crystal counts if its whole evaluation succeeded.
        complete = run.candidates["evaluated"] & run.candidates["reward"].notna()
        scored = run.candidates[complete]
        for loop, values in scored.groupby("loop")[column]:
            known = np.asarray(values.dropna(), dtype=np.float64)
            if len(known):
                low, high = np.quantile(known, (0.1, 0.9))
                rows.append(
                    (loop, spent[int(loop)], len(known), known.mean(), low, high, known.max())
                )
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 7).T
    return Curve(*columns)


def evaluations_by_loop(run: RunData) -> dict[int, int]:
    """Property evaluations paid for by the end of each loop, those that failed included.

    Taken from the metrics; a loop whose record is missing is counted from its candidates.
    """
    recorded = {int(record["loop"]): record.get("evaluations_total") for record in run.metrics}
    paid: Mapping[int, int] = {}
    if len(run.candidates):
        billed = run.candidates["evaluated"].groupby(run.candidates["loop"]).sum()
        paid = {int(loop): int(count) for loop, count in billed.items()}
    total, spent = 0, {}
    for loop in sorted({*recorded, *paid}):
        told = recorded.get(loop)
        total = int(told) if told is not None else total + paid.get(loop, 0)
        spent[loop] = total
    return spent


def moving_average(values: Array) -> Array:
    """Centred moving average over five points; short series come back unchanged."""
    if len(values) < 3 * SMOOTHING_LOOPS:
        return values
    half = SMOOTHING_LOOPS // 2
    return np.array(
        [np.nanmean(values[max(0, k - half) : k + half + 1]) for k in range(len(values))]
    )


@dataclass(frozen=True)
class Stage:
    """One stage of the funnel: what it is called and how many candidates reached it."""

    name: str
    count: int
    meaning: str


def funnel(run: RunData) -> list[Stage]:
    """The whole run as a funnel; each stage counts those that passed all stages before it."""
    table = run.candidates
    if not len(table):
        return []
    limit = run.config.stability.max_e_above_hull_ev_per_atom
    relaxed = table["relaxed"].notna() if "relaxed" in table else table["valid"]
    steps = [
        ("Valid", table["valid"], "geometry and, where asked, charge balance (SMACT)"),
        ("Relaxed", relaxed, "not ruled out, all elements in the reference, brought to rest"),
        ("Stable", table["stable"], f"at most {limit:g} eV/atom above the reference hull"),
        ("Unique", table["unique"], "first of its kind in its loop"),
        ("Novel", table["novel"], "not in the reference set"),
        (
            "Evaluated",
            table["evaluated"],
            "past the filters, if any; property paid for, within each loop's budget",
        ),
    ]
    waived = {"stable", "unique", "novel"} - set(run.config.stability.require)
    stages = [Stage("Sampled", len(table), "drawn from the policy")]
    passed = np.ones(len(table), dtype=bool)
    for name, flags, meaning in steps:
        if name.lower() in waived:
            continue
        passed = passed & flags.to_numpy(dtype=bool)
        stages.append(Stage(name, int(passed.sum()), meaning))
    return stages


def sun_hits(run: RunData) -> pd.DataFrame:
    """Candidates that are stable, unique in their loop and novel."""
    return _sun(run.candidates) if len(run.candidates) else run.candidates


def _sun(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["stable"] & table["unique"] & table["novel"]]


def rejections(run: RunData) -> list[tuple[str, str, int]]:
    """Why candidates went no farther: outcome, reason and count, most frequent first.

    Summed over the loops' records, which count equal causes together.
    """
    totals: dict[str, int] = {}
    for record in run.metrics:
        counts = record.get("rejections") or {}
        for cause, count in counts.items():
            totals[cause] = totals.get(cause, 0) + int(count)
    rows = []
    for cause, count in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        outcome, _, reason = cause.partition(": ")
        rows.append((outcome.replace("_", " "), reason, count))
    return rows


def loop_shares(run: RunData, name: str) -> Array:
    """A count of the metrics as a share of the crystals asked for, loop by loop."""
    shares = []
    for record in run.metrics:
        asked = record.get("requested") or record.get("sampled")
        count = record.get(name)
        shares.append(count / asked if asked and count is not None else np.nan)
    return np.array(shares, dtype=np.float64)


def loop_values(run: RunData, name: str) -> Array:
    """A number of the metrics, loop by loop; NaN where a loop has none."""
    values = (record.get(name) for record in run.metrics)
    return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)


def best_crystals(run: RunData, limit: int) -> pd.DataFrame:
    """The best evaluated crystal of each reduced formula: by reward, then by energy above hull."""
    table = run.candidates
    if not len(table):
        return table
    scored = table[table["evaluated"] & table["reward"].notna()]
    if "relaxed" in scored:
        scored = scored[scored["relaxed"].notna()]
    if "e_above_hull_ev_per_atom" in scored:
        scored = scored.sort_values("e_above_hull_ev_per_atom", kind="stable")
    ranked = scored.sort_values("reward", ascending=False, kind="stable")
    return ranked.drop_duplicates("formula").head(limit)


def element_shares(table: pd.DataFrame) -> dict[int, float]:
    """Share of crystals that hold each element, by atomic number."""
    counts: dict[int, int] = {}
    for formula in table["formula"].dropna():
        for symbol in set(re.findall(r"[A-Z][a-z]?", str(formula))):
            if symbol in ATOMIC_NUMBERS:
                z = ATOMIC_NUMBERS[symbol]
                counts[z] = counts.get(z, 0) + 1
    return {z: count / len(table) for z, count in sorted(counts.items())}
