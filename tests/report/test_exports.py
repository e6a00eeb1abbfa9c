"""Exported hits, read back by other programs."""

from __future__ import annotations

import base64
import gzip
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ray_matdesign.crystals.codec import CodecError, encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.files import read_crystals
from ray_matdesign.report import ExportError, export_hits
from ray_matdesign.report.exports import cif_uri, extxyz_uri, hits_from_table
from ray_matdesign.report.run_data import read_run
from ray_matdesign.report.summary import best_crystals, sun_hits

RunMaker = Callable[..., Path]


def test_ase_and_pymatgen_read_what_was_found(finished_run: Path, tmp_path: Path) -> None:
    import ase.io
    from pymatgen.core import Structure

    written = export_hits(finished_run, tmp_path / "hits")
    hits = sun_hits(read_run(finished_run))
    frames = list(ase.io.iread(tmp_path / "hits" / "hits.extxyz"))
    table = pd.read_parquet(tmp_path / "hits" / "hits.parquet")
    cifs = [path for path in written if path.suffix == ".cif"]
    assert len(frames) == len(table) == len(cifs) == len(hits) > 10
    assert list(table["key"]) == list(hits["key"]) == [f.info["name"] for f in frames]
    assert not {"generated", "relaxed"} & set(table.columns)
    scored = [k for k, value in enumerate(table["value_density"]) if np.isfinite(value)][:5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in scored:
            density = Structure.from_str(table["cif"][k], fmt="cif").density
            assert density == pytest.approx(table["value_density"][k], rel=1e-3)
            assert float(frames[k].info["density"]) == table["value_density"][k]


def test_single_files_hold_the_same_crystals(finished_run: Path, tmp_path: Path) -> None:
    hits = hits_from_table(sun_hits(read_run(finished_run)))
    for name in ("found.extxyz", "found.csv"):
        (written,) = export_hits(finished_run, tmp_path / "new" / name)
        names, crystals = zip(*read_crystals(written), strict=True)
        assert list(names) == [hit.key for hit in hits]
        for crystal, hit in zip(crystals, hits, strict=True):
            assert crystal.formula == hit.crystal.formula
            assert crystal.density == pytest.approx(hit.crystal.density, rel=1e-5)
    (packed,) = export_hits(finished_run, tmp_path / "found.parquet")
    assert list(pd.read_parquet(packed)["key"]) == [hit.key for hit in hits]


def test_what_cannot_be_written_is_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot export to '\.pdf'; use \.extxyz, "):
        export_hits(finished_run, tmp_path / "hits.pdf")
    (tmp_path / "taken").write_text("")
    with pytest.raises(ExportError, match="a name without ending stands for a folder"):
        export_hits(finished_run, tmp_path / "taken")
    (tmp_path / "hits.csv").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        export_hits(finished_run, tmp_path / "hits.csv")


def test_data_addresses_hold_the_same_crystals(finished_run: Path) -> None:
    hits = hits_from_table(best_crystals(read_run(finished_run), 3))
    cif = base64.b64decode(cif_uri(hits[0]).partition(",")[2]).decode()
    assert f"data_{hits[0].crystal.formula}" in cif
    packed = base64.b64decode(extxyz_uri(hits).partition(",")[2])
    assert gzip.decompress(packed).decode().count("Lattice=") == 3


def test_damaged_bytes_name_the_candidate() -> None:
    good = encode_crystals([Crystal(np.eye(3) * 3, [[0, 0, 0]], [29])])
    table = pd.DataFrame({"key": ["00001-00007-ab"], "loop": [1], "relaxed": [good[:-4]]})
    with pytest.raises(CodecError, match="candidate 00001-00007-ab"):
        hits_from_table(table)


def test_a_run_without_hits_exports_empty_files(make_run: RunMaker, tmp_path: Path) -> None:
    written = export_hits(make_run(loops=0), tmp_path / "hits")
    assert [path.name for path in written] == ["hits.extxyz", "hits.parquet"]
    assert len(pd.read_parquet(written[1])) == 0
