from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.agents.documentation import building
from ray_matdesign.agents.documentation.building import (
    NotBuilt,
    NothingInstalled,
    build_index,
    find_index,
)
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.config.documentation import DocumentationSettings


def test_an_index_is_built_once_into_one_file(settings: DocumentationSettings) -> None:
    steps: list[str] = []
    path = build_index(settings, None, lambda what, done, total: steps.append(what))
    assert steps[0] == "reading glasses 1.2"
    assert steps[-1] == "done"
    assert {one.suffix for one in path.parent.iterdir()} == {".sqlite", ".lock"}
    again: list[str] = []
    assert build_index(settings, None, lambda what, *_: again.append(what)) == path
    assert again == []
    assert find_index(settings) == path


def test_two_builders_make_one_index(settings: DocumentationSettings) -> None:
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: build_index(settings), range(2)))
    assert paths[0] == paths[1]
    assert DocumentationIndex(paths[0]).lookup("glasses.quench") is not None


def test_a_build_goes_on_where_it_stopped(
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    install: Callable[[Path, str, str, dict[str, str]], None],
) -> None:
    install(tmp_path / "more", "frits", "3", {"frits/__init__.py": "def grind(): ...\n"})
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(tmp_path / "more"))
    settings = DocumentationSettings(
        distributions=("glasses", "frits"), cache=str(tmp_path / "cache")
    )

    class Killed(BaseException):
        pass

    def die(what: str, done: int, total: int) -> None:
        if what.startswith("reading frits"):
            raise Killed

    with pytest.raises(Killed):
        build_index(settings, None, die)
    with pytest.raises(NotBuilt, match="cascade docs build"):
        find_index(settings)
    read: list[str] = []
    once = building.read_module

    def counting(source: str, name: str, *args: Any, **kwargs: Any) -> Any:
        read.append(name)
        return once(source, name, *args, **kwargs)

    monkeypatch.setattr(building, "read_module", counting)
    index = DocumentationIndex(build_index(settings))
    assert read == ["frits"]
    assert index.versions == {"glasses": "1.2", "frits": "3"}
    assert index.lookup("glasses.Melt.cool") is not None
    assert index.lookup("frits.grind") is not None


def test_another_version_is_another_index(
    settings: DocumentationSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    install: Callable[[Path, str, str, dict[str, str]], None],
) -> None:
    path = build_index(settings)
    index = DocumentationIndex(path)
    quench = index.lookup("glasses.quench")
    assert quench is not None
    install(tmp_path / "newer", "glasses", "1.3", {"glasses/__init__.py": "def chill(): ...\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "newer"))
    with pytest.raises(FileNotFoundError, match=r"the index is of 1\.2"):
        index.source(quench)
    newer = build_index(settings)
    assert newer != path
    assert DocumentationIndex(newer).lookup("glasses.quench") is None


def test_files_that_cannot_be_read_are_named(settings: DocumentationSettings) -> None:
    with closing(sqlite3.connect(build_index(settings))) as connection:
        ((unreadable,),) = connection.execute("SELECT unreadable FROM distributions")
    assert "glasses/broken.py" in unreadable


def test_of_public_only_packages_nothing_else_is_kept(settings: DocumentationSettings) -> None:
    index = DocumentationIndex(
        build_index(settings.model_copy(update={"public_only": ("glasses",)}))
    )
    assert index.lookup("glasses.Melt") is not None
    assert index.lookup("glasses.Melt.viscosity") is not None  # from a private class
    assert index.lookup("glasses._shapes.blow") is not None  # offered under another name
    assert index.lookup("glasses.core.LIMIT_KELVIN") is None or index.size < 30


def test_nothing_to_index_is_an_error(tmp_path: Path) -> None:
    settings = DocumentationSettings(distributions=("not-installed",), cache=str(tmp_path))
    with pytest.raises(NothingInstalled, match="not-installed"):
        build_index(settings)
