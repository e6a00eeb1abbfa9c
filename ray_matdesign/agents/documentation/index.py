"""The index as its readers see it: names looked up, questions answered, edges followed."""

from __future__ import annotations

import difflib
import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ray_matdesign.agents.documentation.embeddings import Embedded, fused
from ray_matdesign.agents.documentation.ranking import FITTED, Ranking, Weights
from ray_matdesign.agents.documentation.words import pieces, question_words, stem

ABBREVIATIONS = {"np": "numpy", "pd": "pandas", "pmg": "pymatgen", "sp": "scipy", "mg": "pymatgen"}
"""What programs import packages as."""

_COLUMNS = (
    "id, qualname, COALESCE(public, qualname), kind, module, owner, distribution, signature, "
    "summary, docstring, examples, parameters, file, line, end_line, deprecated, uses"
)
_MOST_HOPS = 20
_MOST_NEAR = 3000
_LEAST_CLOSENESS = 0.5


@dataclass(frozen=True)
class Record:
    """A symbol of the index.

    Attributes:
        id: Within this index.
        qualname: Of the definition.
        name: To be told and imported: short and public where there is such a name.
        kind: See :data:`ray_matdesign.agents.documentation.records.Kind`.
        module: That defines it.
        owner: Qualified name of the class it is a member of; empty outside of classes.
        distribution: That it comes with.
        signature: As the source has it.
        summary: First paragraph of the docstring.
        docstring: All of it.
        examples: Interpreter sessions in it.
        parameters: Names of arguments, apart by blanks.
        file: Relative to the folder that packages are installed in; empty if it is compiled.
        line: Where its definition begins, from 1.
        end_line: Where it ends.
        deprecated: Whether it says so.
        uses: Places in installed code and tests that call it.
    """

    id: int
    qualname: str
    name: str
    kind: str
    module: str
    owner: str
    distribution: str
    signature: str
    summary: str
    docstring: str
    examples: str
    parameters: str
    file: str
    line: int
    end_line: int
    deprecated: int
    uses: int


@dataclass(frozen=True)
class Hit:
    """A symbol that answers a question.

    Attributes:
        record: The symbol.
        score: The larger the better; compares hits of one question alone.
    """

    record: Record
    score: float


@dataclass(frozen=True)
class Passage:
    """A README or test that answers a question.

    Attributes:
        kind: ``readme`` or ``test``.
        title: Heading, or name of the test.
        distribution: That it comes with.
        file: Relative to the folder that packages are installed in; empty for descriptions.
        line: Where it begins.
        text: All that is kept of it.
    """

    kind: str
    title: str
    distribution: str
    file: str
    line: int
    text: str


class UnreadableIndex(RuntimeError):
    """A file that is no index; the message names it."""


class DocumentationIndex:
    """An index file, for any number of threads and processes at once.

    Args:
        path: As :func:`ray_matdesign.agents.documentation.building.build_index` returned it.
        embedded: Vectors that searches use as well, if there are any.

    Raises:
        UnreadableIndex: There is no index in it.
    """

    def __init__(self, path: Path, embedded: Embedded | None = None) -> None:
        self.path = path
        self._embedded = embedded
        self._local = threading.local()
        self._lock = threading.Lock()
        self._ranks: Ranking | None = None
        try:
            rows = self._all("SELECT name, version FROM distributions")
        except sqlite3.Error as error:
            raise UnreadableIndex(f"{path}: not an index of documentation: {error}") from error
        self.versions: dict[str, str] = {str(name): str(version) for name, version in rows}

    @property
    def size(self) -> int:
        """How many symbols there are."""
        return int(self._all("SELECT COUNT(*) FROM symbols")[0][0])

    def search(
        self,
        question: str,
        limit: int = 5,
        *,
        package: str | None = None,
        weights: Weights = FITTED,
    ) -> list[Hit]:
        """Symbols that answer a question, the best first.

        Args:
            question: In words; names, whole or in part, may be among them.
            limit: Most hits.
            package: Only of this package or distribution.
            weights: What counts how much.
        """
        found = self._ranking().ranked(self._connection(), question, weights, package)
        if self._embedded is not None and package is None:
            found = fused(found, self._embedded.nearest(question))
        return [
            Hit(record, score)
            for number, score in found[:limit]
            if (record := self._by_id(number)) is not None
        ]

    def _ranking(self) -> Ranking:
        with self._lock:
            if self._ranks is None:
                self._ranks = Ranking(self._connection())
            return self._ranks

    def passages(self, question: str, limit: int = 3) -> list[Passage]:
        """READMEs and tests that answer a question, the best first."""
        words = [concept.word for concept in question_words(question) if concept.origin == "asked"]
        if not words:
            return []
        rows = self._all(
            "SELECT d.kind, d.title, distribution, file, line, d.text FROM document_words "
            "JOIN documents d ON d.id = document_words.rowid WHERE document_words MATCH ? "
            "ORDER BY bm25(document_words, 3.0, 1.0) LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words), limit),
        )
        return [Passage(*row) for row in rows]

    def lookup(self, name: str) -> Record | None:
        """The symbol that a dotted name leads to, whichever of its names it is.

        Re-exports, imports and inherited members are followed; ``np`` stands for numpy.
        """
        root, dot, rest = name.strip().removesuffix("()").partition(".")
        return self._lookup(f"{ABBREVIATIONS.get(root, root)}{dot}{rest}", _MOST_HOPS)

    def _lookup(self, dotted: str, hops: int) -> Record | None:
        found = self._one("qualname = ?", dotted)
        if found is not None and found.kind != "module":
            return found
        alias = self._all("SELECT symbol FROM aliases WHERE name = ?", (dotted,))
        if alias:
            return self._by_id(alias[0][0])
        parent, _, leaf = dotted.rpartition(".")
        if not parent or hops == 0:
            return found
        rows = self._all("SELECT imports, stars FROM modules WHERE name = ?", (parent,))
        for imports, stars in rows:
            targets = [json.loads(imports).get(leaf), *(f"{s}.{leaf}" for s in json.loads(stars))]
            for target in targets:
                if target not in (None, dotted) and (told := self._lookup(target, hops - 1)):
                    return told
        if found is None and not rows:
            owner = self._lookup(parent, hops - 1)
            if owner is not None and owner.kind == "class":
                return self._member(owner, leaf)
        return found

    def _member(self, owner: Record, leaf: str) -> Record | None:
        for one in [owner, *self.ancestors(owner)]:
            if found := self._one("qualname = ?", f"{one.qualname}.{leaf}"):
                return found
        return None

    def members(self, record: Record) -> list[Record]:
        """Public members of a class, inherited ones too, or what a module offers; by name."""
        if record.kind == "class":
            found: dict[str, Record] = {}
            for one in [record, *self.ancestors(record)]:
                for member in self._records("owner = ?", (one.qualname,)):
                    found.setdefault(member.qualname.rpartition(".")[2], member)
            return [m for leaf, m in sorted(found.items()) if not leaf.startswith("_")]
        if record.kind != "module":
            return []
        offered = self._records(
            "id IN (SELECT symbol FROM aliases WHERE name GLOB ?) OR (module = ? AND owner = '')",
            (f"{record.qualname}.*", record.qualname),
        )
        depth = record.qualname.count(".") + 1
        direct = [
            one
            for one in offered
            if one.module == record.qualname
            or (one.name.startswith(f"{record.qualname}.") and one.name.count(".") == depth)
        ]
        public = [one for one in direct if not one.qualname.rpartition(".")[2].startswith("_")]
        return sorted(
            (one for one in public if one.qualname != record.qualname), key=lambda one: one.name
        )

    def ancestors(self, record: Record) -> list[Record]:
        """Classes that a class inherits from, the nearest first."""
        return self._along("source", "target", record)

    def subclasses(self, record: Record) -> list[Record]:
        """Classes that inherit from a class, directly or not, the nearest first."""
        return self._along("target", "source", record)

    def _along(self, here: str, there: str, record: Record) -> list[Record]:
        seen, edge, found = {record.id}, [record.id], []
        while edge:
            rows = self._all(
                f"SELECT {there} FROM edges WHERE kind = 'subclasses' AND {here} = ?",
                (edge.pop(0),),
            )
            for (number,) in rows:
                if number not in seen and (one := self._by_id(number)) is not None:
                    seen.add(number)
                    edge.append(number)
                    found.append(one)
        return found

    def callers(self, record: Record, limit: int = 20) -> list[tuple[Record, bool]]:
        """Functions that call a symbol, and whether the source tells so or only a method's name.

        Those that are sure come first, then those that are used most themselves.
        """
        rows = self._all(
            "SELECT source, sure FROM edges JOIN symbols ON symbols.id = source WHERE "
            "edges.kind = 'calls' AND target = ? ORDER BY sure DESC, uses DESC, qualname LIMIT ?",
            (record.id, limit),
        )
        found = [(self._by_id(number), bool(sure)) for number, sure in rows]
        return [(one, sure) for one, sure in found if one is not None]

    def tests(self, record: Record, limit: int = 3) -> list[Passage]:
        """Tests that call a symbol, the shortest first: they read best."""
        rows = self._all(
            "SELECT d.kind, title, distribution, file, line, text FROM edges JOIN documents d "
            "ON d.id = source WHERE edges.kind = 'tests' AND target = ? "
            "ORDER BY sure DESC, LENGTH(text), d.id LIMIT ?",
            (record.id, limit),
        )
        return [Passage(*row) for row in rows]

    def source(self, record: Record) -> str | None:
        """Source of a definition; ``None`` of what is compiled.

        Raises:
            FileNotFoundError: The file is gone, or another version is installed by now.
        """
        if not record.file:
            return None
        try:
            one = metadata.distribution(record.distribution)
        except metadata.PackageNotFoundError as error:
            raise FileNotFoundError(f"{record.distribution}: no longer installed") from error
        if one.version != self.versions[record.distribution]:
            raise FileNotFoundError(
                f"{record.distribution} {one.version}: the index is of "
                f"{self.versions[record.distribution]}; build it anew"
            )
        path = Path(str(one.locate_file(record.file)))
        lines = path.read_text(encoding="utf-8").splitlines()
        return "\n".join(lines[record.line - 1 : record.end_line])

    def near(self, name: str, limit: int = 5, among: Iterable[Record] = ()) -> list[Record]:
        """Symbols whose names are close to a wrong one, the closest first.

        Args:
            name: Dotted or not.
            limit: Most symbols.
            among: Only these; by default all whose names share a word with it.
        """
        leaf = name.rpartition(".")[2]
        candidates = list(among) or self._sharing(leaf)
        close = [(_closeness(leaf, one), one) for one in candidates]
        close = [(how, one) for how, one in close if how >= _LEAST_CLOSENESS]
        close.sort(key=lambda pair: (-pair[0], pair[1].name.count("."), -pair[1].uses))
        return [one for _, one in close[:limit]]

    def _sharing(self, leaf: str) -> list[Record]:
        words = [stem(piece) for piece in pieces(leaf)]
        if not words:
            return []
        asked = " OR ".join(f'name : "{word}"' for word in words)
        return self._records(
            "id IN (SELECT rowid FROM symbol_words WHERE symbol_words MATCH ? "
            "ORDER BY bm25(symbol_words) LIMIT ?) OR leaf LIKE ?",
            (asked, _MOST_NEAR, f"{leaf[:4]}%"),
        )

    def _by_id(self, number: int) -> Record | None:
        return self._one("id = ?", number)

    def _one(self, where: str, value: Any) -> Record | None:
        found = self._records(where, (value,))
        return found[0] if found else None

    def _records(self, where: str, values: Sequence[Any]) -> list[Record]:
        rows = self._all(f"SELECT {_COLUMNS} FROM symbols WHERE {where}", values)
        return [Record(*row) for row in rows]

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection().execute(query, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        """One for each thread; the file never changes once it has its name."""
        if not hasattr(self._local, "connection"):
            uri = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
            self._local.connection = sqlite3.connect(uri, uri=True)
        connection: sqlite3.Connection = self._local.connection
        return connection


def _closeness(leaf: str, record: Record) -> float:
    """From 0 to 1: how alike the names are, letter by letter or word by word."""
    other = record.qualname.rpartition(".")[2]
    if leaf == other:
        return 1.0
    letters = difflib.SequenceMatcher(None, leaf.lower(), other.lower()).ratio()
    asked, there = set(map(stem, pieces(leaf))), set(map(stem, pieces(other)))
    words = len(asked & there) / max(1, len(asked | there))
    return max(letters, 0.9 * words)
