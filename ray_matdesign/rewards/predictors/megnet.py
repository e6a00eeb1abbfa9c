"""The multi-fidelity MEGNet band gap (Chen et al., Nat. Comput. Sci. 1, 46 (2021)), by matgl."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.artifact import PredictorError

MODEL = "MEGNet-MP-2019.4.1-BandGap-mfi"
MATGL = "2.0.4"
"""The release that reads these weights right; 4.1 loads them and predicts nonsense."""
FILES = ("model.json", "model.pt", "state.pt")
PBE = 0
"""Of the fidelities PBE, GLLB-SC, HSE and SCAN."""


class MegnetBandGap:
    """MEGNet's PBE band gaps.

    Args:
        weights: Folder with the three files of the model, or its name, to let matgl download it.

    Raises:
        PredictorError: matgl is missing or of another release, or the folder lacks a file.
    """

    def __init__(self, weights: str = MODEL) -> None:
        check_release()
        if weights != MODEL:
            missing = [name for name in FILES if not (Path(weights) / name).is_file()]
            if missing:
                raise PredictorError(f"megnet: no {', '.join(missing)} in {weights}")
        # matgl decides on import which graph library to use.
        os.environ.setdefault("MATGL_BACKEND", "DGL")
        import matgl

        self._model = matgl.load_model(weights)

    def values(self, crystals: Sequence[Crystal]) -> list[float | Failed]:
        """Band gap of each crystal, eV; same order and length."""
        return [self._value(crystal) for crystal in crystals]

    def _value(self, crystal: Crystal) -> float | Failed:
        import torch

        unknown = sorted(
            {site.specie.symbol for site in to_pymatgen(crystal)} - set(self._model.element_types)
        )
        if unknown:
            return Failed(f"unknown element: {', '.join(unknown)}")
        gap = self._model.predict_structure(to_pymatgen(crystal), torch.tensor([PBE]))
        return max(float(gap), 0.0)


def check_release() -> None:
    """Refuses every release of matgl but the one that loads the weights right.

    Raises:
        PredictorError: matgl is missing, or another release.
    """
    try:
        found = version("matgl")
    except PackageNotFoundError:
        raise PredictorError(f"megnet: the package 'matgl' is not installed: {MATGL}") from None
    if found != MATGL:
        raise PredictorError(
            f"megnet: matgl {found} would load these weights wrong without saying so: "
            f"install matgl=={MATGL}"
        )
