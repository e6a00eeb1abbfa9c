"""What is remembered: verbatim texts and facts, by namespace, with where they come from.

A session's own memory is what was noted under its name; consolidated memory is what holds across
sessions, tasks and users. Both are one SQLite file, and no secret is written to it.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ray_matdesign.agents.database import changing, connected, create, reading
from ray_matdesign.agents.redaction import redacted
from ray_matdesign.agents.retrieval import match_expression, rarities, relevance, words
from ray_matdesign.config.settings import Settings

Namespace = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*$", max_length=200)
]
"""Such as ``shared``, ``users/ada`` or ``users/ada/batteries``; one lies within another by its
name."""

_VERSION = 1
_LOOKED_AT = 100
_SCHEMA = """
CREATE TABLE note (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    plain TEXT NOT NULL);
CREATE INDEX note_in ON note (namespace, kind, plain);
CREATE TABLE source (
    id INTEGER PRIMARY KEY, note INTEGER NOT NULL REFERENCES note ON DELETE CASCADE,
    session TEXT NOT NULL, task TEXT NOT NULL, author TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX source_of ON source (note);
CREATE INDEX source_in ON source (session);
CREATE VIRTUAL TABLE spoken USING fts5 (words, tokenize = 'unicode61');
"""


class Note(Settings):
    """Something to remember."""

    namespace: Namespace
    kind: Literal["fact", "text"]
    """A fact stands for itself and is kept once; a text is kept as it was said."""
    text: str = Field(min_length=1, max_length=50_000)
    session: str = ""
    task: str = ""
    author: str = ""
    """Who said it: a user, or a model."""


@dataclass(frozen=True)
class Source:
    """Where something was learnt.

    Attributes:
        session: In which it was noted.
        task: That it came from.
        author: Who said it.
        at: Seconds since 1970.
    """

    session: str
    task: str
    author: str
    at: float


@dataclass(frozen=True)
class Remembered:
    """Something that was noted.

    Attributes:
        id: Of the note.
        namespace: It lies in.
        kind: ``fact`` or ``text``.
        text: Without secrets.
        sources: Where it was learnt, oldest first.
    """

    id: int
    namespace: str
    kind: str
    text: str
    sources: tuple[Source, ...]


class Memory:
    """Notes of one file; safe in several threads and processes.

    Args:
        path: Of the file; its folder is made if it is missing.

    Raises:
        DatabaseError: The file is something else.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        create(path, _SCHEMA, _VERSION)

    def remember(self, note: Note) -> Remembered:
        """Keeps a note, without the secrets in it; a fact that is known gains a source."""
        text = redacted(note.text).text
        plain = plain_form(text)
        with changing(self.path) as connection:
            known = connection.execute(
                "SELECT id FROM note WHERE namespace = ? AND kind = 'fact' AND plain = ?",
                (note.namespace, plain),
            ).fetchone()
            if known is not None and note.kind == "fact":
                identity = int(known["id"])
            else:
                identity = _inserted(connection, note, text, plain)
            connection.execute(
                "INSERT INTO source (note, session, task, author, at) VALUES (?, ?, ?, ?, ?)",
                (identity, note.session, note.task, note.author, time.time()),
            )
            return _remembered(connection, identity)

    def search(
        self,
        question: str,
        namespaces: Sequence[str],
        limit: int = 5,
        kind: Literal["fact", "text"] | None = None,
    ) -> list[Remembered]:
        """What the words of a question lead to, the closest first.

        Args:
            question: In words.
            namespaces: To look in, with all that lies within them; nothing else is seen.
            limit: How many at most.
            kind: Only these.
        """
        asked = words(question)
        expression = match_expression(asked)
        if not expression or not namespaces:
            return []
        inside = " OR ".join(["namespace = ? OR namespace GLOB ?"] * len(namespaces))
        within = [value for name in namespaces for value in (name, f"{_literal(name)}/*")]
        with reading(self.path) as connection:
            rows = connection.execute(
                f"SELECT note.id, spoken.words FROM spoken JOIN note ON note.id = spoken.rowid "
                f"WHERE spoken MATCH ? AND ({inside}) AND kind IN (?, ?) "
                f"ORDER BY bm25(spoken) LIMIT ?",
                (expression, *within, kind or "fact", kind or "text", _LOOKED_AT),
            ).fetchall()
            held = [set(row["words"].split()) for row in rows]
            rarity = rarities(asked, held)
            weights = {
                row["id"]: relevance(asked, h, rarity) for row, h in zip(rows, held, strict=True)
            }
            ranked = sorted(
                (i for i in weights if weights[i] > 0.0), key=lambda i: (-weights[i], i)
            )
            return [_remembered(connection, identity) for identity in ranked[:limit]]

    def session(self, session: str) -> list[Remembered]:
        """Everything noted in a session, in order."""
        with reading(self.path) as connection:
            rows = connection.execute(
                "SELECT note FROM source WHERE session = ? GROUP BY note ORDER BY min(id)",
                (session,),
            ).fetchall()
            return [_remembered(connection, row["note"]) for row in rows]

    def facts(self, namespace: str) -> list[Remembered]:
        """All facts of a namespace itself, in order of learning."""
        with reading(self.path) as connection:
            rows = connection.execute(
                "SELECT id FROM note WHERE namespace = ? AND kind = 'fact' ORDER BY id",
                (namespace,),
            ).fetchall()
            return [_remembered(connection, row["id"]) for row in rows]

    def namespaces(self) -> dict[str, int]:
        """Namespaces with how many notes each holds itself."""
        with reading(self.path) as connection:
            rows = connection.execute(
                "SELECT namespace, count(*) AS n FROM note GROUP BY namespace ORDER BY namespace"
            )
            return {row["namespace"]: row["n"] for row in rows}

    def merge(self, kept: int, merged: Sequence[int]) -> None:
        """Lets one note stand for others of its namespace: it takes their sources, they go.

        Raises:
            KeyError: One is not there, or lies in another namespace.
        """
        with changing(self.path) as connection:
            home = _remembered(connection, kept).namespace
            for one in merged:
                if one == kept or _remembered(connection, one).namespace != home:
                    raise KeyError(f"note {one}: cannot be merged into note {kept}")
                connection.execute("UPDATE source SET note = ? WHERE note = ?", (kept, one))
                _delete(connection, [one])

    def forget(self, namespace: str) -> int:
        """Deletes a namespace and all within it; nothing of it stays in the file.

        Returns:
            How many notes there were.
        """
        with changing(self.path) as connection:
            rows = connection.execute(
                "SELECT id FROM note WHERE namespace = ? OR namespace GLOB ?",
                (namespace, f"{_literal(namespace)}/*"),
            ).fetchall()
            _delete(connection, [row["id"] for row in rows])
            connection.execute("INSERT INTO spoken (spoken) VALUES ('rebuild')")
        with closing(connected(self.path)) as connection:
            connection.execute("VACUUM")  # pages of deleted rows would stay readable in the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(rows)


def plain_form(text: str) -> str:
    """What two statements have in common that differ in articles, spaces and a full stop only.

    Upper and lower case count, for Co is not CO, except at the beginning of a sentence.
    """
    spaced = text.strip().rstrip(".!").split()
    kept = [word for word in spaced if word.lower() not in ("a", "an", "the")]
    if kept and re.fullmatch(r"[A-Z][a-z]{2,}", kept[0]):
        kept[0] = kept[0].lower()
    return " ".join(kept)


def _inserted(connection: sqlite3.Connection, note: Note, text: str, plain: str) -> int:
    made = connection.execute(
        "INSERT INTO note (namespace, kind, text, plain) VALUES (?, ?, ?, ?)",
        (note.namespace, note.kind, text, plain),
    )
    found = " ".join(dict.fromkeys(words(text)))
    connection.execute("INSERT INTO spoken (rowid, words) VALUES (?, ?)", (made.lastrowid, found))
    assert made.lastrowid is not None
    return made.lastrowid


def _remembered(connection: sqlite3.Connection, identity: int) -> Remembered:
    row = connection.execute("SELECT * FROM note WHERE id = ?", (identity,)).fetchone()
    if row is None:
        raise KeyError(f"note {identity}: not there")
    sources = connection.execute("SELECT * FROM source WHERE note = ? ORDER BY id", (identity,))
    return Remembered(
        id=row["id"],
        namespace=row["namespace"],
        kind=row["kind"],
        text=row["text"],
        sources=tuple(
            Source(one["session"], one["task"], one["author"], one["at"]) for one in sources
        ),
    )


def _delete(connection: sqlite3.Connection, identities: Sequence[int]) -> None:
    for identity in identities:
        connection.execute("DELETE FROM spoken WHERE rowid = ?", (identity,))
        connection.execute("DELETE FROM note WHERE id = ?", (identity,))


def _literal(name: str) -> str:
    """A name within a GLOB pattern; names that no note can have are harmless too."""
    return re.sub(r"([*?\[])", r"[\1]", name)
