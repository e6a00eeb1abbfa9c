"""A model of properties, learnt while a campaign runs from the evaluations it paid for.

It models each property, not the reward: rewards may rise and fall with a property, and several
properties may enter one. What is drawn from the model is turned into rewards exactly as evaluated
properties are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.rl.gaussian_process import GaussianProcess, fit_process

Floats = NDArray[np.float64]

_EDGE = 0.05
"""Share of the values, and at least :data:`_EDGE_COUNT`, that makes an extreme value a bound."""
_EDGE_COUNT = 3


@dataclass(frozen=True)
class NormalScores:
    """A map between a property's values and a normal distribution's, by rank.

    Outliers become the outermost of many; skewed properties become symmetric. Values in between are
    interpolated; beyond the outermost the map goes on with the slope from the quartile to there.
    An extreme that many values share, such as a gap of zero, is taken for a bound instead.

    Attributes:
        values: Distinct values, ascending, shape ``(k,)``.
        scores: Their scores, shape ``(k,)``, with zero mean and unit variance over the labels.
        slopes: Property per score below the least and above the greatest value.
    """

    values: Floats
    scores: Floats
    slopes: tuple[float, float]

    @classmethod
    def of(cls, labels: Floats) -> NormalScores:
        """The map that labels, shape ``(n,)`` and finite, define."""
        from scipy.special import ndtri
        from scipy.stats import rankdata

        n = len(labels)
        scores = ndtri((rankdata(labels) - 0.5) / n)
        scores -= scores.mean()
        scores /= scores.std() or 1.0
        values, first, counts = np.unique(labels, return_index=True, return_counts=True)
        bound = max(_EDGE * n, _EDGE_COUNT)
        slopes = [
            0.0 if count >= bound else _slope(labels, scores, quartile, extreme)
            for count, quartile, extreme in ((counts[0], 0.25, 0.0), (counts[-1], 0.75, 1.0))
        ]
        return cls(values, scores[first], (slopes[0], slopes[1]))

    def score(self, values: Floats) -> Floats:
        """Scores of values within the range of the labels."""
        return np.interp(values, self.values, self.scores)

    def value(self, scores: Floats) -> Floats:
        """Values of scores, of any shape."""
        below = np.minimum(scores - self.scores[0], 0.0) * self.slopes[0]
        above = np.maximum(scores - self.scores[-1], 0.0) * self.slopes[1]
        return np.asarray(np.interp(scores, self.scores, self.values) + below + above)


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process for each property.

    Attributes:
        scales: Of each property.
        processes: Of each property's scores.
    """

    scales: tuple[NormalScores, ...]
    processes: tuple[GaussianProcess, ...]

    def draw(self, descriptors: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
        """Draws what evaluations might find, jointly for all crystals.

        Args:
            descriptors: Shape ``(m, d)``.
            n_draws: Draws from the predictive distribution.
            rng: Consumed.

        Returns:
            Properties, shape ``(n_draws, m, n_properties)``; the properties of a crystal are drawn
            independently of each other.
        """
        columns = []
        for scale, process in zip(self.scales, self.processes, strict=True):
            mean, covariance = process.predict(descriptors)
            factor = np.linalg.cholesky(covariance)
            scores = mean + rng.standard_normal((n_draws, len(mean))) @ factor.T
            columns.append(scale.value(scores))
        return np.stack(columns, axis=2)


def fit_surrogate(
    descriptors: Floats,
    values: Floats,
    blocks: Sequence[slice],
    *,
    least_labels: int,
    most_labels: int,
) -> Surrogate | None:
    """Learns properties from evaluated crystals.

    The outcome depends on the arguments alone: nothing is drawn.

    Args:
        descriptors: Shape ``(n, d)``, in the order of the evaluations.
        values: Shape ``(n, n_properties)``; NaN where an evaluation gave no value, which is then
            left out for that property, and for no other.
        blocks: Columns of the descriptors that are on one scale.
        least_labels: Values of every property needed.
        most_labels: Values of each property learnt from, the latest.

    Returns:
        ``None`` while any property has fewer values than needed.
    """
    scales: list[NormalScores] = []
    processes: list[GaussianProcess] = []
    for column in values.T:
        known = np.flatnonzero(np.isfinite(column))[-most_labels:]
        if len(known) < least_labels:
            return None
        labels = column[known]
        scale = NormalScores.of(labels)
        scales.append(scale)
        processes.append(fit_process(descriptors[known], scale.score(labels), blocks))
    return Surrogate(tuple(scales), tuple(processes))


def _slope(labels: Floats, scores: Floats, quartile: float, extreme: float) -> float:
    """Property per score between a quartile and the extreme beyond it."""
    inner, outer = np.quantile(labels, (quartile, extreme))
    from_score, to_score = np.quantile(scores, (quartile, extreme))
    spread = to_score - from_score
    return float((outer - inner) / spread) if spread else 0.0
