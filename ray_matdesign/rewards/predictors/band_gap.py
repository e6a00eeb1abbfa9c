"""Band gaps from frozen CHGNet features and the composition.

Two ensembles in a row. The first knows compositions only, and learns from many more of them than
there are structures at hand. The second sees CHGNet's features of the relaxed crystal, the
composition, and what the first says of it. Each network gives a probability that there is a gap,
and the gap's size if there is one. The prediction is the size where a gap is more likely than not,
and zero elsewhere. How both were trained, on what, and what they are worth is in
``weights/band_gap.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import load_network
from ray_matdesign.potentials.chgnet_network import ChgnetNetwork
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.artifact import PACKAGED, read_predictor, save_predictor
from ray_matdesign.rewards.predictors.composition import composition_features
from ray_matdesign.rewards.predictors.ensemble import Ensemble
from ray_matdesign.rewards.predictors.fingerprint import fingerprints

KIND, FORMAT = "band_gap", 1


@dataclass(frozen=True)
class BandGap:
    """What an ensemble says of one crystal.

    Attributes:
        gap_ev: Mean size of the gap, eV; zero where there is more likely none.
        spread_ev: Standard deviation of the networks' expectations (probability times size), eV:
            how little they agree.
        nonmetal_probability: Mean probability that there is a gap at all.
    """

    gap_ev: float
    spread_ev: float
    nonmetal_probability: float


@dataclass(frozen=True)
class BandGapModel:
    """A trained predictor.

    Attributes:
        table: Element properties, shape ``(HEAVIEST + 1, n_properties)``.
        prior: Ensemble over compositions.
        ensemble: Ensemble over crystals.
        chgnet: The network whose features are read.
        card: Data, settings and figures of the training.
    """

    table: NDArray[np.float32]
    prior: Ensemble
    ensemble: Ensemble
    chgnet: ChgnetNetwork
    card: Mapping[str, Any]

    @classmethod
    def load(cls, where: str | Path = PACKAGED, *, device: str = "cpu") -> BandGapModel:
        """Reads the packaged model, or one that was trained elsewhere.

        Args:
            where: A file, or ``packaged``.
            device: Torch device CHGNet runs on; the ensembles are too small to be worth moving.

        Raises:
            PredictorError: The file is missing, damaged or another model's.
            ModuleNotFoundError: The ``chgnet`` package, which holds CHGNet's weights, is missing.
        """
        tensors, card = read_predictor(where, kind=KIND, format_version=FORMAT)
        return cls(
            table=tensors["element_table"].numpy(),
            prior=Ensemble.from_state(_part(tensors, "prior.")),
            ensemble=Ensemble.from_state(_part(tensors, "ensemble.")),
            chgnet=load_network(device=torch.device(device), dtype=torch.float32),
            card=card,
        )

    def save(self, path: Path) -> None:
        """Writes the model, atomically; CHGNet's weights stay in their own package."""
        tensors = {"element_table": torch.from_numpy(self.table)}
        tensors |= {f"prior.{k}": v for k, v in self.prior.state_dict().items()}
        tensors |= {f"ensemble.{k}": v for k, v in self.ensemble.state_dict().items()}
        save_predictor(path, tensors, {**self.card, "kind": KIND, "format": FORMAT})

    def predict(self, crystals: Sequence[Crystal]) -> list[BandGap | Failed]:
        """Band gap of each crystal; same order and length.

        A crystal fails if it holds an element CHGNet does not know, an atom without neighbours or
        overlapping atoms.
        """
        vectors = fingerprints(self.chgnet, crystals)
        results: dict[int, BandGap | Failed] = {}
        known: dict[int, NDArray[np.float32]] = {}
        for k, vector in enumerate(vectors):
            if isinstance(vector, Failed):
                results[k] = vector
            else:
                known[k] = vector
        if known:
            features = crystal_features(
                [crystals[k] for k in known], np.stack(list(known.values())), self.table, self.prior
            )
            results |= dict(zip(known, self.judge(features), strict=True))
        return [results[k] for k in range(len(crystals))]

    def values(self, crystals: Sequence[Crystal]) -> list[float | Failed]:
        """Band gap of each crystal, eV, without what :meth:`predict` says besides."""
        return [
            result if isinstance(result, Failed) else result.gap_ev
            for result in self.predict(crystals)
        ]

    def judge(self, features: Tensor) -> list[BandGap]:
        """Band gaps from features, shape ``(n, d)``, as :func:`crystal_features` makes them."""
        with torch.inference_mode():
            probabilities, sizes = hurdle(self.ensemble(features))
        likely = probabilities.mean(dim=0)
        gap = torch.where(likely >= 0.5, sizes.mean(dim=0), 0.0)
        rows = torch.stack([gap, (probabilities * sizes).std(dim=0), likely], dim=1).tolist()
        return [BandGap(*row) for row in rows]


def hurdle(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Splits a network's outputs, shape ``(..., 2)``.

    Returns:
        Probability of a gap, and its size in eV if there is one, each of shape ``(...)``.
    """
    return torch.sigmoid(outputs[..., 0]), functional.softplus(outputs[..., 1])


def crystal_features(
    crystals: Sequence[Crystal],
    vectors: NDArray[np.float32],
    table: NDArray[np.float32],
    prior: Ensemble,
) -> Tensor:
    """What the second ensemble sees.

    Args:
        crystals: Relaxed; their compositions and volumes are read.
        vectors: Their fingerprints, shape ``(n, FINGERPRINT_LENGTH)``.
        table: Properties of the elements.
        prior: The first ensemble.

    Returns:
        Shape ``(n, d)``: fingerprint, composition, the first ensemble's mean logit, size, gap and
        their spread, and the logarithm of the volume per atom.
    """
    compositions = torch.from_numpy(composition_features([c.counts for c in crystals], table))
    with torch.inference_mode():
        outputs = prior(compositions)
    probabilities, sizes = hurdle(outputs)
    products = probabilities * sizes
    said = torch.stack(
        [outputs[..., 0].mean(0), sizes.mean(0), products.mean(0), products.std(0)], dim=1
    )
    volumes = torch.tensor([[math.log(c.volume / len(c))] for c in crystals], dtype=torch.float32)
    return torch.cat([torch.from_numpy(vectors), compositions, said, volumes], dim=1)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
