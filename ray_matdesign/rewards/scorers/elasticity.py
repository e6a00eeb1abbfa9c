"""Moduli, Pugh's ratio and hardness from one elastic tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ray_matdesign.potentials.elasticity import ElasticitySettings, ElasticTensor, elastic_tensors
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen

HARDEST_PUGH = 1.5
"""G/K from which on Poisson's ratio would be negative. Diamond has 1.2."""


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
        number: Callable[[ElasticTensor], float | Failed],
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


def vickers_hardness(bench: Bench, **options: Any) -> Modulus:
    """Builds the scorer of Vickers hardness by Chen's model, GPa.

    See :func:`bulk_modulus` and :func:`chen_hardness_gpa`. A crystal with G/K beyond
    :data:`HARDEST_PUGH` fails: the model would call it hard, and stresses that say so are mostly
    those of a potential astray (CHGNet finds 83 GPa for zinc blende SiN, which is soft).
    """
    return _modulus("vickers_hardness", "GPa", _hardness, bench, options)


def chen_hardness_gpa(bulk_gpa: float, shear_gpa: float) -> float:
    """Vickers hardness from moduli: ``2 (k^2 G)^0.585 - 3`` with ``k = G / K``, at least 0.

    Chen, Niu, Li and Li, Intermetallics 19, 1275 (2011). The offset of -3 carries soft metals below
    zero (lead, with K = 46 and G = 5.6, to -2.5), which no hardness can be: they count as 0.

    Args:
        bulk_gpa: K, GPa, positive.
        shear_gpa: G, GPa, positive.
    """
    pugh = shear_gpa / bulk_gpa
    return max(0.0, 2.0 * math.pow(pugh * pugh * shear_gpa, 0.585) - 3.0)


def _hardness(tensor: ElasticTensor) -> float | Failed:
    bulk, shear = tensor.bulk_modulus_gpa, tensor.shear_modulus_gpa
    if shear > HARDEST_PUGH * bulk:
        return Failed(
            f"hardness is not modelled for G/K = {shear / bulk:.2f}, above {HARDEST_PUGH:g}"
        )
    return chen_hardness_gpa(bulk, shear)


def _modulus(
    name: str,
    unit: str,
    number: Callable[[ElasticTensor], float | Failed],
    bench: Bench,
    options: Mapping[str, Any],
) -> Modulus:
    return Modulus(name, unit, number, bench, ElasticitySettings(**options))
