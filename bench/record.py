"""How every benchmark leaves its figures: ``bench/results/NAME.json``, written atomically."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ray_matdesign.crystals.atomic import write_atomic

RESULTS = Path(__file__).resolve().parent / "results"
FIGURE_KEYS = frozenset({"name", "value", "unit", "baseline", "ratio"})
OPTIONAL_KEYS = frozenset({"error"})


def write_results(name: str, figures: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the figures of one benchmark run.

    Args:
        name: Of the benchmark; the file is ``results/NAME.json``.
        figures: Each with ``name``, ``value``, ``unit``, ``baseline`` and ``ratio``; the last two
            are ``None`` where there is nothing to compare with. ``error``, where given, is the
            value's standard error.

    Raises:
        ValueError: A figure with other keys.
    """
    for figure in figures:
        if set(figure) - OPTIONAL_KEYS != FIGURE_KEYS:
            raise ValueError(f"figure {figure.get('name')!r} has keys {sorted(figure)}")
    record = {
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "figures": list(figures),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_atomic(path, json.dumps(record, indent=1) + "\n")
    return path


def figure(
    name: str,
    value: float,
    unit: str = "",
    baseline: float | None = None,
    ratio: float | None = None,
    error: float | None = None,
) -> dict[str, Any]:
    """One figure for :func:`write_results`, printed on the way.

    Args:
        name: What it is of.
        value: As measured.
        unit: Of the value; empty for counts and shares.
        baseline: What it is compared with, or the threshold it has to meet.
        ratio: By default value over baseline.
        error: Standard error of the value, where it is known.
    """
    if ratio is None and baseline:
        ratio = value / baseline
    against = "" if baseline is None else f" against {baseline:.4g}"
    spread = "" if error is None else f" +- {error:.2g}"
    times = "" if ratio is None else f" ({ratio:.2f}x)"
    print(f"{name:60s} {value:10.4g}{spread} {unit}{against}{times}", flush=True)
    row = {"name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio}
    return row if error is None else row | {"error": error}


def commit() -> str:
    """Commit of the code that ran, marked ``-dirty`` where the sources differ from it."""

    def git(*arguments: str) -> str:
        finished = subprocess.run(
            ["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=True
        )
        return finished.stdout.strip()

    code = ("../ray_matdesign", ".", ":(exclude)results")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")


def machine() -> str:
    """Processor, cores and torch: what figures depend on, and nothing that names the host."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return f"{model}, {os.cpu_count()} cores, torch {torch.__version__}"
