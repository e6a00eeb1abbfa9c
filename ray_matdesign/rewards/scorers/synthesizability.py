"""Synthesizability, from the composition."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.artifact import PACKAGED
from ray_matdesign.rewards.predictors.composition import too_heavy
from ray_matdesign.rewards.predictors.synthesizability import SynthesizabilityModel
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class Synthesizability:
    """How much a composition resembles compounds known from experiment, 0 to 1.

    It is the mean vote of classifiers, not a probability of success, and knows nothing of the
    structure: all polymorphs of a compound score alike. What it is worth on formulas held back is
    in its model card, ``rewards/predictors/weights/synthesizability.md``.

    Args:
        model: The trained classifiers.
    """

    name = "synthesizability"
    unit = ""
    source = "positive-unlabelled classifiers on compositions, trained on compounds of the ICSD"
    cost = CostClass.CHEAP
    version = "1"

    def __init__(self, model: SynthesizabilityModel) -> None:
        self._model = model

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Mean vote for each specimen."""
        compositions = [specimen.crystal.counts for specimen in specimens]
        failures = [too_heavy(counts) for counts in compositions]
        known = [c for c, failure in zip(compositions, failures, strict=True) if failure is None]
        votes = iter(self._model.votes(known).mean(axis=0).tolist())
        return [next(votes) if failure is None else failure for failure in failures]


def make(bench: Bench, weights: str = PACKAGED) -> Synthesizability:
    """Builds the scorer.

    Args:
        bench: Not used.
        weights: A file written by ``python -m
            ray_matdesign.rewards.predictors.train_synthesizability``, or ``packaged``.

    Raises:
        PredictorError: The weights are missing or damaged.
    """
    return Synthesizability(SynthesizabilityModel.load(weights))
