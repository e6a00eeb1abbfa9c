"""Figure of merit of a gate dielectric."""

from __future__ import annotations

from collections.abc import Sequence

from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Scorer, Specimen
from ray_matdesign.rewards.scorers import band_gap, dielectric


class FigureOfMerit:
    """Band gap times dielectric constant, eV: how little a gate oxide of given capacitance leaks.

    Defined by Yim et al., NPG Asia Mater. 7, e190 (2015). Both factors are those of the scorers
    ``band_gap`` and ``dielectric``, so it is an estimate as the latter is. Beside them in one
    objective it costs nothing: gaps and phonons are shared through the bench's notebook.
    """

    name = "figure_of_merit"
    unit = "eV"
    cost = CostClass.MLIP
    version = "1"

    def __init__(self, gap: Scorer, constant: Scorer) -> None:
        self.source = f"estimate: gap ({gap.source}) times dielectric constant ({constant.source})"
        self._gap = gap
        self._constant = constant

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Figure of merit of each specimen, eV."""
        gaps = self._gap.score(specimens)
        constants = self._constant.score(specimens)
        return [_product(*pair) for pair in zip(gaps, constants, strict=True)]


def _product(gap_ev: float | Failed, constant: float | Failed) -> float | Failed:
    if isinstance(constant, Failed):
        return constant
    return gap_ev if isinstance(gap_ev, Failed) else gap_ev * constant


def make(
    bench: Bench, metallic_below_ev: float = 0.1, softest_thz: float = 0.5, caution: float = 0.0
) -> FigureOfMerit:
    """Builds the scorer.

    Args:
        bench: Gives the potential.
        metallic_below_ev: As for ``dielectric``.
        softest_thz: As for ``dielectric``.
        caution: As for ``band_gap``, of the gap that is multiplied.

    Raises:
        ValueError: A number out of range.
    """
    return FigureOfMerit(
        band_gap.make(bench, caution=caution),
        dielectric.make(bench, metallic_below_ev, softest_thz),
    )
