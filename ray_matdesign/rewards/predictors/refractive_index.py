"""Refractive index of an insulator from its composition.

An ensemble of small networks on composition features, trained on the refractive indices that the
Materials Project calculated (Petousis et al., Sci. Data 4, 160134 (2017)), as the ``dielectric``
table of matbench gives them. What it learns is ``(n^2 - 1) / (n^2 + 2)``, which by Clausius and
Mossotti is a density of polarizabilities: it is nearly additive over the atoms, lies between 0 and
1, and keeps near-metals with indices of 10 and more from outweighing everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ray_matdesign.rewards.predictors.artifact import PACKAGED, read_predictor
from ray_matdesign.rewards.predictors.composition import composition_features
from ray_matdesign.rewards.predictors.ensemble import Ensemble

LARGEST_INDEX = 6.0
"""Predictions end here: indices beyond are those of crystals at the brink of being metals."""
KIND, FORMAT = "refractive_index", 1
"""Of the predictor's file."""


class RefractiveIndex:
    """The trained ensemble with the element properties it was trained on.

    Args:
        ensemble: From composition features to ``(n^2 - 1) / (n^2 + 2)``.
        table: Element properties, shape ``(HEAVIEST + 1, n_properties)``.
    """

    def __init__(self, ensemble: Ensemble, table: NDArray[np.float32]) -> None:
        self._ensemble = ensemble
        self._table = table

    def predict(self, compositions: Sequence[Mapping[int, int]]) -> NDArray[np.float64]:
        """Refractive indices at long wavelengths, averaged over directions.

        Args:
            compositions: Atoms of each element by atomic number, none above :data:`HEAVIEST`.

        Returns:
            Shape ``(n,)``, between 1 and :data:`LARGEST_INDEX`.
        """
        if not compositions:
            return np.zeros(0)
        features = torch.from_numpy(composition_features(compositions, self._table))
        with torch.no_grad():
            found = self._ensemble(features).mean(dim=0)[:, 0].numpy()
        return index_of(np.clip(found, 0.0, clausius_mossotti(LARGEST_INDEX)))


def clausius_mossotti(index: ArrayLike) -> NDArray[np.float64]:
    """``(n^2 - 1) / (n^2 + 2)`` of a refractive index."""
    square = np.square(np.asarray(index, dtype=np.float64))
    return np.asarray((square - 1.0) / (square + 2.0))


def index_of(fraction: ArrayLike) -> NDArray[np.float64]:
    """The refractive index with this :func:`clausius_mossotti`, below 1."""
    share = np.asarray(fraction, dtype=np.float64)
    return np.asarray(np.sqrt((1.0 + 2.0 * share) / (1.0 - share)))


def load_packaged() -> RefractiveIndex:
    """Reads the weights that ship with the package.

    Raises:
        PredictorError: The installation lacks them, or they are damaged.
    """
    tensors, card = read_predictor(PACKAGED, kind=KIND, format_version=FORMAT)
    table = tensors.pop("element_table").numpy()
    ensemble = Ensemble(card["members"], card["widths"])
    ensemble.load_state_dict(tensors)
    return RefractiveIndex(ensemble.eval(), table)
