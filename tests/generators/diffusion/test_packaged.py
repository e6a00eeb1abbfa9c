"""The weights that ship: small, readable without pickle, and worth relaxing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_matdesign.config.loading import ConfigError
from ray_matdesign.config.schema import ConstraintSettings, GeneratorSettings, PrefilterSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.validity import check, smact_valid
from ray_matdesign.generators.diffusion.artifact import load_artifact, save_artifact
from ray_matdesign.generators.diffusion.constraints import ConstraintError
from ray_matdesign.generators.diffusion.symmetry import symmetrise
from ray_matdesign.generators.registry import load_policy

FOLDER = Path(str(files("ray_matdesign.generators.diffusion") / "weights"))


@pytest.fixture(scope="module")
def crystals() -> list[Crystal]:
    return load_policy(GeneratorSettings()).sample(48, seed=2)


def test_the_package_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 15e6


def test_samples_are_valid_and_varied(crystals: list[Crystal]) -> None:
    # The model card reports shares near 99 % and 87 %; of 48 crystals, a broken sampler or a
    # damaged file would leave far fewer.
    assert len(crystals) == 48
    assert sum(check(c, PrefilterSettings(smact=False)) is None for c in crystals) >= 45
    assert sum(smact_valid(c.counts) for c in crystals) >= 28
    assert len({c.formula for c in crystals}) >= 44


def test_sizes_and_elements_are_those_of_the_training_data(crystals: list[Crystal]) -> None:
    assert max(len(c) for c in crystals) <= 20
    noble_gases = {2, 10, 18, 36, 54}
    radioactive = {43, 61, *range(84, 119)}
    assert all(not (c.elements & (noble_gases | radioactive)) for c in crystals)


def drawn(n: int = 6, **settings: Any) -> list[Crystal]:
    options = {"steps": 20}
    return load_policy(GeneratorSettings(options=options, **settings)).sample(n, seed=4)


def test_a_composition_a_system_and_lists_of_elements_are_kept_to() -> None:
    one_formula = drawn(constraints=ConstraintSettings(composition="SrTiO3"))
    assert [c.formula for c in one_formula] == ["SrTiO3"] * 6
    one_system = drawn(constraints=ConstraintSettings(chemical_system=("Li", "Mn", "O")))
    assert [c.elements for c in one_system] == [{3, 8, 25}] * 6
    few = drawn(constraints=ConstraintSettings(allowed_elements=("Na", "Cl", "O")))
    assert all(c.elements <= {8, 11, 17} for c in few)
    without = drawn(constraints=ConstraintSettings(excluded_elements=("O", "F")))
    assert not any(c.elements & {8, 9} for c in without)


def test_a_wide_gap_asks_for_ionic_crystals() -> None:
    def ionic(gap: float) -> int:
        crystals = drawn(24, condition={"band_gap": gap})
        return sum(bool(c.elements & {8, 9, 17, 35, 53}) for c in crystals)

    assert ionic(5.0) >= ionic(0.0) + 8


def test_a_condition_the_weights_do_not_know_is_refused() -> None:
    with pytest.raises(ConstraintError, match=r"no condition hardness \(it has band_gap\)"):
        load_policy(GeneratorSettings(condition={"hardness": 9.0}))
    with pytest.raises(ConfigError, match=r"generator\.options: stepz: unknown key"):
        load_policy(GeneratorSettings(options={"stepz": 9}))


def test_samples_sit_on_their_symmetry(crystals: list[Crystal]) -> None:
    groups = [symmetrise(crystal, 1e-3).scaffold.group for crystal in crystals]
    # One per cent of the training crystals are in P1.
    assert sum(group > 2 for group in groups) >= 36


def test_an_artifact_survives_being_written(tmp_path: Path) -> None:
    artifact = load_artifact("packaged")
    save_artifact(artifact, tmp_path)
    again = load_policy(GeneratorSettings(checkpoint=str(tmp_path), options={"steps": 5}))
    ours = load_policy(GeneratorSettings(options={"steps": 5}))
    for one, other in zip(again.sample(4, seed=1), ours.sample(4, seed=1), strict=True):
        assert np.array_equal(one.frac_coords, other.frac_coords)
        assert np.array_equal(one.lattice, other.lattice)
