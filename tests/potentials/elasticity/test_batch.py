"""Elastic tensors against closed forms, an independent implementation, and bad company."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from springs import Springs

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential
from ray_matdesign.potentials.elasticity import ElasticitySettings, ElasticTensor, elastic_tensors
from ray_matdesign.potentials.emt import EmtPotential
from ray_matdesign.potentials.mandel import SCALE
from ray_matdesign.potentials.protocol import Failed, SinglePoint

FINE = ElasticitySettings(strain=0.005, fmax_ev_per_ang=1e-4)


def tensor_of(outcome: ElasticTensor | Failed) -> ElasticTensor:
    assert isinstance(outcome, ElasticTensor), outcome
    return outcome


def low_symmetry(n_atoms: int, seed: int) -> Crystal:
    """Up to eight atoms, near the corners of cubes so that none overlap."""
    rng = np.random.default_rng(seed)
    lattice = 5.0 * np.eye(3) + rng.uniform(-0.5, 0.5, (3, 3))
    corners = np.array(list(np.ndindex(2, 2, 2)))[:n_atoms] / 2
    return Crystal(lattice, corners + rng.uniform(-0.1, 0.1, (n_atoms, 3)), [29] * n_atoms)


def fcc(length_ang: float, elements: Sequence[int] = (29, 29, 29, 29)) -> Crystal:
    coords = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Crystal(length_ang * np.eye(3), coords, elements)


def hcp(element: int, a: float, ratio: float = 1.63) -> Crystal:
    lattice = a * np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, ratio]])
    return Crystal(lattice, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [element] * 2)


@settings(deadline=None, max_examples=20)
@given(n_atoms=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_springs_have_the_stiffness_of_born_and_huang(n_atoms: int, seed: int) -> None:
    crystal = low_symmetry(n_atoms, seed)
    springs = Springs(crystal, seed)
    tight = ElasticitySettings(strain=0.01, fmax_ev_per_ang=1e-7, max_steps=200)
    (outcome,) = elastic_tensors(springs, [crystal], tight)
    expected = springs.stiffness_gpa / np.outer(SCALE, SCALE)
    np.testing.assert_allclose(tensor_of(outcome).stiffness_gpa, expected, atol=1e-3)


def test_copper_by_emt_from_the_curvature_of_its_energy(emt: EmtPotential) -> None:
    crystal = fcc(3.59)
    (outcome,) = elastic_tensors(emt, [crystal], FINE)

    def curvature(strain: np.ndarray) -> float:
        points = emt.evaluate(
            [
                crystal.with_cell(
                    crystal.lattice @ (np.eye(3) + sign * strain), crystal.frac_coords
                )
                for sign in (-1.0, 0.0, 1.0)
            ]
        )
        energies = [point.energy_ev_per_atom for point in points]  # type: ignore[union-attr]
        second = 4 * (energies[0] - 2 * energies[1] + energies[2])
        return second / crystal.volume * 160.21766208

    size = 0.005
    shear = np.zeros((3, 3))
    shear[1, 2] = shear[2, 1] = size
    tensor = tensor_of(outcome)
    assert tensor.stiffness_gpa[3, 3] == pytest.approx(curvature(shear) / (2 * size) ** 2, rel=0.01)
    tetragonal = size * np.diag([1.0, -1.0, 0.0])
    difference = tensor.stiffness_gpa[0, 0] - tensor.stiffness_gpa[0, 1]
    assert difference == pytest.approx(curvature(tetragonal) / (2 * size**2), rel=0.01)
    # EMT was fitted to copper's constants: Jacobsen et al. give 0.88 and 0.59 Mbar.
    assert tensor.bulk_modulus_gpa == pytest.approx(134.0, rel=0.02)


def one_by_one(crystal: Crystal, strain: float) -> np.ndarray:
    """Stiffness by ASE and pymatgen, every strain on its own, no symmetry, GPa."""
    from ase.calculators.emt import EMT
    from ase.optimize import BFGS
    from pymatgen.analysis.elasticity import ElasticTensor as PymatgenTensor
    from pymatgen.analysis.elasticity import Strain, Stress

    from ray_matdesign.crystals.convert import to_ase

    strains, stresses = [], []
    for component in range(6):
        for sign in (-1.0, 1.0):
            voigt = np.zeros(6)
            voigt[component] = sign * strain
            matrix = np.array(Strain.from_voigt(voigt))
            atoms = to_ase(crystal)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + matrix), scale_atoms=True)
            atoms.calc = EMT()
            BFGS(atoms, logfile=None).run(fmax=1e-4)
            strains.append(Strain(matrix))
            stresses.append(Stress(atoms.get_stress(voigt=False)))
    # A point at the origin leaves the slope between opposite strains as it is.
    fitted = PymatgenTensor.from_independent_strains(strains, stresses, eq_stress=np.zeros((3, 3)))
    return np.array(fitted.voigt) * 160.21766208


@pytest.mark.parametrize(
    "crystal",
    [
        hcp(29, 2.54),
        fcc(3.75, [29, 29, 29, 79]).with_cell(
            np.diag([3.76, 3.70, 3.73]),
            fcc(3.75).frac_coords + [[0.02, 0, 0]] + np.eye(4, 3) * 0.01,
        ),
    ],
    ids=["hcp copper", "distorted Cu3Au"],
)
def test_agrees_with_ase_and_pymatgen(emt: EmtPotential, crystal: Crystal) -> None:
    from ray_matdesign.potentials.relaxation import BatchRelaxer

    (relaxed,) = BatchRelaxer(emt).relax([crystal], fmax_ev_per_ang=0.002, max_steps=1000)
    assert not isinstance(relaxed, Failed)
    (outcome,) = elastic_tensors(emt, [relaxed.crystal], FINE)
    expected = one_by_one(relaxed.crystal, 0.005)
    np.testing.assert_allclose(
        tensor_of(outcome).stiffness_gpa, 0.5 * (expected + expected.T), atol=1.0
    )


def test_symmetry_changes_nothing_but_the_cost(emt: EmtPotential) -> None:
    crystals = [fcc(3.61), hcp(29, 2.54)]
    every = ElasticitySettings(strain=0.005, fmax_ev_per_ang=1e-4, symprec_ang=0.0)
    for few, many in zip(
        elastic_tensors(emt, crystals, FINE), elastic_tensors(emt, crystals, every), strict=True
    ):
        np.testing.assert_allclose(
            tensor_of(few).stiffness_gpa, tensor_of(many).stiffness_gpa, atol=0.5
        )


def test_a_stress_left_over_does_not_bias(emt: EmtPotential) -> None:
    springs = Springs(low_symmetry(3, seed=4), seed=4)
    springs.stress = springs.stress + 0.2
    (outcome,) = elastic_tensors(
        springs, [springs.crystal], ElasticitySettings(fmax_ev_per_ang=1e-6, max_steps=200)
    )
    expected = springs.stiffness_gpa / np.outer(SCALE, SCALE)
    np.testing.assert_allclose(tensor_of(outcome).stiffness_gpa, expected, atol=1e-3)


def test_bad_crystals_fail_alone_and_by_name(emt: EmtPotential) -> None:
    bcc = Crystal(
        2.88 * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]), [[0, 0, 0]], [29]
    )
    noble = Crystal(4.0 * np.eye(3), [[0, 0, 0]], [18])
    overlapping = Crystal(4.0 * np.eye(3), [[0, 0, 0], [0.02, 0, 0]], [29, 29])
    good = fcc(3.61)
    alone = tensor_of(elastic_tensors(emt, [good])[0])
    for in_flight in (1, 10_000):
        outcomes = elastic_tensors(
            emt, [noble, good, bcc, overlapping, good], atoms_in_flight=in_flight
        )
        for outcome in (outcomes[1], outcomes[4]):
            np.testing.assert_allclose(tensor_of(outcome).stiffness_gpa, alone.stiffness_gpa)
        reasons = [outcomes[k].reason for k in (0, 2, 3)]  # type: ignore[union-attr]
        assert reasons[0] == "a strained copy failed: unknown element: Ar"
        assert reasons[1].startswith("mechanically unstable: the smallest eigenvalue")
        assert reasons[2] == "two atoms 0.08 Angstrom apart"
    assert elastic_tensors(emt, []) == []


def test_ions_that_do_not_come_to_rest_are_a_failure() -> None:
    springs = Springs(low_symmetry(4, seed=2), seed=2)
    hurried = ElasticitySettings(fmax_ev_per_ang=1e-9, max_steps=2)
    (outcome,) = elastic_tensors(springs, [springs.crystal], hurried)
    assert isinstance(outcome, Failed)
    assert "did not come to rest in 2 steps" in outcome.reason
    assert springs.evaluations == 3 * 12


def test_a_crystal_that_breaks_on_the_way_is_a_failure(emt: EmtPotential) -> None:
    class Breaking(Springs):
        def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
            points = super().evaluate(crystals)
            return points if self.evaluations <= 12 else [Failed("broken"), *points[1:]]

    potential = Breaking(low_symmetry(2, seed=3), seed=3)
    (outcome,) = elastic_tensors(potential, [potential.crystal])
    assert outcome == Failed("a strained copy failed: broken")


def test_numbers_that_are_not_finite_are_a_failure() -> None:
    class Exploding(Springs):
        def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
            points = super().evaluate(crystals)
            points[-1].forces_ev_per_ang[0] = np.nan  # type: ignore[union-attr]
            return points

    potential = Exploding(low_symmetry(2, seed=3), seed=3)
    (outcome,) = elastic_tensors(potential, [potential.crystal])
    assert outcome == Failed("a strained copy failed: energy, forces or stress are not finite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strain": 0.0}, "strain must lie"),
        ({"strain": 0.5}, "strain must lie"),
        ({"fmax_ev_per_ang": 0.0}, "fmax_ev_per_ang must be positive"),
        ({"max_steps": -1}, "max_steps must not be negative"),
        ({"symprec_ang": -0.1}, "symprec_ang must not be negative"),
    ],
)
def test_settings_are_checked(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ElasticitySettings(**options)  # type: ignore[arg-type]


def test_diamond_by_chgnet_is_the_same_without_symmetry(chgnet: ChgnetPotential) -> None:
    lattice = 3.57 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    diamond = Crystal(lattice, [[0, 0, 0], [0.25, 0.25, 0.25]], [6, 6])
    (few,) = elastic_tensors(chgnet, [diamond])
    (many,) = elastic_tensors(chgnet, [diamond], ElasticitySettings(symprec_ang=0.0))
    np.testing.assert_allclose(
        tensor_of(few).stiffness_gpa, tensor_of(many).stiffness_gpa, atol=0.01 * 1079
    )
    # 443 GPa measured (McSkimin and Andreatch, J. Appl. Phys. 43, 2944 (1972)).
    assert tensor_of(few).bulk_modulus_gpa == pytest.approx(443.0, rel=0.06)
