"""Guessed volumes against pymatgen's own prediction, crystal by crystal."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.prototypes import Prototype, prototypes
from ray_matdesign.crystals.volumes import guessed_volumes, site_distances

ELEMENTS = np.array([1, 3, 6, 8, 11, 14, 16, 22, 26, 35, 47, 56, 60, 74, 83])


@pytest.mark.parametrize("prototype", prototypes(), ids=lambda p: p.name)
def test_volumes_are_those_pymatgen_predicts(prototype: Prototype) -> None:
    from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor

    rng = np.random.default_rng(len(prototype.name))
    elements = np.stack(
        [rng.permutation(ELEMENTS)[: len(prototype.stoichiometry)] for _ in range(4)]
    )
    volumes = guessed_volumes(prototype.atoms, prototype.distances, elements)
    predictor = DLSVolumePredictor(min_scaling=None, max_scaling=None)
    for row, volume in zip(elements.tolist(), volumes.tolist(), strict=True):
        crystal = prototype.filled(row)
        assert crystal.volume == pytest.approx(volume)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = float(predictor.predict(to_pymatgen(crystal)))
        assert volume == pytest.approx(expected, rel=1e-9)


def test_elements_without_any_radius_fall_back_on_covalent_ones() -> None:
    diamond = next(p for p in prototypes() if p.name == "diamond")
    # Bonds of twice helium's covalent radius, 0.28 Angstrom: a = 4 d / sqrt(3), V = a^3 / 4.
    helium = diamond.filled([2])
    assert helium.volume == pytest.approx((4 * 0.56 / 3**0.5) ** 3 / 4, rel=1e-6)


def test_a_mined_radius_that_makes_no_sense_is_not_used() -> None:
    diamond = next(p for p in prototypes() if p.name == "diamond")
    # Argon's atomic radius is 0.71 Angstrom.
    assert diamond.filled([18]).volume == pytest.approx((4 * 1.42 / 3**0.5) ** 3 / 4, rel=1e-6)


def test_distances_do_not_depend_on_the_size_of_the_cell() -> None:
    rock_salt = next(p for p in prototypes() if p.name == "rock_salt")
    # a^3 = 4 in a primitive cell of one cubic Angstrom; unlike atoms a/2 apart, like ones a/sqrt 2.
    a = 4.0 ** (1 / 3)
    expected = [[a / 2**0.5, a / 2], [a / 2, a / 2**0.5]]
    np.testing.assert_allclose(site_distances(rock_salt.cell), expected, rtol=1e-9)
