"""Training on a handful of crystals: it learns, it resumes bit by bit, it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ray_matdesign.config.schema import GeneratorSettings, TrainSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.artifact import (
    WEIGHTS_NAME,
    CheckpointError,
    load_artifact,
)
from ray_matdesign.generators.diffusion.policy import DiffusionPolicy, load
from ray_matdesign.generators.diffusion.sampler import SamplerOptions
from ray_matdesign.generators.diffusion.training import select_crystals, train


def rocksalts() -> list[Crystal]:
    """Forty binary rock salts, edges from ionic-radius-like sums."""
    cations, anions = (3, 11, 12, 19, 20, 28, 30, 37, 38, 56), (8, 9, 16, 17)
    shape = np.ones((3, 3)) - np.eye(3)
    return [
        Crystal((1.7 + 0.01 * (c + a)) * shape, [[0, 0, 0], [0.5, 0.5, 0.5]], [c, a])
        for c in cations
        for a in anions
    ]


TINY = TrainSettings(
    steps=30,
    batch_size=16,
    micro_batches=2,
    width=16,
    layers=1,
    pair_width=8,
    warmup_steps=5,
    validation_fraction=0.2,
    validate_every=15,
    checkpoint_every=10,
    samples_scored=4,
)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_artifact(str(folder)).denoiser.state_dict()


def test_validation_loss_falls(tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"steps": 150, "validate_every": 75})
    train(rocksalts(), settings, tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert [record["step"] for record in records] == [75, 150]
    assert records[-1]["val_total"] < records[0]["val_total"]
    levels = [key for key in records[0] if key.startswith("val_total_t")]
    assert len(levels) == 5


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(rocksalts(), TINY, whole)

    class Stop(Exception):
        pass

    def interrupt(step: int, losses: object) -> None:
        if step == 23:
            raise Stop

    with pytest.raises(Stop):
        train(rocksalts(), TINY, parts, progress=interrupt)
    train(rocksalts(), TINY, parts, resume=True)
    expected, actual = weights_of(whole), weights_of(parts)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_excluded_elements_and_large_cells_are_not_learnt_from() -> None:
    helium = Crystal(np.eye(3) * 4, [[0, 0, 0]], [2])
    large = Crystal(np.eye(3) * 9, np.random.default_rng(0).random((21, 3)), [14] * 21)
    kept = select_crystals([helium, large, *rocksalts()], TINY)
    assert len(kept) == 40


def test_too_few_crystals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 16 crystals"):
        train(rocksalts()[:5], TINY, tmp_path)


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(rocksalts(), TINY, tmp_path, resume=True)


def test_missing_and_damaged_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=WEIGHTS_NAME):
        load(GeneratorSettings(checkpoint=str(tmp_path)))
    train(rocksalts(), TINY, tmp_path)
    stored = (tmp_path / WEIGHTS_NAME).read_bytes()
    (tmp_path / WEIGHTS_NAME).write_bytes(stored[: len(stored) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        load(GeneratorSettings(checkpoint=str(tmp_path)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("trained")
    train(rocksalts(), TINY, folder)
    return folder


def policy_from(folder: Path) -> DiffusionPolicy:
    return DiffusionPolicy(load_artifact(str(folder)), SamplerOptions(steps=8))


def test_sampling_repeats_with_its_seed_and_differs_with_another(trained: Path) -> None:
    policy = policy_from(trained)
    first, again, other = (policy.sample(6, seed=s) for s in (1, 1, 2))
    assert [c.formula for c in first] == [c.formula for c in again]
    assert all(np.array_equal(a.lattice, b.lattice) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].lattice, other[0].lattice)


def test_weights_travel_as_read_only_arrays(trained: Path) -> None:
    source, target = policy_from(trained), policy_from(trained)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.01)
    weights = source.weights()
    for array in weights.values():
        array.setflags(write=False)
    target.load_weights(weights, version=7)
    assert target.version == 7
    assert [c.formula for c in target.sample(4, seed=3)] == [
        c.formula for c in source.sample(4, seed=3)
    ]


def test_rewarded_crystals_become_likelier(trained: Path) -> None:
    policy, prior = policy_from(trained), policy_from(trained)
    batch = policy.encode(rocksalts()[:4])

    def loss() -> torch.Tensor:
        rng = torch.Generator().manual_seed(0)
        pairs = [policy.denoising_losses(batch, t, prior, rng) for t in (0.9, 0.7, 0.5, 0.3)]
        return torch.stack([denoise for denoise, _ in pairs]).mean(0)

    before = loss().detach()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        loss().sum().backward()
        optimizer.step()
    assert bool((loss().detach() < before).all())
    deviation = policy.denoising_losses(batch, 0.5, prior, torch.Generator().manual_seed(0))[1]
    assert bool((deviation > 0).all())
    untouched = prior.denoising_losses(batch, 0.5, prior, torch.Generator().manual_seed(0))[1]
    assert untouched.tolist() == [0.0] * 4


def test_conditions_are_refused(trained: Path) -> None:
    with pytest.raises(ValueError, match="no conditions"):
        policy_from(trained).sample(1, seed=0, condition={"density": 5.0})
