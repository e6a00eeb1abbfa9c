"""Builds the index of an environment: once, resumably, into one file."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ray_matdesign.agents.documentation import compiled, linking, tables
from ray_matdesign.agents.documentation.compiled import Sandbox
from ray_matdesign.agents.documentation.distributions import (
    Distribution,
    environment_key,
    installed,
    module_name,
)
from ray_matdesign.agents.documentation.reading import read_module
from ray_matdesign.agents.documentation.records import Document
from ray_matdesign.config.documentation import DocumentationSettings

_MOST_README = 40_000
Progress = Callable[[str, int, int], None]
"""What is being done, how much is done, and of how much."""


class NothingInstalled(RuntimeError):
    """None of the distributions to be indexed is installed here."""


class NotBuilt(RuntimeError):
    """There is no index of this environment yet; the message says how to build it."""


def cache_folder(settings: DocumentationSettings) -> Path:
    """Where indices are kept: as set, or in the user's cache."""
    if settings.cache is not None:
        return Path(settings.cache).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ray-matdesign" / "documentation"


def index_path(settings: DocumentationSettings, *, run: bool) -> Path:
    """The file of this environment's index, whether it exists or not.

    Args:
        settings: What is indexed, and where it is kept.
        run: Whether compiled modules are asked, too.

    Raises:
        NothingInstalled: There is nothing to index.
    """
    key = environment_key(_distributions(settings), run=run)
    return cache_folder(settings) / f"{key}.sqlite"


def find_index(settings: DocumentationSettings) -> Path:
    """Path of this environment's index, the fuller one if both kinds are there.

    Raises:
        NothingInstalled: There is nothing to index.
        NotBuilt: There is no index yet.
    """
    for run in (True, False):
        path = index_path(settings, run=run)
        if path.exists():
            return path
    raise NotBuilt(
        f"no documentation index of this environment in {cache_folder(settings)}; build it with "
        f"ray-matdesign cascade docs build"
    )


def build_index(
    settings: DocumentationSettings,
    sandbox: Sandbox | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Path:
    """Path of this environment's index, which is built unless it is there.

    A build that is interrupted goes on after the last distribution that was read. Two at once take
    turns, and the second finds it done.

    Args:
        settings: What is indexed, and where it is kept.
        sandbox: In which compiled modules are imported and asked for their docstrings; without one
            they are left out.
        progress: Told of each step.

    Raises:
        NothingInstalled: There is nothing to index.
        OSError: The folder cannot be written.
    """
    target = index_path(settings, run=sandbox is not None)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.with_suffix(".lock")):
        if not target.exists():
            partial = target.with_suffix(".partial")
            _build(partial, _distributions(settings), sandbox, progress)
            os.replace(partial, target)
            _sync(target.parent)
    return target


def _build(
    partial: Path,
    distributions: Sequence[Distribution],
    sandbox: Sandbox | None,
    progress: Progress,
) -> None:
    steps = len(distributions) + 2
    with closing(_resumed(partial)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM distributions")}
        for step, one in enumerate(distributions):
            progress(f"reading {one.name} {one.version}", step, steps)
            if one.name not in there:
                with connection:
                    _read(connection, one)
        progress("asking compiled modules", steps - 2, steps)
        if sandbox is not None:
            with connection:
                compiled.add_compiled(connection, sandbox)
        progress("following names and calls", steps - 1, steps)
        with connection:
            linking.link(connection, {one.name for one in distributions if one.public_only})
        connection.executescript("PRAGMA journal_mode = DELETE; VACUUM;")
    progress("done", steps, steps)
    with open(partial, "rb") as file:
        os.fsync(file.fileno())


def _resumed(partial: Path) -> sqlite3.Connection:
    """What an interrupted build left, unless it stopped before there were tables."""
    if partial.exists():
        connection = sqlite3.connect(partial)
        found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'document_words'")
        if found.fetchone() is not None:
            return connection
        connection.close()
        for leftover in partial.parent.glob(f"{partial.name}*"):
            leftover.unlink()
    return tables.create(partial)


def _read(connection: sqlite3.Connection, one: Distribution) -> None:
    unreadable: dict[str, str] = {}
    for file in (*one.sources, *one.tests):
        name, package = module_name(file)
        try:
            source = (one.root / file).read_text(encoding="utf-8")
            module = read_module(source, name, file, package=package, tests=file in one.tests)
        except (SyntaxError, ValueError, RecursionError) as error:  # a template, or another Python
            unreadable[file] = " ".join(str(error).split())
            continue
        tables.add_module(connection, module, one.name)
    tables.add_documents(connection, _readmes(one), one.name)
    connection.execute(
        "INSERT INTO distributions VALUES (?, ?, ?)",
        (one.name, one.version, json.dumps(unreadable)),
    )


def _readmes(one: Distribution) -> Iterator[Document]:
    if one.description.strip():
        yield Document("readme", f"{one.name}: description", "", 1, one.description[:_MOST_README])
    for file in one.readmes:
        text = (one.root / file).read_text(encoding="utf-8", errors="replace")
        yield Document("readme", file, file, 1, text[:_MOST_README])


def _distributions(settings: DocumentationSettings) -> list[Distribution]:
    found = installed(settings.distributions, settings.public_only)
    if not found:
        names = ", ".join(settings.distributions)
        raise NothingInstalled(f"documentation.distributions: none is installed here of {names}")
    return found


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
