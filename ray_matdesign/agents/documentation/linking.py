"""The last step of a build: names, edges and the words that are searched."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from ray_matdesign.agents.documentation import tables
from ray_matdesign.agents.documentation.docstrings import summary
from ray_matdesign.agents.documentation.names import Names
from ray_matdesign.agents.documentation.ranking import FIELDS
from ray_matdesign.agents.documentation.records import Symbol
from ray_matdesign.agents.documentation.words import name_words, text_words

_MOST_DOCSTRING = 6000
_MOST_DOCUMENT = 4000


def link(connection: sqlite3.Connection, public_only: Collection[str]) -> None:
    """Fills in public names, aliases, edges, uses and words; drops what only this needed.

    Args:
        connection: With all modules read.
        public_only: Distributions of which only what is re-exported stays.
    """
    symbols = {one.qualname: one for one in tables.symbols_of(connection)}
    names = Names(tables.modules_of(connection), symbols.values())
    preferred, aliases = names.preferred()
    kept = _kept(connection, symbols, names, aliases, public_only)
    connection.executemany(
        "DELETE FROM symbols WHERE qualname = ?", [(q,) for q in symbols if q not in kept]
    )
    ids = dict(connection.execute("SELECT qualname, id FROM symbols"))
    connection.executemany(
        "UPDATE symbols SET public = ? WHERE id = ?",
        [(name, ids[q]) for q, name in preferred.items() if q in ids],
    )
    _add_aliases(connection, aliases, preferred, symbols, ids)
    _add_edges(connection, names, symbols, ids)
    _add_words(connection, symbols, preferred, ids, names)
    connection.execute("DELETE FROM calls")
    connection.execute("UPDATE documents SET calls = ''")


def _kept(
    connection: sqlite3.Connection,
    symbols: Mapping[str, Symbol],
    names: Names,
    aliases: Mapping[str, str],
    public_only: Collection[str],
) -> set[str]:
    """All symbols but those that large distributions do not re-export."""
    of = dict(connection.execute("SELECT qualname, distribution FROM symbols"))
    offered = {
        qualname
        for alias, qualname in aliases.items()
        if not any(part.startswith("_") for part in alias.split("."))
    }
    # What a public class inherits from a private one is public.
    offered |= {a for q in offered if q in symbols for a in names.ancestry(q)}
    kept = {q for q in symbols if of[q] not in public_only or q in offered}
    packages = {one.qualname for one in symbols.values() if one.kind == "module"}
    kept |= {q for q in packages if q.count(".") < 2 and "._" not in q}
    return kept | {q for q, one in symbols.items() if one.owner in kept and of[q] in public_only}


def _add_aliases(
    connection: sqlite3.Connection,
    aliases: Mapping[str, str],
    preferred: Mapping[str, str],
    symbols: Mapping[str, Symbol],
    ids: Mapping[str, int],
) -> None:
    every = {alias: qualname for alias, qualname in aliases.items() if qualname in ids}
    # Where a function has the name of its module, a program gets the function.
    every |= {
        name: qualname
        for qualname, name in preferred.items()
        if qualname in ids and symbols[qualname].kind != "module"
    }
    connection.executemany(
        "INSERT OR REPLACE INTO aliases VALUES (?, ?)",
        [(alias, ids[qualname]) for alias, qualname in every.items()],
    )


def _add_edges(
    connection: sqlite3.Connection,
    names: Names,
    symbols: Mapping[str, Symbol],
    ids: Mapping[str, int],
) -> None:
    edges: set[tuple[str, int, int, bool]] = set()
    users: dict[int, set[str]] = defaultdict(set)
    for call in tables.calls_of(connection):
        for found in names.link(call.target):
            if found.target not in ids:
                continue
            if found.sure:
                # Its own module says little of how much a symbol is used.
                users[ids[found.target]].add(symbols[call.source].module)
            if call.source in ids:
                edges.add(("calls", ids[call.source], ids[found.target], found.sure))
    for one in symbols.values():
        for base in one.bases:
            resolved = names.resolve(base)
            if one.qualname in ids and resolved in ids:
                edges.add(("subclasses", ids[one.qualname], ids[str(resolved)], True))
    rows = connection.execute("SELECT id, file, calls FROM documents WHERE kind = 'test'")
    for number, file, calls in rows.fetchall():
        for target in json.loads(calls):
            for found in names.link(target):
                if found.target in ids:
                    edges.add(("tests", number, ids[found.target], found.sure))
                    users[ids[found.target]].add(file)
    connection.executemany("INSERT OR IGNORE INTO edges VALUES (?, ?, ?, ?)", sorted(edges))
    connection.executemany(
        "UPDATE symbols SET uses = ? WHERE id = ?", [(len(by), one) for one, by in users.items()]
    )


def _add_words(
    connection: sqlite3.Connection,
    symbols: Mapping[str, Symbol],
    preferred: Mapping[str, str],
    ids: Mapping[str, int],
    names: Names,
) -> None:
    places = ", ".join("?" * (len(FIELDS) + 1))
    for row in _rows(symbols, preferred, ids, names):
        connection.execute(
            f"INSERT INTO symbol_words (rowid, {', '.join(FIELDS)}) VALUES ({places})", row
        )
        lengths = [len(str(words).split()) for words in row[1:]]
        connection.execute(f"INSERT INTO lengths VALUES ({places})", (row[0], *lengths))
    connection.executemany(
        "INSERT INTO document_words (rowid, title, text) VALUES (?, ?, ?)",
        [
            (number, name_words(title), text_words(text[:_MOST_DOCUMENT]))
            for number, title, text in connection.execute("SELECT id, title, text FROM documents")
        ],
    )
    for table in ("symbol_words", "document_words"):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")


def _rows(
    symbols: Mapping[str, Symbol],
    preferred: Mapping[str, str],
    ids: Mapping[str, int],
    names: Names,
) -> Iterator[tuple[int | str, ...]]:
    """What is searched: everything public but members that nothing is said of."""
    members: dict[str, str] = defaultdict(str)
    for one in symbols.values():
        if one.kind in ("method", "property") and not one.leaf.startswith("_"):
            members[one.owner] += f"{name_words(one.leaf)} "
    for qualname, one in symbols.items():
        said = bool(one.docstring) or one.kind in ("class", "function", "method", "property")
        if qualname not in ids or qualname not in preferred or not said:
            continue
        docstring = one.docstring or _inherited(one, symbols, names)
        owner = symbols.get(one.owner)
        first = summary(docstring)
        # Else a word of the first sentence counts twice.
        rest = docstring.strip()[len(first.removesuffix("...")) :][:_MOST_DOCSTRING]
        yield (
            ids[qualname],
            name_words(one.leaf),
            name_words(preferred[qualname].rpartition(".")[0]),
            text_words(first),
            text_words(summary(owner.docstring) if owner else _about(one, symbols)),
            name_words(".".join(one.parameters)),
            text_words(rest),
            text_words(one.examples),
            members[qualname],
        )


def _inherited(one: Symbol, symbols: Mapping[str, Symbol], names: Names) -> str:
    """Docstring of the nearest member of that name that a class inherits from."""
    for ancestor in names.ancestry(one.owner)[1:] if one.owner else ():
        found = symbols.get(f"{ancestor}.{one.leaf}")
        if found is not None and found.docstring:
            return found.docstring
    return ""


def _about(one: Symbol, symbols: Mapping[str, Symbol]) -> str:
    """What the module says of itself."""
    module = symbols.get(one.module)
    return summary(module.docstring) if module is not None and one.kind != "module" else ""
