import json

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import EnergyScale
from ray_matdesign.stability.build import build_reference
from ray_matdesign.stability.hull import MissingElements
from ray_matdesign.stability.reference import PACKAGED, InvalidReference, ReferenceSet
from tests.crystals.examples import perovskite, rock_salt, rotated, supercell, zinc_blende

ENERGIES = {11: -1.3, 17: -1.8, 36: -0.1}
DOUBLED = [[2, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.fixture
def built(tmp_path):
    build_reference(
        [("salt", supercell(rock_salt(), DOUBLED)), ("other", perovskite())],
        [({11: 2, 17: 2}, -1.0), ({11: 1, 17: 1}, -2.0), ({11: 1}, 0.3), ({11: 1, 36: 1}, -9.0)],
        ENERGIES,
        tmp_path / "reference",
        excluded={"Kr": "noble gas"},
    )
    return tmp_path / "reference"


def test_built_reference_judges_crystals(built):
    reference = ReferenceSet.load(str(built))
    assert reference.elements == {11, 17}
    assert len(reference.hull) == 1, "one compound a formula, none of excluded elements"
    formation = reference.formation_energy(rock_salt(), -3.25, EnergyScale.MP2020)
    assert formation == pytest.approx(-3.25 + (1.3 + 1.8) / 2)
    assert reference.e_above_hull(rock_salt(), formation) == pytest.approx(formation + 2.0)
    assert reference.find(rotated(rock_salt(a=5.8), 1)) == "salt"
    assert reference.novel_mask([rock_salt(), zinc_blende(11, 17), rock_salt(19, 17)]) == [
        False,
        True,
        True,
    ]


def test_missing_elements_are_named_with_their_reason(built):
    reference = ReferenceSet.load(built)
    strange = rock_salt(36, 94)
    assert reference.missing_elements(strange) == ["Kr", "Pu"]
    assert reference.missing_elements(rock_salt()) == []
    with pytest.raises(MissingElements, match=r"Kr \(noble gas\), Pu \(no data\)"):
        reference.formation_energy(strange, 0.0, EnergyScale.MP2020)
    with pytest.raises(MissingElements, match="does not cover Kr"):
        reference.e_above_hull(strange, 0.0)


def test_damaged_folders_are_named(built, tmp_path):
    with pytest.raises(InvalidReference, match="no reference set here"):
        ReferenceSet.load(tmp_path / "nowhere")
    manifest = json.loads((built / "manifest.json").read_text())
    (built / "manifest.json").write_text(json.dumps(manifest | {"version": 7}))
    with pytest.raises(InvalidReference, match="version 7"):
        ReferenceSet.load(built)
    (built / "manifest.json").write_text(json.dumps(manifest))
    whole = (built / "hull.npz").read_bytes()
    (built / "hull.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidReference, match=r"hull\.npz: damaged"):
        ReferenceSet.load(built)
    (built / "hull.npz").write_bytes(whole)
    (built / "crystals.npz").unlink()
    with pytest.raises(InvalidReference, match=r"crystals\.npz: missing"):
        ReferenceSet.load(built)


def test_packaged_reference_is_small_and_knows_textbook_compounds(packaged):
    assert sum(file.stat().st_size for file in PACKAGED.iterdir()) < 5_000_000
    assert len(packaged.hull) > 90_000
    assert len(packaged.known) > 39_000
    # Materials Project: NaCl -2.11, MgO -3.05, Li2O -2.0, ZnTe -0.7 eV/atom (MP2020, rounded).
    hull = packaged.hull
    assert hull.energy({11: 1, 17: 1}) == pytest.approx(-2.11, abs=0.06)
    assert hull.energy({12: 1, 8: 1}) == pytest.approx(-3.05, abs=0.06)
    assert hull.energy({3: 2, 8: 1}) == pytest.approx(-2.05, abs=0.06)
    assert hull.energy({51: 2, 52: 3}) == pytest.approx(-0.383, abs=1e-3)
    assert hull.energy({30: 1, 52: 1}) == pytest.approx(-0.65, abs=0.15)


def test_packaged_reference_finds_known_crystals(packaged):
    assert not packaged.is_novel(rotated(supercell(rock_salt(11, 17, a=5.6), DOUBLED), 5))
    assert not packaged.is_novel(zinc_blende(30, 16, a=5.4))
    sodium_oxide_xenide = Crystal(5 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 2])
    assert packaged.is_novel(sodium_oxide_xenide)
    assert packaged.missing_elements(sodium_oxide_xenide) == ["He"]


def test_hull_against_labels(packaged, shared_data):
    from ray_matdesign.crystals.dataset import load_dataset

    columns = ["formation_energy_per_atom", "e_above_hull"]
    dataset = load_dataset(shared_data / "crystals_le20.csv.gz", columns, limit=1000)
    errors = [
        packaged.e_above_hull(crystal, formation) - label
        for crystal, formation, label in zip(
            dataset.crystals, *(dataset.labels[c] for c in columns), strict=True
        )
        if np.isfinite(formation + label) and not packaged.missing_elements(crystal)
    ]
    assert len(errors) > 500
    assert np.abs(errors).mean() < 0.012
    assert abs(np.mean(errors)) < 0.005
