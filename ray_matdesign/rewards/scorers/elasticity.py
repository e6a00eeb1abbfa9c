"""Bulk, shear and Young's modulus and Pugh's ratio from one elastic tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ray_matdesign.potentials.elasticity import ElasticitySettings, ElasticTensor, elastic_tensors
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen


class Modulus:
    """One number of the elastic tensor, Hill's average where there is one.

    Strained copies of a crystal, with their ions at rest, give the tensor
    (:func:`ray_matdesign.potentials.elasticity.elastic_tensors`). Scorers on one bench and with one
    choice of options compute it once between them. A mechanically unstable crystal fails.

    Against the measured moduli of 33 well-known crystals, CHGNet 0.3.0 orders bulk moduli well
    (Spearman 0.98, mean absolute error 24 GPa), shear moduli (0.86) and Young's moduli (0.87) less
    so, and Pugh's ratios poorly (0.70): it makes most crystals about half as stiff in shear as they
    are, and some unstable that are not.

    Attributes:
        name: Key in configurations.
        unit: ``GPa``, or empty.
        source: The potential and the way.
        cost: That of an interatomic potential.
        version: Raised when numbers change.
    """

    cost = CostClass.MLIP
    version = "1"

    def __init__(
        self,
        name: str,
        unit: str,
        number: Callable[[ElasticTensor], float],
        bench: Bench,
        settings: ElasticitySettings,
    ) -> None:
        self.name = name
        self.unit = unit
        self.source = f"elastic tensor from stresses of {bench.potential.name}, Hill average"
        self._number = number
        self._bench = bench
        self._settings = settings

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """The number for each specimen; same order and length."""
        outcomes = self._bench.notebook.look_up(
            ("elastic tensor", self._settings),
            [specimen.crystal for specimen in specimens],
            partial(elastic_tensors, self._bench.potential, settings=self._settings),
        )
        return [
            outcome if isinstance(outcome, Failed) else self._number(outcome)
            for outcome in outcomes
        ]


def bulk_modulus(bench: Bench, **options: Any) -> Modulus:
    """Builds the scorer of K, GPa.

    Args:
        bench: Gives the potential.
        **options: Fields of :class:`ElasticitySettings`; the same for every scorer of an objective,
            or tensors are computed more than once.

    Raises:
        TypeError: An option that is no such field.
        ValueError: An option outside its range.
    """
    return _modulus("bulk_modulus", "GPa", lambda tensor: tensor.bulk_modulus_gpa, bench, options)


def shear_modulus(bench: Bench, **options: Any) -> Modulus:
    """Builds the scorer of G, GPa; see :func:`bulk_modulus`."""
    return _modulus("shear_modulus", "GPa", lambda tensor: tensor.shear_modulus_gpa, bench, options)


def youngs_modulus(bench: Bench, **options: Any) -> Modulus:
    """Builds the scorer of E = 9KG / (3K + G), GPa; see :func:`bulk_modulus`."""
    return _modulus(
        "youngs_modulus", "GPa", lambda tensor: tensor.youngs_modulus_gpa, bench, options
    )


def pugh_ratio(bench: Bench, **options: Any) -> Modulus:
    """Builds the scorer of K / G; see :func:`bulk_modulus`."""
    return _modulus("pugh_ratio", "", lambda tensor: tensor.pugh_ratio, bench, options)


def _modulus(
    name: str,
    unit: str,
    number: Callable[[ElasticTensor], float],
    bench: Bench,
    options: Mapping[str, Any],
) -> Modulus:
    return Modulus(name, unit, number, bench, ElasticitySettings(**options))
