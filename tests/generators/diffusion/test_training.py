"""Training: it learns, it resumes bit by bit, several processes do as one does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_set import rocksalts, rutiles, small_set, tiny

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.diffusion.artifact import (
    WEIGHTS_NAME,
    CheckpointError,
    load_artifact,
)
from ray_matdesign.generators.diffusion.data import PreparedSetError, TrainingSet, prepare
from ray_matdesign.generators.diffusion.outputs import CHECKPOINT_NAME, METRICS_NAME
from ray_matdesign.generators.diffusion.parallel import SharedGradients
from ray_matdesign.generators.diffusion.policy import load
from ray_matdesign.generators.diffusion.trainer import Trainer, TrainingDiverged
from ray_matdesign.generators.diffusion.training import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def salts() -> TrainingSet:
    return small_set()


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_artifact(str(folder)).denoiser.state_dict()


def assert_same_weights(one: Path, other: Path) -> None:
    expected, actual = weights_of(one), weights_of(other)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_validation_loss_falls_and_figures_say_how_fast(tmp_path: Path, salts: TrainingSet) -> None:
    train(salts, tiny(steps=120, validate_every=60), tmp_path)
    first, last = records(tmp_path)
    assert (first["step"], last["step"]) == (60, 120)
    assert last["val_total"] < first["val_total"]
    levels = [first[f"val_total_t{level}"] for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert first["val_total"] == pytest.approx(np.mean(levels), rel=1e-5)
    # Steps alone count towards the rate, so that it is more than the clock would give.
    assert last["crystals_per_s"] > 60 * 16 / (last["seconds"] - first["seconds"])


class Stop(Exception):
    """What ends a training in the middle."""


def stop_at(step: int):  # type: ignore[no-untyped-def]
    def interrupt(now: int, figures: object) -> None:
        if now == step:
            raise Stop

    return interrupt


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, salts: TrainingSet) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(salts, tiny(), whole)
    with pytest.raises(Stop):
        train(salts, tiny(), parts, progress=stop_at(18))  # after the figures of step 15
    train(salts, tiny(), parts, resume=True)
    assert_same_weights(whole, parts)
    assert [record["step"] for record in records(parts)] == [15, 30]
    timed = {"seconds", "crystals_per_s"}
    for one, other in zip(records(whole), records(parts), strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {
            k: v for k, v in other.items() if k not in timed
        }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_losses_do_not_depend_on_how_a_batch_is_cut(salts: TrainingSet, precision: str) -> None:
    losses = []
    for parts in (1, 2, 5):
        trainer = Trainer(salts, tiny(micro_batches=parts, precision=precision), CPU)
        losses.append([list(trainer.train_step().values()) for _ in range(4)])
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)
    np.testing.assert_allclose(losses[2], losses[0], rtol=tolerance)


RANK = """
import json, sys
from pathlib import Path
import torch
from torch import distributed
from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.generators.diffusion.data import TrainingSet
from ray_matdesign.generators.diffusion.parallel import ProcessGroup
from ray_matdesign.generators.diffusion.trainer import Trainer

folder, rank, size, settings = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size
)
data = TrainingSet.load(folder / "set.safetensors")
peers = ProcessGroup()
trainer = Trainer(data, TrainSettings.model_validate_json(settings), torch.device("cpu"), peers)
losses = [trainer.train_step() for _ in range(6)]
total = sum(float(p.detach().double().abs().sum()) for p in trainer.denoiser.parameters())
print(json.dumps([losses, trainer.validate(), total]))
distributed.destroy_process_group()
"""


def test_two_processes_do_as_one_does(tmp_path: Path, salts: TrainingSet) -> None:
    salts.save(tmp_path / "set.safetensors")
    settings = tiny(precision="fp32", batch_size=15)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, tmp_path, str(rank), "2", settings.model_dump_json()],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    trainer = Trainer(salts, settings, CPU)
    alone = [trainer.train_step() for _ in range(6)]
    ranks = [json.loads(process.communicate(timeout=200)[0]) for process in running]
    assert ranks[0] == ranks[1]  # losses, validation and weights, to the last bit
    for ours, theirs in zip(alone, ranks[0][0], strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)
    assert ranks[0][1] == pytest.approx(trainer.validate(), rel=1e-3)


def test_every_crystal_is_learnt_from_equally_often(salts: TrainingSet) -> None:
    trainer = Trainer(salts, tiny(batch_size=13), CPU)
    count, seen = len(salts.train), []
    for step in range(count):  # thirteen epochs
        trainer.step = step
        seen.append(trainer._batch())
    assert torch.bincount(torch.cat(seen)).tolist() == [13] * count
    epochs = torch.cat(seen).view(13, count)
    assert all(sorted(epoch.tolist()) == list(range(count)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_gradients_are_clipped_to_the_norm_asked_for() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    shared = SharedGradients([weight], sums=1)
    (weight @ torch.tensor([3.0, 4.0])).backward()
    assert float(shared.clip(10.0)) == pytest.approx(5.0)
    assert weight.grad is not None
    assert weight.grad.tolist() == [3.0, 4.0]
    assert float(shared.clip(1.0)) == pytest.approx(5.0)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8])
    assert shared.vector.tolist() == pytest.approx([0.6, 0.8, 0.0])


def test_divergence_names_the_step_and_keeps_the_last_checkpoint(
    tmp_path: Path, salts: TrainingSet
) -> None:
    train(salts, tiny(steps=10), tmp_path)
    good = (tmp_path / CHECKPOINT_NAME).read_bytes()
    torch.manual_seed(0)
    spoilt = TrainingSet.load(_saved(salts, tmp_path / "set.safetensors"))
    trainer = Trainer(spoilt, tiny(), CPU)
    trainer.restore(good, "training.pt")
    before = [p.detach().clone() for p in trainer.denoiser.parameters()]
    trainer._train._crystals.strain[:] = torch.nan
    with pytest.raises(TrainingDiverged, match=r"diverged at step 10: loss nan.*last checkpoint"):
        trainer.train_step()
    after = list(trainer.denoiser.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(TrainingDiverged):
        train(salts, tiny(steps=300, lr=1e30, clip_norm=1e30), tmp_path / "wild")


def _saved(data: TrainingSet, path: Path) -> Path:
    data.save(path)
    return path


def test_what_cannot_be_resumed_is_said(tmp_path: Path, salts: TrainingSet) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(salts, tiny(), tmp_path, resume=True)
    train(salts, tiny(steps=1), tmp_path)
    with pytest.raises(CheckpointError, match=r"training.pt was trained with width=16, not 32"):
        train(salts, tiny(width=32), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match=r"training.pt was trained on other crystals"):
        train(small_set(seed=1), tiny(), tmp_path, resume=True)
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"training.pt is damaged"):
        train(salts, tiny(), tmp_path, resume=True)


def test_missing_and_damaged_weights_are_named(tmp_path: Path, salts: TrainingSet) -> None:
    with pytest.raises(CheckpointError, match=WEIGHTS_NAME):
        load(GeneratorSettings(checkpoint=str(tmp_path)))
    train(salts, tiny(steps=1), tmp_path)
    stored = (tmp_path / WEIGHTS_NAME).read_bytes()
    (tmp_path / WEIGHTS_NAME).write_bytes(stored[: len(stored) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        load(GeneratorSettings(checkpoint=str(tmp_path)))


def test_a_conditional_network_begins_with_the_weights_of_an_unconditional_one(
    tmp_path: Path, salts: TrainingSet
) -> None:
    artifact = train(salts, tiny(steps=5), tmp_path)
    crystals = [*rocksalts(), *rutiles()]
    density = np.array([crystal.density for crystal in crystals])
    density[::3] = np.nan
    told = prepare(crystals, tiny(), {"density": density})
    plain, conditional = Trainer(salts, tiny(), CPU), Trainer(told, tiny(), CPU)
    conditional.take_weights(artifact)
    plain.take_weights(artifact)
    # Told nothing yet, it answers as the other does.
    assert conditional.validate()["val_total"] == pytest.approx(plain.validate()["val_total"])
    for _ in range(3):
        conditional.train_step()
    assert bool((conditional.denoiser.condition[-1].weight != 0).any())
    with pytest.raises(CheckpointError, match="do not fit: size mismatch"):
        Trainer(salts, tiny(width=24), CPU).take_weights(artifact)
    other = prepare(crystals, tiny(), {"volume": np.array([c.volume for c in crystals])})
    volume = Trainer(other, tiny(), CPU)
    volume.take_weights(conditional.artifact({}))  # what it learnt of densities says nothing here
    assert volume.average.condition_mean.tolist() == volume.denoiser.condition_mean.tolist()
    assert float(volume.denoiser.condition_mean) == pytest.approx(
        float(other.train.labels.mean()), rel=1e-4
    )


def test_a_prepared_set_comes_back_as_it_was(tmp_path: Path, salts: TrainingSet) -> None:
    path = _saved(salts, tmp_path / "set.safetensors")
    again = TrainingSet.load(path)
    assert again.digest == salts.digest
    assert again.origin == salts.origin
    assert again.scaffolds.counts == salts.scaffolds.counts
    again.check_settings(tiny(), path)
    with pytest.raises(PreparedSetError, match=r"prepared with max_atoms=20, not 8"):
        again.check_settings(tiny(max_atoms=8), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(PreparedSetError, match="damaged"):
        TrainingSet.load(path)


def test_preparing_in_processes_gives_the_same_set() -> None:
    crystals, seen = [*rocksalts(), *rutiles()] * 6, []
    here = prepare(crystals, tiny())
    pool = prepare(crystals, tiny(), processes=2, progress=lambda *done: seen.append(done))
    assert pool.digest == here.digest
    total = len(here.train) + len(here.validation)
    assert seen == [(k, total) for k in range(1, total + 1)]


def test_what_is_not_learnt_from() -> None:
    helium = Crystal(np.eye(3) * 4, [[0, 0, 0]], [2])
    large = Crystal(np.eye(3) * 9, np.random.default_rng(0).random((21, 3)), [14] * 21)
    assert small_set([helium, large, *rocksalts()]).digest == small_set(rocksalts()).digest
    with pytest.raises(ValueError, match="at least 16 crystals"):
        small_set(rocksalts()[:5])
    nowhere = np.full(40, np.nan)
    with pytest.raises(ValueError, match="condition gap: no crystal to train on has a value"):
        prepare(rocksalts(), tiny(), {"gap": nowhere})
    with pytest.raises(ValueError, match="condition gap: a crystal has an infinite value"):
        prepare(rocksalts(), tiny(), {"gap": np.full(40, np.inf)})


BARE = """
import sys
for name in ("ray", "pymatgen", "spglib", "smact", "ase", "pandas", "scipy", "matplotlib", "rich"):
    sys.modules[name] = None
from pathlib import Path
from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.generators.diffusion.data import TrainingSet
from ray_matdesign.generators.diffusion.training import train
train(
    TrainingSet.load(Path(sys.argv[1])),
    TrainSettings.model_validate_json(sys.argv[2]),
    Path(sys.argv[3]),
)
"""


def test_prepared_crystals_are_learnt_from_without_the_crystal_libraries(
    tmp_path: Path, salts: TrainingSet
) -> None:
    path = _saved(salts, tmp_path / "set.safetensors")
    settings, out = tiny(steps=4, validate_every=2), tmp_path / "net"
    done = subprocess.run(
        [sys.executable, "-c", BARE, path, settings.model_dump_json(), out],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "val_total" in records(out)[-1]
    assert not {"validity", "structural_validity"} & records(out)[-1].keys()
    # Which of them is missed first depends on what the sampler happens to import first.
    missed = r"no figures of sampled crystals: (pymatgen|spglib) is not installed"
    assert re.search(missed, done.stderr)
    train(salts, settings, tmp_path / "full")
    assert records(tmp_path / "full")[-1]["structural_validity"] >= 0.0
    assert_same_weights(out, tmp_path / "full")
