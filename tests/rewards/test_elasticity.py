"""Moduli as scorers: one tensor for all of them, and failures by name."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.elasticity import ElasticitySettings, ElasticTensor, elastic_tensors
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.protocol import Failed, SinglePoint
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers.elasticity import (
    bulk_modulus,
    chen_hardness_gpa,
    pugh_ratio,
    shear_modulus,
    vickers_hardness,
    youngs_modulus,
)

FACTORIES = (bulk_modulus, shear_modulus, youngs_modulus, pugh_ratio)


class CountingEmt(EmtPotential):
    """EMT that knows how much it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.evaluated = 0

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        self.evaluated += len(crystals)
        return super().evaluate(crystals)


def bench() -> Bench:
    return Bench(CountingEmt(), None)  # type: ignore[arg-type]


def specimen(element: int, length_ang: float) -> Specimen:
    lattice = 0.5 * length_ang * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return Specimen(Crystal(lattice, [[0, 0, 0]], [element]), -3.0, 0.0, 0.0)


COPPER, GOLD = specimen(29, 3.59), specimen(79, 4.06)


def test_moduli_are_those_of_the_tensor() -> None:
    instruments = bench()
    (tensor,) = elastic_tensors(instruments.potential, [COPPER.crystal])
    assert isinstance(tensor, ElasticTensor)
    found = {s.name: s.score([COPPER])[0] for s in (make(instruments) for make in FACTORIES)}
    assert found == pytest.approx(
        {
            "bulk_modulus": tensor.bulk_modulus_gpa,
            "shear_modulus": tensor.shear_modulus_gpa,
            "youngs_modulus": tensor.youngs_modulus_gpa,
            "pugh_ratio": tensor.bulk_modulus_gpa / tensor.shear_modulus_gpa,
        }
    )


def test_scorers_of_one_bench_share_their_tensors() -> None:
    instruments = bench()
    scorers = [make(instruments) for make in FACTORIES]
    scorers[0].score([COPPER])
    once = instruments.potential.evaluated
    assert once > 0
    for scorer in scorers:
        scorer.score([COPPER])
    assert instruments.potential.evaluated == once
    # A filter before the second scorer may leave it another batch; twins count once.
    scorers[1].score([GOLD, COPPER, GOLD])
    assert instruments.potential.evaluated == 2 * once


def test_other_options_are_other_tensors() -> None:
    instruments = bench()
    bulk_modulus(instruments).score([COPPER])
    once = instruments.potential.evaluated
    bulk_modulus(instruments, strain=0.01).score([COPPER])
    assert instruments.potential.evaluated == 2 * once


def test_tensors_go_with_their_bench() -> None:
    instruments = bench()
    scorer = bulk_modulus(instruments)
    scorer.score([COPPER])
    gone = weakref.ref(instruments.potential)
    del instruments, scorer
    gc.collect()
    assert gone() is None


def test_failures_are_values_in_place() -> None:
    argon = specimen(18, 5.3)
    found = shear_modulus(bench()).score([argon, COPPER])
    assert found[0] == Failed("a strained copy failed: unknown element: Ar")
    assert isinstance(found[1], float)
    assert shear_modulus(bench()).score([]) == []


def test_scorers_say_what_their_numbers_are() -> None:
    for make, unit in zip(FACTORIES, ("GPa", "GPa", "GPa", ""), strict=True):
        scorer = make(bench())
        assert scorer.name == make.__name__
        assert scorer.unit == unit
        assert scorer.cost is CostClass.MLIP
        assert scorer.version
        assert "emt" in scorer.source


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="strian"):
        bulk_modulus(bench(), strian=0.01)
    with pytest.raises(ValueError, match="strain must lie"):
        bulk_modulus(bench(), strain=1.0)
    assert bulk_modulus(bench(), symprec_ang=0.0)._settings == ElasticitySettings(symprec_ang=0.0)


# Measured moduli and Vickers hardness, GPa: K and G of diamond (McSkimin and Andreatch, J. Appl.
# Phys. 43, 2944 (1972)), c-BN (Grimsditch et al., J. Appl. Phys. 76, 832 (1994)) and Si (Hall,
# Phys. Rev. 161, 756 (1967)), as Hill's averages; hardness is what indenters find, 96, 66 and 12.
MEASURED = {"diamond": (442.0, 535.0, 96.0), "c-BN": (400.0, 409.0, 66.0), "Si": (97.9, 66.6, 12.0)}


@pytest.mark.parametrize("name", MEASURED)
def test_hardness_from_measured_moduli_is_the_measured_one(name: str) -> None:
    bulk, shear, hardness = MEASURED[name]
    assert chen_hardness_gpa(bulk, shear) == pytest.approx(hardness, rel=0.05)


def test_hardness_is_chens_formula() -> None:
    # k = 1: the power of the shear modulus alone. 100^0.585 = 10^1.17 = 14.791.
    assert chen_hardness_gpa(100.0, 100.0) == pytest.approx(2 * 14.7911 - 3, abs=1e-3)
    # Lead is too soft for the model, which puts it at -2.5.
    assert chen_hardness_gpa(46.0, 5.6) == 0.0


def test_hardness_shares_the_tensor_and_follows_from_it() -> None:
    instruments = bench()
    (bulk,), (shear,) = (make(instruments).score([COPPER]) for make in FACTORIES[:2])
    once = instruments.potential.evaluated
    (hardness,) = vickers_hardness(instruments).score([COPPER])
    assert instruments.potential.evaluated == once
    assert isinstance(bulk, float)
    assert isinstance(shear, float)
    assert hardness == chen_hardness_gpa(bulk, shear)


def test_hardness_beyond_the_model_is_a_failure() -> None:
    # Isotropic: c11 = K + 4G/3, c12 = K - 2G/3, c44 = G, with G = 4 K.
    bulk, shear = 11.0, 44.0
    stiffness = np.full((3, 3), bulk - 2 * shear / 3) + 2 * shear * np.eye(3)
    none = np.zeros((3, 3))
    tensor = ElasticTensor(np.block([[stiffness, none], [none, shear * np.eye(3)]]))
    instruments = bench()
    instruments.notebook.look_up(
        ("elastic tensor", ElasticitySettings()), [COPPER.crystal], lambda some: [tensor]
    )
    (found,) = vickers_hardness(instruments).score([COPPER])
    assert found == Failed("hardness is not modelled for G/K = 4.00, above 1.5")
