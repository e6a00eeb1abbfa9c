"""The laboratory's book: every order once, whatever dies when.

A table of SQLite with the orders' keys unique, written through to the disk. What a job will come to
is entered when it starts and told when it ends, so that a laboratory that is started anew goes on
where its instruments are.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.agents.laboratory.messages import Job, Kind, State
from ray_matdesign.crystals.atomic import write_atomic

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    work TEXT NOT NULL,
    state TEXT NOT NULL,
    submitted_h REAL NOT NULL,
    ready_h REAL,
    started_h REAL,
    ends_h REAL,
    ended_h REAL,
    device TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    outcome TEXT,
    content TEXT
);
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, kind);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_WAIT_S = 30.0


class BadBook(ValueError):
    """A file that is no book of a laboratory, or another's; the message names it."""


@dataclass(frozen=True)
class Entry:
    """A job as the book has it.

    Attributes:
        number: From 1, in the order of submission.
        job: What is told of it.
        work: What was ordered, as JSON.
        ready_h: When it entered the queue; ``None`` before.
        ends_h: When it will end, once it has started.
        outcome: What it gave, as JSON; known from its start, told at its end.
        content: What only the laboratory knows of the sample that came of it, as JSON.
    """

    number: int
    job: Job
    work: str
    ready_h: float | None
    ends_h: float | None
    outcome: str | None
    content: str | None


class Book:
    """A file that one or several processes keep.

    Args:
        path: Begun if it is not there; its folder must exist.

    Raises:
        BadBook: The file is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        # One connection for all threads, which take turns; processes wait for each other's writes.
        self._db = sqlite3.connect(
            path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise BadBook(f"{path}: not a laboratory's book: {error}") from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def page(self) -> Iterator[None]:
        """Everything written inside is in the book together, or nothing is."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def fact(self, name: str, value: str) -> str:
        """A fact of the laboratory; the first value that is given stays."""
        with self.page():
            self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row["value"])

    def require(self, name: str, value: str) -> None:
        """Checks that a fact is what it was.

        Raises:
            BadBook: The book was begun with another value.
        """
        known = self.fact(name, value)
        if known != value:
            raise BadBook(f"{self._path}: begun with {name} {known}, not {value}")

    def enter(
        self, key: str, kind: Kind, work: str, state: State, now_h: float, reason: str
    ) -> int:
        """A new job; its number.

        Raises:
            sqlite3.IntegrityError: There is one with this key; ask :meth:`by_key` on the same page.
        """
        ready = now_h if state == "queued" else None
        cursor = self._db.execute(
            "INSERT INTO jobs (key, kind, work, state, submitted_h, ready_h, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, kind, work, state, now_h, ready, reason),
        )
        number = cursor.lastrowid
        assert number is not None  # as the table has one
        return number

    def update(self, number: int, **columns: str | float | None) -> None:
        """Changes columns of a job."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE jobs SET {names} WHERE number = ?", (*columns.values(), number))

    def by_key(self, key: str) -> Entry | None:
        """The job of a key."""
        return next(iter(self._select("key = ?", key)), None)

    def by_number(self, number: int) -> Entry | None:
        """The job of a number."""
        return next(iter(self._select("number = ?", number)), None)

    def all(self) -> list[Entry]:
        """Every job, first the first."""
        return self._select("1 = 1")

    def in_state(self, state: State) -> list[Entry]:
        """Jobs in a state, in the order they came into the queue."""
        return sorted(
            self._select("state = ?", state),
            key=lambda e: (e.job.submitted_h if e.ready_h is None else e.ready_h, e.number),
        )

    def busy_until_h(self) -> dict[str, float]:
        """For each device that was ever used, when its last job ends or ended."""
        with self._lock:
            rows = self._db.execute(
                "SELECT device, MAX(COALESCE(ended_h, ends_h)) AS free FROM jobs "
                "WHERE device != '' GROUP BY device"
            ).fetchall()
        return {row["device"]: float(row["free"]) for row in rows}

    def _select(self, condition: str, *values: object) -> list[Entry]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT * FROM jobs WHERE {condition} ORDER BY number", values
            ).fetchall()
        return [_entry(row) for row in rows]


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        number=row["number"],
        job=Job(
            id=job_id(row["number"]),
            key=row["key"],
            kind=row["kind"],
            state=row["state"],
            submitted_h=row["submitted_h"],
            started_h=row["started_h"],
            ended_h=row["ended_h"],
            device=row["device"],
            reason=row["reason"],
        ),
        work=row["work"],
        ready_h=row["ready_h"],
        ends_h=row["ends_h"],
        outcome=row["outcome"],
        content=row["content"],
    )


def job_id(number: int) -> str:
    """Id of the job with a number."""
    return f"job-{number:06d}"


def sample_name(number: int) -> str:
    """Name of the sample that comes of the job with a number."""
    return f"sample-{number:06d}"


def number_in(name: str) -> int | None:
    """Number in a job's id or a sample's name; ``None`` if it is neither."""
    digits = name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() and len(digits) < 16 else None


class WallClock:
    """Hours since a book was begun, a laboratory's hour being some fraction of a real one.

    Args:
        book: Keeps when it began, so that time goes on while nobody looks.
        hours_per_s: How fast it goes: 1/3600 is real time.
    """

    def __init__(self, book: Book, hours_per_s: float) -> None:
        self._epoch = float(book.fact("epoch_s", repr(time.time())))
        self._pace = hours_per_s

    def now_h(self) -> float:
        """Hours since the book was begun."""
        return (time.time() - self._epoch) * self._pace


class HandClock:
    """Hours that go by when told to.

    Args:
        now_h: Where it stands.
    """

    def __init__(self, now_h: float = 0.0) -> None:
        self._now_h = now_h

    def now_h(self) -> float:
        """Hours gone by."""
        return self._now_h

    def advance(self, hours: float) -> None:
        """Lets time go by."""
        self._now_h += hours


class StoredClock(HandClock):
    """A clock that goes by hand and goes on where it stood, for laboratories inside one process.

    Args:
        path: Where it keeps the time; begun if it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(float(path.read_text()) if path.exists() else 0.0)
        self._path = path

    def advance(self, hours: float) -> None:
        """Lets time go by."""
        super().advance(hours)
        write_atomic(self._path, f"{self.now_h()!r}\n")
