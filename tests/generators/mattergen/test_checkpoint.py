"""Reading and writing the official layout, and refusing what would run code."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess

import pytest
import tiny_mattergen as tm
import torch
import yaml

from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.generators.mattergen.checkpoint import (
    OFFICIAL,
    CheckpointError,
    build_module,
    load_checkpoint,
    read_weights,
)
from ray_matdesign.generators.registry import load_policy


def write_state(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


class Foreign:
    """Stands for whatever Lightning's callbacks leave in a checkpoint."""

    def __init__(self):
        self.kept = {"best": torch.ones(2)}


class Hostile:
    """Runs a command when unpickled."""

    def __init__(self, call, argument):
        self.call, self.argument = call, argument

    def __reduce__(self):
        return self.call, (self.argument,)


def test_a_saved_policy_loads_with_the_same_weights(tiny, tmp_path):
    policy = load_policy(GeneratorSettings(name="mattergen", checkpoint=str(tiny)))
    policy.save(tmp_path / "copy")
    again = tm.policy_of(tmp_path / "copy")
    before, after = policy.weights(), again.weights()
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "copy/checkpoints/last.ckpt",
        "copy/config.yaml",
    ]


def test_objects_beside_the_weights_are_ignored_not_made(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        Foreign, "__setstate__", lambda self, state: made.append(state), raising=False
    )
    weights = {"diffusion_module.model.w": torch.arange(3.0)}
    path = write_state(tmp_path / "last.ckpt", {"state_dict": weights, "callbacks": [Foreign()]})
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert read_weights(path)["model.w"].tolist() == [0, 1, 2]
    assert made == []


@pytest.mark.parametrize("call", [os.system, subprocess.call, eval])
def test_a_pickle_that_would_run_code_does_not(tmp_path, call):
    mark = tmp_path / "mark"
    argument = f"open({str(mark)!r}, 'w')" if call is eval else f"touch {mark}"
    content = {"state_dict": {"w": torch.ones(1)}, "callbacks": Hostile(call, argument)}
    path = write_state(tmp_path / "last.ckpt", content)
    with contextlib.suppress(CheckpointError):
        assert read_weights(path)["w"].tolist() == [1.0]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("model", {"_target_": "os.system", "command": "true"}, "'os.system' is not a part"),
        ("model", {"_target_": "mattergen.common.utils.globals.try_eval", "s": "1"}, "not a part"),
        ("model", {"_target_": "mattergen.generator.os.system"}, "not a part"),
        ("model", {"_target_": ["os", "system"]}, "not a part"),
        ("corruption", ["${eval:'1+1'}"], "would be evaluated"),
    ],
)
def test_a_configuration_that_would_run_code_is_refused(key, value, complaint):
    config = tm.tiny_config()
    config["lightning_module"]["diffusion_module"][key] = value
    with pytest.raises(CheckpointError, match=complaint) as caught:
        build_module(config, "config.yaml")
    assert "\n" not in str(caught.value)


def test_the_damaged_and_the_missing_are_named_in_one_line(tiny, tmp_path):
    def complaint(folder):
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(str(folder))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no config.yaml in" in complaint(tmp_path / "nowhere")
    assert "mattergen_base" in complaint("packaged")
    broken = tmp_path / "broken"
    (broken / "checkpoints").mkdir(parents=True)
    (broken / "config.yaml").write_text((tiny / "config.yaml").read_text())
    for damage in (b"", b"not a checkpoint", (tiny / "checkpoints/last.ckpt").read_bytes()[:-999]):
        (broken / "checkpoints/last.ckpt").write_bytes(damage)
        assert "is not a MatterGen checkpoint" in complaint(broken)
    write_state(broken / "checkpoints/last.ckpt", {"state_dict": {"w": torch.ones(1)}})
    assert "does not fit" in complaint(broken)
    write_state(broken / "checkpoints/last.ckpt", {"state_dict": {"w": 1.0}})
    assert "not tensors" in complaint(broken)
    (broken / "config.yaml").write_text("a: [")
    assert "is not a YAML file" in complaint(broken)
    (broken / "config.yaml").write_text("a: 1")
    assert "no lightning_module.diffusion_module" in complaint(broken)


def test_a_model_for_structure_prediction_is_refused():
    config = tm.tiny_config()
    diffusion = config["lightning_module"]["diffusion_module"]
    del diffusion["corruption"]["discrete_corruptions"]
    diffusion["loss_fn"].update(include_atomic_numbers=False, weights={"cell": 1.0, "pos": 0.1})
    with pytest.raises(CheckpointError, match="structure prediction models do not"):
        build_module(config, "config.yaml")


def test_a_published_name_says_what_to_do_where_the_hub_cannot_be_reached(monkeypatch, tmp_path):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="cannot fetch MatterGen's 'mp_20_base'") as caught:
        load_checkpoint("mp_20_base")
    assert "\n" not in str(caught.value)
    assert "give the folder" in str(caught.value)


def test_the_published_names_are_those_mattergen_knows():
    from typing import get_args

    from ray_matdesign.generators.mattergen.compat import mattergen_modules

    names = get_args(mattergen_modules().data_classes.PRETRAINED_MODEL_NAME)
    assert set(OFFICIAL) == set(names)


def test_space_group_adapters_are_building_blocks():
    config = tm.conditional_config()
    model = config["lightning_module"]["diffusion_module"]["model"]
    adapter = model["property_embeddings_adapt"].pop("chemical_system")
    adapter["name"] = "space_group"
    adapter["conditional_embedding_module"]["_target_"] = (
        "mattergen.property_embeddings.SpaceGroupEmbeddingVector"
    )
    model["property_embeddings_adapt"]["space_group"] = adapter
    model["gemnet"]["condition_on_adapt"] = list(model["property_embeddings_adapt"])
    module = build_module(yaml.safe_load(yaml.safe_dump(config)), "test")
    assert "space_group" in module.model.cond_fields_model_was_trained_on
