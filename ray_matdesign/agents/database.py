"""SQLite files that several processes read and write.

Written-ahead (WAL), so that readers see a consistent state while somebody writes. Every operation
opens a connection of its own, which makes it safe in any thread and after any fork.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ray_matdesign.agents.writing_lock import writing

BUSY_S = 30.0
"""How long to wait for another process's transaction, which takes milliseconds."""


class DatabaseError(RuntimeError):
    """A file that is something else, or of another version."""


def create(path: Path, schema: str, version: int) -> None:
    """Makes the file if it is not there; harmless if another process does so at the same time.

    Args:
        path: Of the file; a file ``lock`` appears beside it.
        schema: Statements, each ended by a semicolon and a new line.
        version: Of the schema; not 0.

    Raises:
        DatabaseError: There is something else.
        Locked: Another process is writing, and does not come to an end.
    """
    found = _version(path)
    if found == 0:
        with writing(path.with_name("lock"), BUSY_S):
            _make(path, schema, version)
    elif found != version:
        raise DatabaseError(f"{path}: of version {found}; this package reads {version}")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the file throughout."""
    with closing(connected(path)) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction: kept as a whole at the end, or undone by whatever is raised."""
    with closing(connected(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def connected(path: Path) -> sqlite3.Connection:
    """A connection without a transaction."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    # What is committed outlives a killed process; a power cut may take the last moments.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _make(path: Path, schema: str, version: int) -> None:
    if _version(path) == version:  # made by another process in the meantime
        return
    with closing(connected(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _version(path: Path) -> int:
    try:
        with closing(connected(path)) as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseError(f"{path}: {error}") from error
    return int(found)
