"""Sweeps: many campaigns that differ in some settings, compared and brought to a Pareto front.

``run_sweep`` runs one from its file to its results; ``plan`` lists the trials beforehand;
``collect`` makes the results of whatever trials there are. A trial is a run directory, as any
other.
"""

from ray_matdesign.config.trials import Sweep, load_sweep, read_sweep
from ray_matdesign.tune.results import Results, TrialOutcome, collect
from ray_matdesign.tune.space import plan
from ray_matdesign.tune.sweep import SweepFailed, SweepInterrupted, run_sweep

__all__ = [
    "Results",
    "Sweep",
    "SweepFailed",
    "SweepInterrupted",
    "TrialOutcome",
    "collect",
    "load_sweep",
    "plan",
    "read_sweep",
    "run_sweep",
]
