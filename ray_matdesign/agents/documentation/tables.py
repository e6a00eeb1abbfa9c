"""The one file of an index: its tables, and records in and out of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from ray_matdesign.agents.documentation.docstrings import summary
from ray_matdesign.agents.documentation.records import Call, Document, Module, Symbol

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE distributions (
    name TEXT PRIMARY KEY, version TEXT NOT NULL, unreadable TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE modules (
    name TEXT PRIMARY KEY, distribution TEXT NOT NULL, package INTEGER NOT NULL,
    exported TEXT, imports TEXT NOT NULL, stars TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE symbols (
    id INTEGER PRIMARY KEY, qualname TEXT UNIQUE NOT NULL, public TEXT, kind TEXT NOT NULL,
    module TEXT NOT NULL, owner TEXT NOT NULL, distribution TEXT NOT NULL, leaf TEXT NOT NULL,
    signature TEXT NOT NULL, summary TEXT NOT NULL, docstring TEXT NOT NULL, examples TEXT NOT NULL,
    parameters TEXT NOT NULL, file TEXT NOT NULL, line INTEGER NOT NULL, end_line INTEGER NOT NULL,
    bases TEXT NOT NULL, deprecated INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX symbols_of_owner ON symbols (owner);
CREATE INDEX symbols_of_leaf ON symbols (leaf COLLATE NOCASE);
CREATE TABLE calls (source TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, distribution TEXT NOT NULL,
    file TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, calls TEXT NOT NULL
);
CREATE TABLE aliases (name TEXT PRIMARY KEY, symbol INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE edges (
    kind TEXT NOT NULL, source INTEGER NOT NULL, target INTEGER NOT NULL, sure INTEGER NOT NULL,
    PRIMARY KEY (kind, target, source)
) WITHOUT ROWID;
CREATE INDEX edges_from ON edges (kind, source);
CREATE VIRTUAL TABLE symbol_words USING fts5 (
    name, path, summary, context, parameters, docstring, examples, members,
    content='', tokenize="unicode61 remove_diacritics 2 tokenchars '_'"
);
CREATE TABLE lengths (
    symbol INTEGER PRIMARY KEY, name INTEGER, path INTEGER, summary INTEGER, context INTEGER,
    parameters INTEGER, docstring INTEGER, examples INTEGER, members INTEGER
);
CREATE VIRTUAL TABLE symbol_postings USING fts5vocab ('symbol_words', 'instance');
CREATE VIRTUAL TABLE document_words USING fts5 (
    title, text, content='', tokenize="unicode61 remove_diacritics 2 tokenchars '_'"
);
"""

_SYMBOL = (
    "qualname, kind, module, owner, signature, docstring, examples, parameters, file, line, "
    "end_line, bases, deprecated"
)


def create(path: Path) -> sqlite3.Connection:
    """A new file with empty tables, for one writer."""
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {TABLES}")
    return connection


def add_module(connection: sqlite3.Connection, module: Module, distribution: str) -> None:
    """Adds what was read of a module; what is there under its names already, stays."""
    exported = None if module.exported is None else json.dumps(module.exported)
    connection.execute(
        "INSERT OR IGNORE INTO modules VALUES (?, ?, ?, ?, ?, ?)",
        (
            module.name, distribution, module.package, exported, json.dumps(module.imports),
            json.dumps(module.stars),
        ),
    )  # fmt: skip
    add_symbols(connection, module.symbols, distribution)
    connection.executemany(
        "INSERT INTO calls VALUES (?, ?)", [(call.source, call.target) for call in module.calls]
    )
    add_documents(connection, module.documents, distribution)


def add_symbols(
    connection: sqlite3.Connection, symbols: Iterable[Symbol], distribution: str
) -> None:
    """Adds symbols; of two of one name, the first stays."""
    connection.executemany(
        f"INSERT OR IGNORE INTO symbols (distribution, leaf, summary, {_SYMBOL}) "
        f"VALUES ({', '.join('?' * 16)})",
        [
            (
                distribution, one.leaf, summary(one.docstring), one.qualname, one.kind, one.module,
                one.owner, one.signature, one.docstring, one.examples, " ".join(one.parameters),
                one.file, one.line, one.end_line, json.dumps(one.bases), one.deprecated,
            )
            for one in symbols
        ],
    )  # fmt: skip


def add_documents(
    connection: sqlite3.Connection, documents: Iterable[Document], distribution: str
) -> None:
    """Adds READMEs and tests."""
    connection.executemany(
        "INSERT INTO documents (kind, title, distribution, file, line, text, calls) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                one.kind, one.title, distribution, one.file, one.line, one.text,
                json.dumps(one.calls),
            )
            for one in documents
        ],
    )  # fmt: skip


def modules_of(connection: sqlite3.Connection) -> Iterator[Module]:
    """All modules, with their imports alone."""
    rows = connection.execute("SELECT name, package, exported, imports, stars FROM modules")
    for name, package, exported, imports, stars in rows:
        listed = None if exported is None else tuple(json.loads(exported))
        yield Module(name, bool(package), listed, json.loads(imports), json.loads(stars))


def symbols_of(connection: sqlite3.Connection) -> Iterator[Symbol]:
    """All symbols, in the order they were added."""
    names = _SYMBOL.split(", ")
    for row in connection.execute(f"SELECT {_SYMBOL} FROM symbols ORDER BY id"):
        told = dict(zip(names, row, strict=True))
        told["parameters"] = tuple(told["parameters"].split())
        told["bases"] = tuple(json.loads(told["bases"]))
        told["deprecated"] = bool(told["deprecated"])
        yield Symbol(**told)


def calls_of(connection: sqlite3.Connection) -> Iterator[Call]:
    """All calls as they were read."""
    for source, target in connection.execute("SELECT source, target FROM calls"):
        yield Call(source, target)
