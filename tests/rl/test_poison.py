"""A poisoned batch costs only its own members: with the packaged generator and potential."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ray_matdesign.config.schema import GeneratorSettings, RunConfig
from ray_matdesign.crystals.codec import decode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.rl import stages
from ray_matdesign.rl.candidate import Outcome, new_candidate
from ray_matdesign.rl.ledger import Ledger
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.workers import GeneratorWorker, roles_of
from ray_matdesign.stability.reference import ReferenceSet

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rocksalt(a: float, cation: int, anion: int) -> Crystal:
    return Crystal(FCC * a, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion])


def copper_block(n: int) -> Crystal:
    """A simple cubic block of n^3 atoms, thermally disordered."""
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3) / n
    noise = np.random.default_rng(0).normal(0.0, 0.01 / n, grid.shape)
    return Crystal(np.eye(3) * 2.4 * n, grid + noise, [29] * n**3)


HEALTHY = {
    "MgO": rocksalt(4.3, 12, 8),
    "FeN": rocksalt(4.1, 26, 7),
    "LiF": rocksalt(4.0, 3, 9),
}
POISON = {
    "1000 atoms": copper_block(10),
    "overlap": Crystal(np.eye(3) * 4.0, [[0, 0, 0], [0.025, 0, 0]], [1, 1]),
    "noble gas": Crystal(FCC * 5.3, [[0, 0, 0]], [18]),
}
NAMES = ("magnetic_density", "formation_energy")
BATCH = ["MgO", "1000 atoms", "overlap", "FeN", "noble gas", "LiF"]

CONFIG = RunConfig.model_validate(
    {
        "name": "poisoned",
        "relaxation": {"batch_size": 8, "max_steps": 60},
        "stability": {"require": []},
        "objective": {
            "terms": [
                {
                    "scorer": "magnetic_density",
                    "transform": {"kind": "ascending", "min": 0.0, "max": 0.25},
                },
                {
                    "scorer": "formation_energy",
                    "transform": {"kind": "descending", "min": -3.5, "max": -1.0},
                },
            ]
        },
    }
)


@pytest.fixture(scope="module")
def tools() -> stages.Tools:
    executor = LocalExecutor(roles_of(CONFIG))
    reference = ReferenceSet.load("packaged", CONFIG.stability)
    return stages.Tools(CONFIG, executor, reference, Ledger(), Silent(), NAMES)


def judged(tools: stages.Tools, names: list[str]) -> dict[str, stages.Candidate]:
    """The crystals after relaxation and evaluation, without the checks that come before."""
    crystals = [{**HEALTHY, **POISON}[name] for name in names]
    candidates = [new_candidate(1, i, 0, crystal) for i, crystal in enumerate(crystals)]
    relaxed = stages.require_sun(stages.relax(candidates, tools), tools)
    return dict(zip(names, stages.evaluate(relaxed, tools, len(relaxed)), strict=True))


def test_a_poisoned_batch_costs_only_its_own_members(tools):
    mixed, alone = judged(tools, BATCH), judged(tools, list(HEALTHY))
    for name in HEALTHY:
        assert mixed[name].outcome is Outcome.EVALUATED
        assert mixed[name].reward == pytest.approx(alone[name].reward, abs=1e-4)
    reasons = {name: mixed[name].reason for name in POISON}
    assert {mixed[name].outcome for name in POISON} == {Outcome.RELAXATION_FAILED}
    assert reasons["1000 atoms"] == "1000 atoms > relaxation.max_atoms 200"
    assert reasons["overlap"] == "two atoms 0.10 Angstrom apart"
    assert "Ar" in reasons["noble gas"]
    # Measured formation energy of MgO: -3.12 eV/atom.
    assert mixed["MgO"].values["formation_energy"] == pytest.approx(-3.12, abs=0.1)


def test_a_cell_that_is_not_a_number_costs_one_sample(monkeypatch):
    options = {"steps": 4, "avoid_known": False}
    policy = load_policy(GeneratorSettings(options=options))
    worker = GeneratorWorker(policy)
    whole = decode_crystals(worker.sample({"n": 6, "seed": 1})["crystals"])
    finished, calls = policy._crystals, []

    def poisoned(clean, scaffolds):
        strain = clean.strain.clone()
        if not calls:  # the first crystal of the first batch
            strain[0] = torch.nan
        calls.append(clean)
        return finished(dataclasses.replace(clean, strain=strain), scaffolds)

    monkeypatch.setattr(policy, "_crystals", poisoned)
    rest = decode_crystals(worker.sample({"n": 6, "seed": 1})["crystals"])
    assert len(rest) == len(whole) - 1
    assert all(np.isfinite(crystal.lattice).all() for crystal in rest)
