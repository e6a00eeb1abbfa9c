"""The weights that ship: small, readable without pickle, and worth relaxing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from ray_matdesign.config.schema import GeneratorSettings, PrefilterSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.validity import check, smact_valid
from ray_matdesign.generators.registry import load_policy

FOLDER = Path(str(files("ray_matdesign.generators.diffusion") / "weights"))


@pytest.fixture(scope="module")
def crystals() -> list[Crystal]:
    return load_policy(GeneratorSettings()).sample(48, seed=2)


def test_the_package_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 15e6


def test_samples_are_valid_and_varied(crystals: list[Crystal]) -> None:
    # The model card reports shares near 99 % and 75 %; of 48 crystals, a broken sampler or a
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
