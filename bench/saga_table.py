"""The benchmarks of SAGA on one page: every figure that has a threshold, with the verdict.

Reads what the other benchmarks left in ``results/`` and writes ``results/saga.md``; what was not
measured on this machine is said to be missing.

    python bench/saga_table.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, le

from record import RESULTS

from ray_matdesign.crystals.atomic import write_atomic


@dataclass(frozen=True)
class Row:
    """A figure that is asked for.

    Attributes:
        benchmark: Its number.
        file: Results that hold it.
        figure: Its name there.
        limit: What it is held against.
        holds: How.
        sign: The same in print.
    """

    benchmark: str
    file: str
    figure: str
    limit: float
    holds: Callable[[float, float], bool]
    sign: str


ROWS = (
    Row("B1", "saga_scorers", "B1 largest relative error", 1e-6, le, "<="),
    Row("B2", "saga_scorers", "B2 mutants killed", 0.95, ge, ">="),
    Row("B2", "saga_scorers", "B2 right answers refused", 0.0, eq, "="),
    Row("B3", "saga_proxy", "seeds with at least twice the success", 0.8, ge, ">="),
    Row("B3", "saga_proxy", "gain of shuffled objectives", 0.0, le, "<="),
    # The space has 400 crystals, so that figures after 400 evaluations would say nothing.
    Row(
        "B4",
        "superhard",
        "runs with diamond or c-BN in their top 5 after 200 evaluations",
        1.0,
        ge,
        ">=",
    ),
    Row("B4", "superhard", "evaluations to 8 of the top 10, worst run", 400.0, le, "<="),
    Row("B7", "saga_scorers", "B7 precision of reuse", 0.95, ge, ">="),
    Row("B7", "saga_scorers", "B7 recall of reuse", 0.8, ge, ">="),
    Row("B7", "saga_scorers", "B7 direction flips reused", 0.0, eq, "="),
    Row("B8", "saga_scale", "B8 speed-up, 2 replicas", 1.6, ge, ">="),
    Row("B8", "saga_scale", "B8 identical scores", 1.0, eq, "="),
    Row("B8", "saga_scale", "B8 cache hits, repeated", 0.95, ge, ">="),
    *(
        Row("B9", "saga_schema", f"{role}: valid or truncated", 1.0, ge, ">=")
        for role in ("planner", "implementer", "analyzer", "selector")
    ),
)

NOTES = """\
B5 and B6 pass or fail, and are tests: `tests/agents/saga/test_implementer.py` has written scorers
fail in every way, `tests/agents/saga/test_controller.py` kills a campaign after each of its steps.
"""


def line(row: Row) -> str:
    """A row of the table."""
    path = RESULTS / f"{row.file}.json"
    found = json.loads(path.read_text())["figures"] if path.exists() else []
    value = next((one["value"] for one in found if one["name"] == row.figure), None)
    if value is None:
        told, verdict = "", "not measured"
    else:
        told, verdict = f"{value:.4g}", "holds" if row.holds(value, row.limit) else "**missed**"
    return f"| {row.benchmark} | {row.figure} | {told} | {row.sign} {row.limit:g} | {verdict} |"


def by_models() -> list[str]:
    """What models did by themselves where the figures above are of answers written by hand."""
    path = RESULTS / "saga_scorers.json"
    found = json.loads(path.read_text())["figures"] if path.exists() else []
    return [
        f"| B1 | {one['name']} | {one['value']:.4g} | | no threshold |"
        for one in found
        if one["name"].startswith("B1 by ")
    ]


def main() -> None:
    """Writes the table and prints it."""
    head = "# SAGA's benchmarks\n\n| | Figure | Value | Threshold | |\n|---|---|---|---|---|\n"
    page = head + "\n".join([*map(line, ROWS), *by_models()]) + f"\n\n{NOTES}"
    write_atomic(RESULTS / "saga.md", page)
    print(page)


if __name__ == "__main__":
    main()
