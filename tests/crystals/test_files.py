import gzip

import pytest

from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.convert import write_extxyz_text, write_poscar_text
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.files import (
    CrystalFileError,
    Unreadable,
    read_crystals,
    write_cif,
    write_crystals,
    write_extxyz,
)
from ray_matdesign.crystals.matching import match
from tests.crystals.examples import perovskite, rock_salt


@pytest.mark.parametrize("ending", ["cif", "extxyz", "csv"])
def test_what_is_written_reads_back(tmp_path, ending):
    path = tmp_path / f"two.{ending}"
    write_crystals(path, [rock_salt(), perovskite()], ["salt", "perovskite"])
    entries = read_crystals(path)
    assert [name.split(":")[-1] for name, _ in entries] == ["salt", "perovskite"]
    assert match(entries[0][1], rock_salt())
    assert match(entries[1][1], perovskite())
    assert list(tmp_path.iterdir()) == [path], "no scratch files stay behind"


def test_one_bad_row_does_not_stop_the_others(tmp_path):
    path = tmp_path / "mixed.csv.gz"
    good = write_cif_text(rock_salt()).replace("\n", "\r\n")
    with gzip.open(path, "wt") as file:
        file.write(f'material_id,cif\nfirst,"{good}"\nbroken,data_x\n,""\nlast,"{good}"\n')
    entries = read_crystals(path)
    assert [name for name, _ in entries] == ["first", "broken", "mixed:3", "last"]
    assert [isinstance(value, Crystal) for _, value in entries] == [True, False, False, True]
    assert isinstance(entries[1][1], Unreadable)
    assert entries[2][1].reason == "the CIF is empty"


def test_one_bad_frame_does_not_stop_the_others(tmp_path):
    frames = [write_extxyz_text(rock_salt(), {}), "1\nno cell\nNa 0 0 0\n"]
    path = tmp_path / "run.xyz"
    path.write_text("".join([*frames, frames[0], "oops\n"]))
    entries = read_crystals(path)
    assert [name for name, _ in entries] == ["run:1", "run:2", "run:3", "run:4"]
    assert [isinstance(value, Crystal) for _, value in entries] == [True, False, True, False]
    assert "line 12: expected a number of atoms, found 'oops'" in entries[3][1].reason


def test_a_folder_is_read_as_one(tmp_path):
    write_cif(tmp_path / "b.cif", rock_salt())
    write_extxyz(tmp_path / "a.extxyz", [perovskite()])
    (tmp_path / "POSCAR").write_text(write_poscar_text(perovskite()))
    (tmp_path / "empty.cif").touch()
    (tmp_path / "notes.txt").write_text("not a crystal")
    entries = dict(read_crystals(tmp_path))
    assert set(entries) == {"a:1", "b", "POSCAR", "empty"}
    assert "the file is empty" in entries["empty"].reason


def test_files_that_hold_nothing_are_named(tmp_path):
    (tmp_path / "empty.cif").touch()
    (tmp_path / "columns.csv").write_text("material_id,structure\n1,2\n")
    (tmp_path / "crystal.docx").write_text("x")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"material_id,cif\n" * 100)[:-9])
    for name, reason in (
        ("empty.cif", "empty.cif: the file is empty"),
        ("columns.csv", "no column 'cif' among material_id, structure"),
        ("crystal.docx", "unknown kind of file"),
        ("cut.csv.gz", "damaged"),
    ):
        with pytest.raises(CrystalFileError, match=reason):
            read_crystals(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.cif"):
        read_crystals(tmp_path / "nowhere.cif")
