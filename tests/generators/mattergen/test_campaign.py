"""The way of a policy: loaded, sampled, fine-tuned, saved, read by MatterGen's own code."""

from __future__ import annotations

import numpy as np
import safetensors.numpy
import tiny_mattergen as tm

from ray_matdesign.config.schema import RLSettings, RunConfig
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.rl.finetune import finetune
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.stability.build import build_reference

METALS = {29: 3.61, 47: 4.09, 79: 4.08}
"""fcc lattice parameters of Cu, Ag and Au, Angstrom."""


def test_a_fine_tuned_policy_is_read_by_mattergens_own_loader(tiny, tmp_path):
    policy, prior = tm.policy_of(tiny, n_atoms=2), tm.policy_of(tiny, n_atoms=2)
    crystals = policy.sample(4, seed=0)
    settings = RLSettings(epochs=2, timesteps=6, accumulate=3, lr=1e-2)
    report = finetune(policy, prior, crystals, [1.0, 0.5, 0.0, 0.2], settings, seed=0)
    assert report.adam_steps == 4
    assert report.deviation > 0
    policy.save(tmp_path)
    drawn = policy.sample(3, seed=7)
    assert tm.same(drawn, tm.mattergens_own(tmp_path, [2] * 3, {}, 0.0, seed=7))
    assert tm.same(drawn, tm.policy_of(tmp_path, n_atoms=2).sample(3, seed=7))
    assert not tm.same(drawn, prior.sample(3, seed=7))


def test_fine_tuning_lowers_the_loss_of_what_is_rewarded(tiny, rocksalt, perovskite):
    policy, prior = tm.policy_of(tiny), tm.policy_of(tiny)
    settings = RLSettings(epochs=2, timesteps=8, accumulate=4, lr=1e-2, sigma=0.0)
    first = finetune(policy, prior, [rocksalt, perovskite], [1.0, 1.0], settings, seed=0)
    second = finetune(policy, prior, [rocksalt, perovskite], [1.0, 1.0], settings, seed=0)
    assert second.denoise < first.denoise


def test_a_whole_loop_runs_with_mattergen_as_the_policy(tiny, tmp_path):
    fcc = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    metals = {z: Crystal(a * np.eye(3), fcc, [z] * 4) for z, a in METALS.items()}
    points = EmtPotential().evaluate(list(metals.values()))
    energies = {z: p.energy_ev_per_atom for z, p in zip(metals, points, strict=True)}
    build_reference([], [], energies, tmp_path / "reference")
    config = RunConfig.model_validate(
        {
            "name": "mattergen",
            "generator": {
                "name": "mattergen",
                "checkpoint": str(tiny),
                "options": {"n_atoms": 1},
                "constraints": {"allowed_elements": ["Cu", "Ag", "Au"]},
            },
            "potential": {"name": "emt"},
            "relaxation": {"fmax_ev_per_ang": 1.0, "max_steps": 200},
            "prefilter": {"smact": False, "min_elements": 1},
            "stability": {"reference": str(tmp_path / "reference"), "require": []},
            "objective": {
                "terms": [
                    {
                        "scorer": "density",
                        "transform": {"kind": "target", "target": 15.0, "max_distance": 20.0},
                    }
                ]
            },
            "rl": {
                "loops": 1, "samples": 8, "evaluations": 8, "timesteps": 4, "accumulate": 2,
                "epochs": 1, "lr": 1e-2,
            },
        }
    )  # fmt: skip
    folder = tmp_path / "run"
    summary = start_run(config, folder, LocalExecutor(roles_of(config)))
    (metrics,) = summary.metrics
    assert metrics["sampled"] == 8
    assert metrics["evaluated"] > 0, str(metrics)
    # What the run learned can be taken back to MatterGen.
    weights = safetensors.numpy.load_file(folder / "checkpoints/loop-00001/policy.safetensors")
    policy = tm.policy_of(tiny, n_atoms=2)
    before = policy.weights()
    policy.load_weights(weights, 1)
    assert any((before[name] != weights[name]).any() for name in weights)
    policy.save(tmp_path / "export")
    drawn = policy.sample(2, seed=0)
    assert tm.same(drawn, tm.mattergens_own(tmp_path / "export", [2, 2], {}, 0.0, seed=0))
