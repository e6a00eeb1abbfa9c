from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ray_matdesign.agents.database import DatabaseError
from ray_matdesign.agents.memory.memory import Memory, Note


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memory" / "memory.sqlite")


def _fact(text: str, namespace: str = "shared", **more: str) -> Note:
    return Note(namespace=namespace, kind="fact", text=text, **more)


def test_what_was_said_is_found_by_other_words(memory: Memory) -> None:
    memory.remember(_fact("SpacegroupAnalyzer needs symprec=0.1 for relaxed structures."))
    memory.remember(_fact("EMT has no parameters for silicon."))
    (found,) = memory.search("which symprec for a relaxed structure?", ["shared"])
    assert found.text.startswith("SpacegroupAnalyzer")
    assert memory.search("perovskite tolerance factor", ["shared"]) == []


def test_verbatim_texts_are_kept_as_often_as_they_are_said(memory: Memory) -> None:
    said = Note(namespace="users/ada", kind="text", text="  It is\n\tso. ", session="s1")
    assert [memory.remember(said).text for _ in range(2)] == ["  It is\n\tso. "] * 2
    assert [one.text for one in memory.session("s1")] == ["  It is\n\tso. "] * 2


def test_a_fact_is_kept_once_with_all_its_sources(memory: Memory) -> None:
    memory.remember(_fact("Silicon has the diamond structure.", session="s1", author="ada"))
    again = memory.remember(_fact("silicon has diamond structure", session="s2", task="t7"))
    assert memory.namespaces() == {"shared": 1}
    assert [(one.session, one.task, one.author) for one in again.sources] == [
        ("s1", "", "ada"),
        ("s2", "t7", ""),
    ]
    assert memory.session("s2")[0].text == "Silicon has the diamond structure."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Co is toxic", "CO is toxic"),
        ("C melts at 4000 K", "B melts at 4000 K"),
        ("MgO is harder than NaCl", "NaCl is harder than MgO"),
        ("It works", "It never works"),
        ("a = 3.61", "a = 3.62"),
    ],
)
def test_different_facts_stay_different(memory: Memory, one: str, other: str) -> None:
    memory.remember(_fact(one))
    memory.remember(_fact(other))
    assert len(memory.facts("shared")) == 2


def test_nobody_sees_another_namespace(memory: Memory) -> None:
    memory.remember(_fact("garnet electrolyte of ada", "users/ada"))
    memory.remember(_fact("garnet electrolyte of ada's batteries", "users/ada/batteries"))
    memory.remember(_fact("garnet electrolyte of adam", "users/adam"))
    memory.remember(_fact("garnet electrolyte for all", "shared"))
    found = memory.search("garnet electrolyte", ["users/ada"], limit=10)
    assert {one.namespace for one in found} == {"users/ada", "users/ada/batteries"}
    assert memory.search("garnet electrolyte", []) == []
    assert memory.search("garnet electrolyte", ["users/*", "[a-z]*", "' OR 1=1 --"]) == []


def test_secrets_never_reach_the_file(memory: Memory) -> None:
    secret = "sk-" + "q7Zr2Kd9Xw4Lm8Tb3Vn6"
    memory.remember(_fact(f"the endpoint wants {secret}"))
    assert memory.facts("shared")[0].text == "the endpoint wants [redacted: API key]"
    for file in memory.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert b"q7zr2kd9xw4lm8tb3vn6" not in file.read_bytes().lower()


def test_what_is_forgotten_is_gone_from_the_file(memory: Memory) -> None:
    memory.remember(_fact("xylophonium glows", "users/ada", session="s1"))
    memory.remember(_fact("xylophonium hums", "users/ada/more"))
    memory.remember(_fact("ytterbium is a metal", "users/adam"))
    assert memory.forget("users/ada") == 2
    assert memory.forget("users/ada") == 0
    assert memory.namespaces() == {"users/adam": 1}
    assert memory.session("s1") == []
    assert memory.search("xylophonium glows", ["users"]) == []
    for file in memory.path.parent.iterdir():
        assert b"xylophonium" not in file.read_bytes().lower()
    assert memory.search("ytterbium metal", ["users"])[0].text == "ytterbium is a metal"


def test_notes_outlive_the_process_and_other_files_are_refused(memory: Memory) -> None:
    memory.remember(_fact("kept"))
    assert Memory(memory.path).facts("shared")[0].text == "kept"
    other = memory.path.parent / "other"
    other.mkdir()
    (other / "notes.sqlite").write_text("no database at all, but long enough to be read" * 20)
    with pytest.raises(DatabaseError, match=r"notes\.sqlite: file is not a database"):
        Memory(other / "notes.sqlite")


@pytest.mark.parametrize("name", ["", "Users", "a//b", "/a", "a/", "a/../b", "a b", "*"])
def test_odd_namespaces_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        _fact("x", name)
