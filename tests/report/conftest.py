"""Run directories as a real run writes them, filled with invented crystals.

The files come from the writers of ``ray_matdesign.rl``; only the crystals and their figures are
made up: simple prototypes whose elements grow heavier from loop to loop, as under a density reward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import covalent_radii

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rl import metrics, records
from ray_matdesign.rl.candidate import Assessment, Candidate, Outcome, new_candidate
from ray_matdesign.rl.loop import LoopRecord
from ray_matdesign.rl.memory import Evaluated, LongTermMemory
from ray_matdesign.stability.sun import SunFlags

BODY_CENTRED = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
RunMaker = Callable[..., Path]

METALS = [*range(3, 5), *range(11, 14), *range(19, 32), *range(37, 51), *range(55, 61)]
METALS += [*range(72, 84), 90, 92]
ANIONS = [1, 5, 6, 7, 8, 9, 15, 16, 17, 34, 35, 52, 53]
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def density_config(**changes: Any) -> RunConfig:
    """A density run of 40 loops; ``changes`` replace top-level keys."""
    term = {"scorer": "density", "transform": {"kind": "target", "target": 18, "max_distance": 10}}
    settings = {
        "name": "density-18",
        "seed": 7,
        "objective": {"terms": [term]},
        "rl": {"loops": 40, "samples": 24, "evaluations": 8},
    }
    return RunConfig.model_validate(settings | changes)


def prototype(rng: np.random.Generator, progress: float) -> Crystal:
    """A rock salt, caesium chloride, fluorite, perovskite, L1_2 or fcc crystal."""

    def pick(numbers: list[int], pull: float) -> int:
        weights = np.exp(pull * np.array(numbers) / 20)
        return int(rng.choice(numbers, p=weights / weights.sum()))

    pull = 2.4 * progress
    a, b, x = pick(METALS, pull), pick(METALS, pull), pick(ANIONS, -0.5 - pull)
    ra, rb, rx = (float(covalent_radii[z]) for z in (a, b, x))
    if rng.random() < 0.15 + 0.6 * progress:
        if rng.random() < 0.3:
            return Crystal(FCC * np.sqrt(8) * ra, np.zeros((1, 3)), [a])
        sites = np.array([[0.0, 0, 0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
        return Crystal(np.eye(3) * np.sqrt(2) * (ra + rb), sites, [a, b, b, b])
    kind = rng.integers(4)
    if kind == 0:
        return Crystal(FCC * 2 * (ra + rx), BODY_CENTRED, [a, x])
    if kind == 1:
        edge = 2 / np.sqrt(3) * (ra + rx)
        return Crystal(np.eye(3) * edge, BODY_CENTRED, [a, x])
    if kind == 2:
        sites = np.array([[0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]])
        return Crystal(FCC * 4 / np.sqrt(3) * (ra + rx), sites, [a, x, x])
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return Crystal(np.eye(3) * 2 * (rb + rx), sites, [a, b, x, x, x])


def candidate(rng: np.random.Generator, loop: int, index: int, progress: float) -> Candidate:
    """One candidate, as far as chance lets it come short of its property."""
    relaxed = prototype(rng, progress)
    shaken = relaxed.frac_coords + rng.normal(0, 0.01, relaxed.frac_coords.shape)
    made = new_candidate(loop, index, loop - 1, relaxed.with_cell(relaxed.lattice, shaken))
    if rng.random() < 0.08:
        return made.rejected(Outcome.INVALID, f"atoms {rng.random() / 2:.2f} A apart, limit 0.5")
    if 92 in relaxed.elements:
        return made.rejected(Outcome.UNWANTED, "forbidden element U")
    if rng.random() < 0.02:
        return made.rejected(Outcome.RELAXATION_FAILED, "energy is not a number")
    hull = float(rng.gamma(1.6, 0.09) - 0.03)
    assessment = Assessment(
        relaxed=relaxed,
        energy_ev_per_atom=-5.0,
        formation_energy_ev_per_atom=hull - 0.8,
        e_above_hull_ev_per_atom=hull,
        novel=bool(rng.random() < 0.85),
        relax_steps=int(rng.integers(5, 120)),
        converged=True,
        displacement_ang=float(rng.gamma(2, 0.05)),
    )
    unique = bool(rng.random() < 0.97 - 0.2 * progress)
    flags = SunFlags(stable=hull <= 0.1, unique=unique, novel=assessment.novel)
    judged = replace(made, assessment=assessment, flags=flags)
    if not flags.stable:
        return judged.rejected(Outcome.UNSTABLE, f"{hull:.3f} eV/atom above the hull, limit 0.1")
    if not flags.unique:
        return judged.rejected(Outcome.DUPLICATE, "the same as an earlier crystal of this loop")
    if not flags.novel:
        return judged.rejected(Outcome.KNOWN, "the reference set holds it")
    return judged


def evaluated(found: Candidate, config: RunConfig) -> Candidate:
    """The candidate with its real density (and, if asked for, an invented price)."""
    assert found.assessment is not None
    density = found.assessment.relaxed.density
    reward = float(np.clip(1 - abs(density - 18) / 10, 0, 1))
    values = {"density": density}
    if len(config.objective.terms) > 1:
        values["price"] = 40 * density
    return replace(
        found,
        outcome=Outcome.EVALUATED,
        values=values,
        reward=reward,
        penalised_reward=reward,
    )


def loop_record(
    config: RunConfig, memory: LongTermMemory, rng: np.random.Generator, loop: int
) -> LoopRecord:
    """One loop: candidates and metrics."""
    progress = float(np.tanh(2.0 * (loop - 1) / max(config.rl.loops - 1, 1)))
    candidates = [candidate(rng, loop, k, progress) for k in range(config.rl.samples)]
    budget = config.rl.evaluations
    for k, found in enumerate(candidates):
        if found.pending and budget:
            candidates[k] = evaluated(found, config)
            budget -= 1
        elif found.pending:
            reason = f"the loop's {config.rl.evaluations} property evaluations were spent"
            candidates[k] = found.rejected(Outcome.NOT_EVALUATED, reason)
    memory.append(
        Evaluated(c.key, loop, c.generated.formula, c.generated.formula, c.reward)
        for c in candidates
        if c.outcome is Outcome.EVALUATED
    )
    figures = {
        "loop": loop,
        **metrics.funnel(candidates, config.rl.samples),
        **metrics.property_figures(candidates),
        **metrics.memory_figures(memory, config.objective.reward_threshold),
        "replay_size": min(100, 5 * loop),
        "loss": 1.5 + float(rng.normal(0, 0.1)) - progress / 2,
        "deviation": 0.3 * progress + abs(float(rng.normal(0, 0.02))),
        "rejections": metrics.rejections(candidates),
        "wall_s": 61.0,
        "timings": {"sample": 20.0, "relax": 32.0, "evaluate": 1.0, "finetune": 8.0},
    }
    return LoopRecord(candidates, figures)


def write_run(
    directory: Path, *, loops: int, config: RunConfig | None = None, seed: int = 0
) -> Path:
    """Writes a run directory that got as far as ``loops``."""
    settings = config or density_config()
    rng, memory = np.random.default_rng(seed), LongTermMemory()
    directory.mkdir(parents=True, exist_ok=True)
    names = [term.scorer for term in settings.objective.terms]
    units = {"density": "g/cm3", "price": "USD/kg"}
    terms = [
        {"name": n, "unit": units[n], "source": "atomic masses and cell volume", "cost": "cheap"}
        for n in names
    ]
    records.write_versions(directory, settings.seed)
    records.write_json(directory / "objective.json", {"potential": "chgnet-0.3.0", "terms": terms})
    records.write_config(directory, settings)
    log = records.Records(directory, names)
    for loop in range(1, loops + 1):
        log.append(loop_record(settings, memory, rng, loop))
    log.close()
    return directory


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """Writes a run directory of so many loops; other arguments are those of `density_config`."""

    def make(*, loops: int, **changes: Any) -> Path:
        return write_run(tmp_path / "run", loops=loops, config=density_config(**changes))

    return make


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 8 loops; tests must not change it."""
    config = density_config(rl={"loops": 8, "samples": 32, "evaluations": 8})
    return write_run(tmp_path_factory.mktemp("finished") / "run", loops=8, config=config)
