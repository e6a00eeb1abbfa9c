"""Files of predictors: what is written comes back, and wrong ones are refused in one line."""

import pytest
import torch

from ray_matdesign.rewards.predictors.artifact import (
    PredictorError,
    read_predictor,
    save_predictor,
)


def test_tensors_and_card_come_back(tmp_path):
    tensors = {"a.weights.0": torch.randn(2, 3), "a.center": torch.tensor([1.0, torch.inf])}
    save_predictor(tmp_path / "p.safetensors", tensors, {"kind": "toy", "format": 3, "n": 7})
    back, card = read_predictor(tmp_path / "p.safetensors", kind="toy", format_version=3)
    assert card["n"] == 7
    assert torch.equal(back["a.center"], tensors["a.center"])
    # Half precision: eleven bits.
    torch.testing.assert_close(back["a.weights.0"], tensors["a.weights.0"], rtol=2**-11, atol=1e-6)
    assert all(tensor.dtype == torch.float32 for tensor in back.values())


def test_wrong_files_are_refused(tmp_path):
    path = tmp_path / "p.safetensors"
    with pytest.raises(PredictorError, match="toy: no weights at"):
        read_predictor(path, kind="toy", format_version=1)
    path.write_bytes(b"not tensors at all")
    with pytest.raises(PredictorError, match="no file of a predictor"):
        read_predictor(path, kind="toy", format_version=1)
    save_predictor(path, {"weights": torch.zeros(1)}, {"kind": "other", "format": 1})
    with pytest.raises(PredictorError, match="holds 'other' in format 1; needed is 'toy'"):
        read_predictor(path, kind="toy", format_version=1)
