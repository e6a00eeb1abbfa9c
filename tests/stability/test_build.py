import gzip
import json

import pytest

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import InvalidCrystal
from ray_matdesign.crystals.files import write_crystals
from ray_matdesign.stability.build import (
    build_reference,
    lowest_per_formula,
    parse_formula,
    read_elemental_energies,
    read_sources,
)
from tests.crystals.examples import perovskite, rock_salt


def entry(composition, energy, **more):
    return {"composition": composition, "energy": energy, "correction": 0.0, **more}


def test_reference_from_entries(tmp_path):
    salt = to_pymatgen(rock_salt())
    entries = [
        entry({"Na": 2}, -2.6),
        entry({"Na": 1}, -1.1),
        entry({"Cl": 4}, -7.2),
        entry({"Na": 1, "Cl": 1}, -7.1, structure=salt.as_dict(), entry_id="mp-1"),
    ]
    path = tmp_path / "entries.json.gz"
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    sources = read_sources(entries=[path])
    assert sources.elemental_energies == pytest.approx({11: -1.3, 17: -1.8})
    ((counts, formation),) = sources.compounds
    assert counts == {11: 1, 17: 1}
    assert formation == pytest.approx((-7.1 + 1.3 + 1.8) / 2)
    reference = build_reference(
        sources.crystals, sources.compounds, sources.elemental_energies, tmp_path / "out"
    )
    assert reference.find(rock_salt()) == "mp-1"
    assert reference.e_above_hull(rock_salt(), -2.0) == pytest.approx(0.0)


def test_reference_from_crystals_and_tables(tmp_path):
    write_crystals(tmp_path / "known.extxyz", [rock_salt(), perovskite()], ["a", "b"])
    (tmp_path / "known.csv").write_text("material_id,cif\nbroken,data_\n")
    (tmp_path / "hull.csv").write_text("formula,formation_energy_per_atom\nNaCl,-2.0\nNa2Cl2,-1\n")
    (tmp_path / "elements.json").write_text(json.dumps({"Na": -1.3, "Cl": entry({"Cl": 2}, -3.6)}))
    sources = read_sources(
        crystals=[tmp_path / "known.extxyz", tmp_path / "known.csv"],
        hull_tables=[tmp_path / "hull.csv"],
        elements=tmp_path / "elements.json",
    )
    assert [name for name, _ in sources.crystals] == ["a", "b"]
    assert [u.name for u in sources.unreadable] == ["broken"]
    assert sources.elemental_energies == pytest.approx({11: -1.3, 17: -1.8})
    assert lowest_per_formula(sources.compounds) == {((11, 1), (17, 1)): -2.0}


def test_bad_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text('[{"composition": {"Na": 1}}]')
    (tmp_path / "b.json").write_text("[")
    (tmp_path / "c.json").write_text(json.dumps([entry({"Na": 1, "Cl": 1}, -7.1)]))
    (tmp_path / "d.csv").write_text("formula,energy\nNaCl,-2\n")
    (tmp_path / "e.csv").write_text("formula,formation_energy_per_atom\nNaXq,-2\n")
    (tmp_path / "f.json").write_text('{"Xq": 1.0}')
    with pytest.raises(ValueError, match=r"a\.json: entry 0 is no pymatgen ComputedEntry"):
        read_sources(entries=[tmp_path / "a.json"])
    with pytest.raises(ValueError, match=r"b\.json: damaged JSON"):
        read_sources(entries=[tmp_path / "b.json"])
    with pytest.raises(ValueError, match="no elemental energy of Na, Cl"):
        read_sources(entries=[tmp_path / "c.json"])
    with pytest.raises(ValueError, match="no column 'formation_energy_per_atom'"):
        read_sources(hull_tables=[tmp_path / "d.csv"])
    with pytest.raises(ValueError, match=r"e\.csv: line 2: 'NaXq' is no formula"):
        read_sources(hull_tables=[tmp_path / "e.csv"])
    with pytest.raises(ValueError, match="unknown element 'Xq'"):
        read_elemental_energies(tmp_path / "f.json")
    with pytest.raises(ValueError, match="needs elemental energies"):
        build_reference([], [], {}, tmp_path / "out")


def test_formulas():
    assert parse_formula("Ca3(PO4)2") == {20: 3, 15: 2, 8: 8}
    for bad in ("", "Na0.5Cl", "Xq", "Na-Cl!"):
        with pytest.raises(InvalidCrystal):
            parse_formula(bad)
