"""Whether a composition looks like those that have been made.

A positive-unlabelled classifier by bagging (Mordelet and Vert, Pattern Recognit. Lett. 37, 201
(2014)): each network of an ensemble learns to tell all compounds known from experiment from its own
draw of formulas of which nobody knows; the score is the mean of their votes. How it was trained,
and on what: ``weights/synthesizability.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.rewards.predictors.artifact import PACKAGED, read_predictor, save_predictor
from ray_matdesign.rewards.predictors.composition import composition_features
from ray_matdesign.rewards.predictors.ensemble import Ensemble

KIND, FORMAT = "synthesizability", 1


@dataclass(frozen=True)
class SynthesizabilityModel:
    """A trained classifier.

    Attributes:
        table: Element properties, shape ``(HEAVIEST + 1, n_properties)``.
        ensemble: From composition features to the logit of "known from experiment".
        card: Data, settings and figures of the training.
    """

    table: NDArray[np.float32]
    ensemble: Ensemble
    card: Mapping[str, Any]

    @classmethod
    def load(cls, where: str | Path = PACKAGED) -> SynthesizabilityModel:
        """Reads the packaged model, or one that was trained elsewhere.

        Raises:
            PredictorError: The file is missing, damaged or another model's.
        """
        tensors, card = read_predictor(where, kind=KIND, format_version=FORMAT)
        table = tensors.pop("element_table").numpy()
        return cls(table, Ensemble.from_state(tensors), card)

    def save(self, path: Path) -> None:
        """Writes the model, atomically."""
        tensors = {"element_table": torch.from_numpy(self.table), **self.ensemble.state_dict()}
        save_predictor(path, tensors, {**self.card, "kind": KIND, "format": FORMAT})

    def votes(self, compositions: Sequence[Mapping[int, int]]) -> NDArray[np.float32]:
        """Each network's probability that a composition is a known compound's.

        Args:
            compositions: Atoms of each element by atomic number, none heavier than plutonium.

        Returns:
            Shape ``(n_networks, n)``; the score of a composition is the mean over the networks.
        """
        features = torch.from_numpy(composition_features(compositions, self.table))
        with torch.inference_mode():
            return np.asarray(torch.sigmoid(self.ensemble(features)[..., 0]).numpy())
