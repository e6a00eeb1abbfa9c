from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.sandbox import scratch

MIB = 2**20


@given(name=st.text(max_size=30))
def test_a_checked_name_never_leads_out(name: str) -> None:
    try:
        checked = scratch.checked_name(name)
    except scratch.BadName:
        return
    joined = os.path.normpath(os.path.join("/scratch", checked))
    assert joined.startswith("/scratch/")
    assert joined == f"/scratch/{name}"


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "a/../../b", "a//b", "a\0b", "./a"])
def test_names_that_lead_out_or_nowhere_are_refused(name: str) -> None:
    with pytest.raises(scratch.BadName):
        scratch.checked_name(name)


def test_files_come_back_as_they_went_in(tmp_path: Path) -> None:
    files = {"a.txt": b"1", "b/c/d.bin": bytes(range(256))}
    scratch.fill(str(tmp_path), files)
    taken, refused = scratch.collect(str(tmp_path), files, most_each=MIB, most_in_all=MIB)
    assert (taken, refused) == (files, {})


def test_only_plain_files_reached_without_links_are_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("canary")
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "link").symlink_to(secret / "key")
    (folder / "inner").symlink_to(secret)
    os.link(secret / "key", folder / "second")
    os.mkfifo(folder / "pipe")
    (folder / "dir").mkdir()
    (folder / "large").write_bytes(b"x" * 101)
    names = ["link", "inner/key", "second", "pipe", "dir", "large", "missing", "../secret/key"]
    taken, refused = scratch.collect(str(folder), names, most_each=100, most_in_all=MIB)
    assert taken == {}
    assert refused["link"] == refused["inner/key"] == "reached by a link"
    assert refused["second"] == "a file with several names"
    assert refused["pipe"] == refused["dir"] == "not a regular file"
    assert refused["large"] == "101 bytes, more than the 100 allowed"
    assert refused["missing"] == "was not written"
    assert "not a plain relative file name" in refused["../secret/key"]


def test_all_outputs_together_are_limited(tmp_path: Path) -> None:
    scratch.fill(str(tmp_path), dict.fromkeys("abc", b"x" * 60))
    taken, refused = scratch.collect(str(tmp_path), "abc", most_each=100, most_in_all=130)
    assert (set(taken), set(refused)) == ({"a", "b"}, {"c"})


def test_size_is_what_the_disk_holds(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * MIB)
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(100 * MIB)
    measured = scratch.measure(str(tmp_path), most_entries=10)
    assert measured.entries == 2
    assert MIB <= measured.bytes < 2 * MIB


def test_too_many_and_too_deep_are_more_than_allowed(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number)).mkdir()
    assert scratch.measure(str(tmp_path), most_entries=10).entries > 10
    deep = tmp_path / "deep"
    os.makedirs(deep.joinpath(*["d"] * 40))
    assert scratch.measure(str(deep), most_entries=1000).entries > 1000


def test_a_folder_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "scratch"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(1500):  # of 100 characters: 40 times what a path may have
        os.mkdir("d" * 100, dir_fd=place)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=place)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=place))
        os.close(place)
        place = inner
    os.close(place)
    (top / "closed").mkdir(0o000)
    (top / "link").symlink_to(tmp_path)
    scratch.remove(str(top))
    assert list(tmp_path.iterdir()) == []
