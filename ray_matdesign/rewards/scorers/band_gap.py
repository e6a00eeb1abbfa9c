"""Band gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.notebook import Notebook
from ray_matdesign.rewards.predictors.alignn import AlignnModel
from ray_matdesign.rewards.predictors.artifact import PACKAGED
from ray_matdesign.rewards.predictors.band_gap import BandGapModel
from ray_matdesign.rewards.predictors.megnet import MODEL, MegnetBandGap
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen

SOURCES = {
    "packaged": "ensemble on CHGNet's features, trained on PBE and PBE+U band gaps",
    "megnet": "MEGNet 2019.4.1 multi-fidelity, PBE",
    "alignn": "ALIGNN mp_gappbe_alignn, PBE",
}
"""Where the numbers come from, by the name of the model."""


class GapModel(Protocol):
    """Predicts band gaps."""

    def values(self, crystals: Sequence[Crystal]) -> list[float | Failed]:
        """Band gap of each crystal, eV; same order and length."""
        ...


class CautiousGaps:
    """The packaged ensemble's gaps, less some of the spread of its networks.

    Scorers on one bench that ask the same weights have each crystal described once, whatever their
    caution.

    Args:
        where: The weights' file, or ``packaged``.
        caution: Spreads taken off a gap; it stays zero or more.
        notebook: Of the bench.

    Raises:
        PredictorError: The weights are missing or damaged.
    """

    def __init__(self, where: str, caution: float, notebook: Notebook) -> None:
        self._model = BandGapModel.load(where)
        self._where = where
        self._caution = caution
        self._notebook = notebook

    def values(self, crystals: Sequence[Crystal]) -> list[float | Failed]:
        """Band gap of each crystal, eV; same order and length."""
        found = self._notebook.look_up(("band gap", self._where), crystals, self._model.predict)
        return [
            gap if isinstance(gap, Failed) else max(0.0, gap.gap_ev - self._caution * gap.spread_ev)
            for gap in found
        ]


class BandGap:
    """Predicted Kohn-Sham band gap, eV: PBE's, or PBE+U's where the Materials Project uses it.

    PBE gaps of semiconductors and insulators are smaller than measured ones, by a third to a half;
    some narrow-gap semiconductors are metals. A target of 3 eV here is about 4.5 eV measured.

    Args:
        model: Predicts.
        source: Where the numbers come from.
    """

    name = "band_gap"
    unit = "eV"
    cost = CostClass.MLIP
    version = "1"

    def __init__(self, model: GapModel, source: str) -> None:
        self.source = source
        self._model = model

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Band gap of each specimen, eV."""
        return self._model.values([specimen.crystal for specimen in specimens])


def make(bench: Bench, model: str = "packaged", weights: str = "", caution: float = 0.0) -> BandGap:
    """Builds the scorer.

    Args:
        bench: Gives the notebook; not the potential, as the packaged model reads CHGNet's features
            whatever the potential.
        model: ``packaged``, ``megnet`` (needs ``matgl``) or ``alignn`` (needs ``alignn``).
        weights: Of ``packaged``, a file that ``python -m
            ray_matdesign.rewards.predictors.train_band_gap`` wrote; of the others, a folder.
            Empty for the packaged file, or for the other packages' downloads.
        caution: Of ``packaged`` alone: how many standard deviations of its networks are taken off
            each gap, so that a search for wide gaps finds no crystals the networks disagree on.

    Raises:
        ValueError: An unknown model; a caution that is negative, or of a model without a spread.
        PredictorError: The model's package or weights are missing, or of a release that is wrong.
    """
    if not caution >= 0.0:
        raise ValueError(f"band_gap: caution must not be negative, got {caution}")
    if model == "packaged":
        less = f", less {caution:g} times their spread" if caution else ""
        gaps = CautiousGaps(weights or PACKAGED, caution, bench.notebook)
        return BandGap(gaps, SOURCES[model] + less)
    if caution and model in SOURCES:
        raise ValueError(f"band_gap: caution needs the packaged model, {model} gives no spread")
    if model == "megnet":
        return BandGap(MegnetBandGap(weights or MODEL), SOURCES[model])
    if model == "alignn":
        return BandGap(AlignnModel("mp_gappbe_alignn", weights), SOURCES[model])
    raise ValueError(f"band_gap: model must be {', '.join(SOURCES)}, got {model!r}")
