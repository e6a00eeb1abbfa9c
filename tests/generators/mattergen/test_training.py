"""Training small networks from MatterGen's classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_mattergen as tm
import torch

from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.mattergen import training
from ray_matdesign.generators.mattergen.batch import to_batch
from ray_matdesign.generators.mattergen.checkpoint import build_module
from ray_matdesign.generators.mattergen.compat import mattergen_modules
from ray_matdesign.generators.mattergen.shape import MatterGenShape, shape_config
from ray_matdesign.generators.mattergen.training import (
    MatterGenTraining,
    fit_scale_factors,
    train_mattergen,
)

TINY = MatterGenShape(**tm.TINY)


def test_the_loss_falls_and_the_checkpoint_is_complete(tmp_path, rocksalt, perovskite):
    losses = []
    settings = MatterGenTraining(steps=24, batch_size=6, lr=1e-2, save_every=1000)
    last = train_mattergen(
        [rocksalt, perovskite],
        tmp_path,
        TINY,
        settings,
        progress=lambda _, loss: losses.append(loss),
    )
    assert len(losses) == 24
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])
    assert last == pytest.approx(np.mean(losses[-2:]))
    assert tm.policy_of(tmp_path, n_atoms=1).conditions == ()


def test_a_seed_gives_the_same_weights(tmp_path, rocksalt, perovskite):
    settings = MatterGenTraining(steps=2, batch_size=3)
    for name in ("a", "b"):
        train_mattergen([rocksalt, perovskite], tmp_path / name, TINY, settings)
    first, second = (tm.policy_of(tmp_path / name).weights() for name in ("a", "b"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_conditions_are_learned_from_labels_where_there_are_any(tmp_path, rocksalt, perovskite):
    shape = TINY.model_copy(update={"conditions": ("dft_band_gap",)})
    settings = MatterGenTraining(steps=6, batch_size=6, lr=1e-2)
    labels = {"dft_band_gap": [1.0, 5.0, float("nan")]}
    crystals = [rocksalt, perovskite, perovskite]
    train_mattergen(crystals, tmp_path, shape, settings, labels=labels)
    policy = tm.policy_of(tmp_path)
    assert policy.conditions == ("dft_band_gap",)
    scaler = policy.module.model.property_embeddings_adapt["dft_band_gap"].scaler
    assert float(scaler.means) == pytest.approx(3.0)
    assert float(scaler.stds) == pytest.approx(2.0, abs=1e-4)
    mixin = policy.module.model.gemnet.cond_mixin_layers["dft_band_gap"][0].weight
    assert mixin.abs().sum() > 0  # it starts at zero
    with pytest.raises(ValueError, match="condition dft_band_gap: no labels"):
        train_mattergen(crystals, tmp_path, shape, settings)
    with pytest.raises(ValueError, match="none of the 3 crystals has a label"):
        train_mattergen(crystals, tmp_path, shape, settings, labels={"dft_band_gap": [np.nan] * 3})


def test_fitted_layers_keep_the_variance_of_their_input(rocksalt, perovskite):
    torch.manual_seed(0)
    module = build_module(shape_config(MatterGenShape(**{**tm.TINY, "num_blocks": 2})), "test")
    batch = to_batch([rocksalt, perovskite] * 4)
    torch.manual_seed(1)
    fit_scale_factors(module, batch)
    ratios = []

    def compare(layer, inputs, output):
        reference = inputs[0]
        ratios.append((output.var(dim=0).mean() / reference.var(dim=0).mean()).item())

    kind = mattergen_modules().scaling.ScalingFactor
    for part in module.modules():
        if isinstance(part, kind):
            part.register_forward_hook(compare)
    torch.manual_seed(1)
    module.calc_loss(batch)
    assert len(ratios) == 12
    np.testing.assert_allclose(ratios, 1.0, rtol=1e-3)


def test_crystals_mattergen_cannot_make_are_left_out(tmp_path, rocksalt):
    helium = Crystal(3.0 * np.eye(3), [[0, 0, 0]], [2])
    settings = MatterGenTraining(steps=1, batch_size=2, max_atoms=2)
    with pytest.raises(ValueError, match="none of 2 crystals has at most 2 atoms"):
        train_mattergen([helium, helium], tmp_path, TINY, settings)
    train_mattergen([helium, rocksalt], tmp_path, TINY, settings)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path, rocksalt):
    settings = MatterGenTraining(steps=30, batch_size=2, lr=1e20)
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        train_mattergen([rocksalt], tmp_path, TINY, settings)
    assert not list(tmp_path.iterdir())


def test_the_command_line_trains_from_a_table(tmp_path, rocksalt, perovskite, capsys, monkeypatch):
    monkeypatch.setattr(training, "REPORT_EVERY", 2)
    rows = ["material_id,cif,e_above_hull,band_gap"]
    for name, crystal, hull, gap in (
        ("a", rocksalt, "0.0", "4.5"),
        ("b", perovskite, "", "3.1"),
        ("c", rocksalt, "0.5", ""),
    ):
        rows.append(f"{name},{json.dumps(write_cif_text(crystal, name))},{hull},{gap}")
    table = tmp_path / "crystals.csv"
    table.write_text("\n".join(rows).replace("\\n", "\n") + "\n")
    sizes = [f"shape.{key}={value}" for key, value in tm.TINY.items()]
    training.main(
        [str(table), str(tmp_path / "out"), *sizes, "shape.conditions=[dft_band_gap]",
         "training.steps=2", "training.batch_size=1"]
    )  # fmt: skip
    assert "step 2: loss" in capsys.readouterr().err
    scaler = (
        tm.policy_of(tmp_path / "out").module.model.property_embeddings_adapt["dft_band_gap"].scaler
    )
    assert float(scaler.means) == pytest.approx(
        3.8
    )  # the third crystal lies too far above the hull
