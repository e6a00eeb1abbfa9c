"""Files written whole, on folders and on pyarrow's file systems."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from ray_matdesign.rl.storage import (
    ArrowStorage,
    FolderStorage,
    Storage,
    StorageError,
    folder_of,
    open_storage,
)

NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


def storages(folder: Path) -> list[Storage]:
    local = fs.LocalFileSystem()
    return [
        FolderStorage(folder / "folder"),
        ArrowStorage(local, str(folder / "arrow")),
        ArrowStorage(fs.SubTreeFileSystem(str(folder / "tree"), local), "runs/1"),
        ArrowStorage(fs._MockFileSystem(), "runs/1"),
        open_storage(f"file://{folder}/uri"),
        open_storage("mock:///runs/1"),
    ]


@pytest.fixture(params=range(6))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return storages(tmp_path)[request.param]


def test_a_file_is_there_whole_or_not_at_all(storage: Storage) -> None:
    assert storage.read("state/a.json") is None
    assert storage.names() == []
    storage.write("state/a.json", b"one")
    storage.write("state/b.json", b"")
    storage.write("c", b"three")
    storage.write("state/a.json", b"another")
    assert storage.read("state/a.json") == b"another"
    assert storage.read("state/b.json") == b""
    assert storage.names() == ["c", "state/a.json", "state/b.json"]
    assert storage.names("state") == ["state/a.json", "state/b.json"]
    assert storage.names("nothing") == []
    storage.remove("state/a.json")
    storage.remove("state/a.json")
    assert storage.names() == ["c", "state/b.json"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["x/a", "x/b", "y/a", "z"]), st.none() | st.binary(max_size=40)),
        max_size=12,
    )
)
def test_every_kind_does_as_a_dictionary_does(steps) -> None:
    for storage in (ArrowStorage(fs._MockFileSystem(), "p"), open_storage("mock:///q")):
        expected: dict[str, bytes] = {}
        for name, content in steps:
            if content is None:
                storage.remove(name)
                expected.pop(name, None)
            else:
                storage.write(name, content)
                expected[name] = content
        assert storage.names() == sorted(expected)
        assert {name: storage.read(name) for name in expected} == expected


def test_a_write_that_breaks_off_leaves_the_old_content(tmp_path: Path) -> None:
    storage = ArrowStorage(fs.LocalFileSystem(), str(tmp_path))
    storage.write("state.json", b"old")
    # As if the writer had died: its file is there, under a name nobody reads.
    (tmp_path / "state.json.partial").write_bytes(b"ne")
    assert storage.read("state.json") == b"old"
    assert storage.names() == ["state.json"]
    storage.write("state.json", b"new")
    assert storage.read("state.json") == b"new"


def test_trouble_names_the_place_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    for storage in (
        FolderStorage(tmp_path / "blocked"),
        ArrowStorage(fs.LocalFileSystem(), str(tmp_path / "blocked"), "s3://bucket/run/"),
    ):
        with pytest.raises(StorageError) as caught:
            storage.write("checkpoints/state.json", b"x")
        assert f"{storage.place.rstrip('/')}/checkpoints/state.json: " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_uri_is_a_folder(tmp_path: Path) -> None:
    assert folder_of("runs/x") == Path("runs/x")
    assert folder_of("file:///nfs/runs/x") == Path("/nfs/runs/x")
    assert folder_of("s3://bucket/runs") is None


def test_a_place_nobody_knows_is_refused_in_one_line() -> None:
    with pytest.raises(StorageError, match=r"^gopher://host/runs: ") as caught:
        open_storage("gopher://host/runs")
    assert "\n" not in str(caught.value)
