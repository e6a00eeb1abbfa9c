"""Experiments until a target is made in the simulated laboratory: learning against random order.

Worlds are other than those that the strategy was tried on while it was written (0 to 3). Every
world (a seed of hidden rates, mishaps and queues) is worked in by both, with the same routes, the
same grid of experiments and the same laboratory. A campaign that spends its budget counts as the
whole budget. Errors are standard errors of the paired differences.

    python bench/laboratory.py --seeds 20
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from record import figure, write_results

from ray_matdesign.agents.laboratory.book import HandClock
from ray_matdesign.agents.laboratory.campaign import Campaign, Outcome, plan
from ray_matdesign.agents.laboratory.journal import CampaignSettings
from ray_matdesign.agents.laboratory.messages import Limits
from ray_matdesign.agents.laboratory.planning import Route
from ray_matdesign.agents.laboratory.precursors import PRECURSORS
from ray_matdesign.agents.laboratory.simulated import SimulatedLab

TARGETS = ("BaTiO3", "LiCoO2", "Li2Fe0.8Ni0.2Cl4", "LiFePO4")
BUDGET = 40
FIRST_SEED = 100
LIMITS = Limits(agreed=("Co3O4", "CoO", "CoCO3", "NiCl2", "NiCl2(H2O)6"))
"""A person has agreed to what cobaltates and nickel chlorides are made of."""


def campaign(
    target: str, seed: int, strategy: Literal["active", "random"], planned: Sequence[Route]
) -> tuple[Outcome, int]:
    """One campaign in one world; how many jobs failed on the way."""
    settings = CampaignSettings(target=target, budget=BUDGET, strategy=strategy, seed=seed)
    with tempfile.TemporaryDirectory() as scratch:
        clock = HandClock()
        lab = SimulatedLab(Path(scratch) / "book", seed=seed, limits=LIMITS, clock=clock)
        try:
            outcome = Campaign(
                settings,
                lab,
                Path(scratch) / "campaign",
                wait=lambda: clock.advance(4.0),
                planned=planned,
                name=f"{target}-{strategy}",
            ).run()
            jobs = lab.jobs()
        finally:
            lab.close()
    ordered = [job for done in outcome.experiments for job in done.jobs]
    if sorted(ordered) != sorted(job.id for job in jobs):
        raise RuntimeError(f"{target}, seed {seed}: journal and laboratory disagree")
    return outcome, sum(job.state == "failed" for job in jobs)


def compare(target: str, seeds: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Both strategies in every world; figures, and the paired differences."""
    settings = CampaignSettings(target=target)
    planned = plan(settings, list(PRECURSORS), LIMITS)
    needed: dict[str, list[int]] = {"active": [], "random": []}
    found: dict[str, int] = {"active": 0, "random": 0}
    failures = 0
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for strategy in needed:
            outcome, failed = campaign(target, seed, strategy, planned)  # type: ignore[arg-type]
            failures += failed
            found[strategy] += outcome.found is not None
            needed[strategy].append(outcome.found.number if outcome.found else BUDGET)
        print(f"{target} {seed}: {needed['active'][-1]} against {needed['random'][-1]}", flush=True)
    saved = [r - a for a, r in zip(needed["active"], needed["random"], strict=True)]
    error = float(np.std(saved, ddof=1) / np.sqrt(len(saved))) if len(saved) > 1 else None
    mean, against = float(np.mean(needed["active"])), float(np.mean(needed["random"]))
    figures = [
        figure(f"{target}: experiments", mean, baseline=against),
        figure(f"{target}: experiments saved", float(np.mean(saved)), error=error),
        figure(f"{target}: found, of {seeds}", found["active"], baseline=found["random"]),
        figure(f"{target}: jobs that failed on the way", failures),
    ]
    return figures, saved


def main() -> None:
    """Runs the comparison and records it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    options = parser.parse_args()
    figures: list[dict[str, Any]] = []
    saved: list[int] = []
    for target in options.targets:
        more, differences = compare(target, options.seeds)
        figures += more
        saved += differences
    error = float(np.std(saved, ddof=1) / np.sqrt(len(saved))) if len(saved) > 1 else None
    figures.append(figure("all targets: experiments saved", float(np.mean(saved)), error=error))
    write_results("laboratory", figures)


if __name__ == "__main__":
    main()
