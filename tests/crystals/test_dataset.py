import numpy as np
import pytest

from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.dataset import load_dataset, split_by_composition
from tests.crystals.examples import perovskite, rock_salt, supercell


def write(path, rows):
    lines = ["material_id,cif,band_gap"]
    lines += [f'{name},"{cif}",{gap}' for name, cif, gap in rows]
    path.write_text("\n".join(lines))
    return path


def test_labels_stay_with_their_crystals(tmp_path):
    rows = [
        ("salt", write_cif_text(rock_salt()), "5.0"),
        ("broken", "data_", "1.0"),
        ("perovskite", write_cif_text(perovskite()), ""),
    ]
    dataset = load_dataset(write(tmp_path / "d.csv", rows), ["band_gap"])
    assert dataset.names == ("salt", "perovskite")
    assert [u.name for u in dataset.unreadable] == ["broken"]
    assert dataset.labels["band_gap"][0] == 5.0
    assert np.isnan(dataset.labels["band_gap"][1])
    assert dataset.subset([1]).names == ("perovskite",)


def test_bad_labels_are_named(tmp_path):
    path = write(tmp_path / "d.csv", [("salt", write_cif_text(rock_salt()), "wide")])
    with pytest.raises(ValueError, match="salt: column 'band_gap' holds 'wide'"):
        load_dataset(path, ["band_gap"])
    with pytest.raises(ValueError, match="no column 'density'"):
        load_dataset(path, ["density"])


def test_split_keeps_formulas_together_and_in_place():
    salts = [rock_salt(cation, anion) for cation in range(3, 60) for anion in (9, 17, 35)]
    doubled = [supercell(salt, [[2, 0, 0], [0, 1, 0], [0, 0, 1]]) for salt in salts[:30]]
    train, held_back = split_by_composition([*salts, *doubled], validation_fraction=0.2, seed=1)
    everything = [c.formula for c in [*salts, *doubled]]
    assert sorted([*train, *held_back]) == list(range(len(everything)))
    assert not {everything[i] for i in train} & {everything[i] for i in held_back}
    assert 0.1 < len(held_back) / len(everything) < 0.3
    _, fewer = split_by_composition(salts, validation_fraction=0.2, seed=1)
    assert {everything[i] for i in fewer} <= {everything[i] for i in held_back}
