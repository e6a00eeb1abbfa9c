"""Every scorer against published values, crystal by crystal.

    python bench/rewards.py                          # all properties, about an hour
    python bench/rewards.py --only elasticity,mcia   # some of them
    python bench/rewards.py --quick --no-record      # a few crystals of each

Well-known crystals are built from their published structures; where the shared data lie beside the
repository (or in the folder RAY_MATDESIGN_DATA), labelled crystals from them are added. Writes
bench/results/rewards_PROPERTY.{json,md} for each, and a summary of all that are on record,
bench/results/rewards.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import validation
from record import RESULTS, write_results
from validation.frame import Validation

from ray_matdesign.crystals.atomic import write_atomic

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
SHARED = {"frame", "prototypes", "relaxed"}
PROPERTIES = sorted(
    module.name for module in pkgutil.iter_modules(validation.__path__) if module.name not in SHARED
)
WEAK = 0.8
"""Rank correlation below which a scorer is called weak."""
MEASURES = ("crystals", "failures", "mean absolute error", "Spearman")
HEADINGS = "| scorer | against | crystals | failures | MAE | unit | Spearman | |"


def figures_of(found: Validation) -> list[dict[str, Any]]:
    """One validation in the format of the records."""
    values = (
        (float(len(found.rows)), "crystals"),
        (float(found.failures), "crystals"),
        (found.mean_absolute_error, found.unit),
        (found.spearman, "1"),
    )
    return [
        {
            "name": f"{found.scorer}; {found.against}; {measure}",
            "value": round(value, 6),
            "unit": unit,
            "baseline": None,
            "ratio": None,
        }
        for measure, (value, unit) in zip(MEASURES, values, strict=True)
    ]


def summary(figures: Sequence[dict[str, Any]]) -> str:
    """The records of any number of validations as a table, weak scorers named."""
    by_name = {figure["name"]: figure for figure in figures}
    lines = [HEADINGS, "|---|---|---:|---:|---:|---|---:|---|"]
    for start in dict.fromkeys(name.rsplit("; ", 1)[0] for name in by_name):
        scorer, against = start.split("; ", 1)
        crystals, failures, error, rank = (by_name[f"{start}; {m}"] for m in MEASURES)
        verdict = "" if rank["value"] >= WEAK else "weak"
        lines.append(
            f"| {scorer} | {against} | {crystals['value']:.0f} | {failures['value']:.0f} "
            f"| {error['value']:.3g} | {error['unit']} | {rank['value']:.2f} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def crystal_table(found: Validation) -> str:
    """Every crystal of a validation."""
    lines = [
        f"## {found.scorer}: {found.against}\n",
        f"| crystal | published ({found.unit or '1'}) | source | ours | off by |",
        "|---|---:|---|---:|---:|",
    ]
    for row in found.rows:
        ours, off = row.failure, ""
        if row.ours is not None:
            ours, off = f"{row.ours:.4g}", f"{row.ours - row.published:+.3g}"
        lines.append(f"| {row.crystal} | {row.published:.4g} | {row.source} | {ours} | {off} |")
    return "\n".join(lines) + "\n"


def recorded() -> list[dict[str, Any]]:
    """Figures of every property on record."""
    files = sorted(RESULTS.glob("rewards_*.json"))
    return [figure for file in files for figure in json.loads(file.read_text())["figures"]]


def main() -> None:
    """Runs the validations and shows their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[name for name in PROPERTIES if not name.startswith("dft")],
        metavar="PROPERTY,...",
        help="default: all but density functional theory, which takes an hour of its own",
    )
    parser.add_argument("--quick", action="store_true", help="a few crystals of each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-record", action="store_true", help="print, but write no results")
    options = parser.parse_args()
    if unknown := sorted(set(options.only) - set(PROPERTIES)):
        parser.error(f"no validation {', '.join(unknown)}; there are {', '.join(PROPERTIES)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the workers
    data = DATA if DATA.is_dir() else None
    if data is None:
        print(f"no shared data in {DATA}: labelled crystals are left out")
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for name in options.only:
            start = time.perf_counter()
            module = importlib.import_module(f"validation.{name}")
            found: list[Validation] = module.validate(data, quick=options.quick, pool=pool)
            figures = [figure for one in found for figure in figures_of(one)]
            print(f"{name}: {time.perf_counter() - start:.0f} s\n{summary(figures)}", flush=True)
            details = "\n".join(map(crystal_table, found))
            if options.no_record:
                print(details)
            else:
                write_results(f"rewards_{name}", figures)
                write_atomic(RESULTS / f"rewards_{name}.md", details)
    if not options.no_record:
        write_atomic(RESULTS / "rewards.md", summary(recorded()))


if __name__ == "__main__":
    main()
