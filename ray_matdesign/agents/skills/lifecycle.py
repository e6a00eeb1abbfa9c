"""How skills rise and fall: uses noted, candidates promoted, versions superseded and rolled back.

Functions over a transaction of the library's file (see :mod:`.schema`); the library decides who
may call them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass

from pydantic import Field

from ray_matdesign.agents.skills.schema import record
from ray_matdesign.agents.skills.skill import Check, SkillError, Status
from ray_matdesign.agents.skills.statistics import CONFIDENCE, Attribution, upper_bound
from ray_matdesign.config.settings import Settings

_SUPERSEDED = "superseded by "


class NoSuchSkill(KeyError):
    """There is no skill of that id or name."""

    def __str__(self) -> str:
        return str(self.args[0])


class Policy(Settings):
    """When skills are promoted and retired."""

    successes: int = Field(default=3, ge=1)
    """Solved tasks that make a candidate active."""
    confidence: float = Field(default=CONFIDENCE, gt=0.5, lt=1.0)
    """With which a skill's chance of success must be known to be too low."""
    pairs: int = Field(default=5, ge=1)
    """Tasks tried with and without it that give a skill a baseline of its own."""


@dataclass(frozen=True)
class Standing:
    """A skill's place in the library.

    Attributes:
        id: Of this version.
        name: Of the entry function.
        version: Such as ``1.0.2``.
        parent: Id of the version before.
        status: How far it has come.
        reason: Why it stands there.
        current: Whether it is the version on offer, if any is.
        folder: Relative to the library's folders.
        source_hash: SHA-256 of its code.
        signature: Of the entry function.
        description: What it does and when to use it.
        uses: How often it was given to a program.
        successes: How often the task was solved.
        attribution: Tasks tried with it and without.
        checks: What was examined on admission.
    """

    id: str
    name: str
    version: str
    parent: str | None
    status: Status
    reason: str
    current: bool
    folder: str
    source_hash: str
    signature: str
    description: str
    uses: int
    successes: int
    attribution: Attribution
    checks: tuple[Check, ...]

    @property
    def failures(self) -> int:
        """How often the task was not solved."""
        return self.uses - self.successes


def standing(connection: sqlite3.Connection, skill: str) -> Standing:
    """A skill's place and evidence.

    Raises:
        NoSuchSkill: There is no skill with that id.
    """
    row = _row(connection, skill)
    uses = connection.execute(
        "SELECT count(*) AS n, coalesce(sum(solved), 0) AS good FROM use WHERE skill = ?", (skill,)
    ).fetchone()
    pairs = connection.execute(
        "SELECT solved_with, solved_without, count(*) AS n FROM pair WHERE skill = ? "
        "GROUP BY solved_with, solved_without",
        (skill,),
    )
    counts = {(bool(one["solved_with"]), bool(one["solved_without"])): one["n"] for one in pairs}
    return Standing(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        parent=row["parent"],
        status=Status(row["status"]),
        reason=row["reason"],
        current=_head(connection, row["name"]) == row["id"],
        folder=row["folder"],
        source_hash=row["source_hash"],
        signature=row["signature"],
        description=row["description"],
        uses=uses["n"],
        successes=uses["good"],
        attribution=Attribution(
            both=counts.get((True, True), 0),
            gained=counts.get((True, False), 0),
            lost=counts.get((False, True), 0),
            neither=counts.get((False, False), 0),
        ),
        checks=tuple(Check.model_validate(one) for one in json.loads(row["evidence"])),
    )


def note_use(
    connection: sqlite3.Connection, skill: str, task: str, solved: bool, policy: Policy
) -> None:
    """Counts a use; the last success that a candidate needed makes it active.

    Raises:
        NoSuchSkill: There is no skill with that id.
    """
    _row(connection, skill)
    connection.execute(
        "INSERT INTO use (skill, task, solved, at) VALUES (?, ?, ?, ?)",
        (skill, task, solved, time.time()),
    )
    now = standing(connection, skill)
    if now.status is Status.CANDIDATE and now.successes >= policy.successes:
        promote(connection, skill, f"{now.successes} of {now.uses} tasks solved with it")


def note_pair(
    connection: sqlite3.Connection, skill: str, task: str, solved_with: bool, solved_without: bool
) -> None:
    """Counts a task tried with a skill and without it; what was noted of the pair before goes.

    Raises:
        NoSuchSkill: There is no skill with that id.
    """
    _row(connection, skill)
    connection.execute("DELETE FROM pair WHERE skill = ? AND task = ?", (skill, task))
    connection.execute(
        "INSERT INTO pair (skill, task, solved_with, solved_without, at) VALUES (?, ?, ?, ?, ?)",
        (skill, task, solved_with, solved_without, time.time()),
    )


def note_verification(
    connection: sqlite3.Connection, skill: str, environment: str, problem: str
) -> None:
    """Notes whether a skill's tests passed in an environment."""
    connection.execute(
        "INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?)",
        (skill, environment, not problem, problem, time.time()),
    )
    told = problem or "tests passed"
    record(connection, skill, "verified", f"{told}, environment {environment}")


def promote(connection: sqlite3.Connection, skill: str, reason: str) -> None:
    """Makes a candidate active, and retires the version that it supersedes.

    Raises:
        NoSuchSkill: There is no skill with that id.
        SkillError: It is no candidate.
    """
    row = _row(connection, skill)
    if row["status"] != Status.CANDIDATE:
        raise SkillError(f"{skill}: {row['status']}, so it cannot be promoted")
    _set(connection, skill, Status.ACTIVE, reason)
    parent = row["parent"]
    if parent and _row(connection, parent)["status"] != Status.RETIRED:
        _set(connection, parent, Status.RETIRED, f"{_SUPERSEDED}{skill}")


def retire(connection: sqlite3.Connection, skill: str, reason: str) -> None:
    """Takes a version off offer; its nearest ancestor that nothing speaks against comes back.

    Raises:
        NoSuchSkill: There is no skill with that id.
        SkillError: It is retired.
    """
    row = _row(connection, skill)
    if row["status"] == Status.RETIRED:
        raise SkillError(f"{skill}: retired already: {row['reason']}")
    _set(connection, skill, Status.RETIRED, reason)
    if _head(connection, row["name"]) == skill and (heir := _heir(connection, row)):
        if _row(connection, heir)["status"] == Status.RETIRED:
            _set(connection, heir, Status.ACTIVE, f"{skill} was retired")
        _point(connection, row["name"], heir)


def roll_back(connection: sqlite3.Connection, name: str, reason: str) -> str:
    """Retires the current version and puts an ancestor in its place.

    Raises:
        NoSuchSkill: There is no skill of that name.
        SkillError: There is no ancestor that could take its place.
    """
    head = _head(connection, name)
    if head is None:
        raise NoSuchSkill(f"{name}: no skill of that name")
    row = _row(connection, head)
    heir = _heir(connection, row)
    if heir is None:
        raise SkillError(f"{head}: there is no version before it to go back to")
    told = f"rolled back: {reason}" if reason else "rolled back"
    retire(connection, head, told)
    return heir


def weed(
    connection: sqlite3.Connection, policy: Policy, baseline: float | None
) -> list[tuple[str, str]]:
    """Retires what lowers the rate of solved tasks; ids and reasons."""
    live = connection.execute(
        "SELECT id FROM skill WHERE status IN (?, ?) ORDER BY id",
        (Status.CANDIDATE, Status.ACTIVE),
    ).fetchall()
    weeded = []
    for row in live:
        if reason := _against(standing(connection, row["id"]), policy, baseline):
            retire(connection, row["id"], reason)
            weeded.append((row["id"], reason))
    return weeded


def _against(now: Standing, policy: Policy, baseline: float | None) -> str:
    paired = now.attribution
    if paired.harmful(policy.confidence):
        return f"tasks are lost by it: {paired.lost} lost and {paired.gained} gained"
    solved, tried = now.successes, now.uses
    if paired.pairs >= policy.pairs:
        solved, tried, baseline = paired.solved_with, paired.pairs, paired.baseline
    if baseline is None:
        return ""
    bound = upper_bound(solved, tried - solved, policy.confidence)
    if bound < baseline:
        return f"{solved} of {tried} tasks solved, at most {bound:.2f}; without it {baseline:.2f}"
    return ""


def _heir(connection: sqlite3.Connection, row: sqlite3.Row) -> str | None:
    """The nearest ancestor that is on offer, or was superseded only."""
    parent: str | None = row["parent"]
    while parent is not None:
        above = _row(connection, parent)
        if above["status"] != Status.RETIRED or above["reason"].startswith(_SUPERSEDED):
            return parent
        parent = above["parent"]
    return None


def _head(connection: sqlite3.Connection, name: str) -> str | None:
    found = connection.execute("SELECT id FROM head WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found["id"])


def _point(connection: sqlite3.Connection, name: str, skill: str) -> None:
    connection.execute("UPDATE head SET id = ? WHERE name = ?", (skill, name))
    record(connection, skill, "current", "of the versions")


def _set(connection: sqlite3.Connection, skill: str, status: Status, reason: str) -> None:
    connection.execute(
        "UPDATE skill SET status = ?, reason = ? WHERE id = ?", (status.value, reason, skill)
    )
    record(connection, skill, status.value, reason)


def _row(connection: sqlite3.Connection, skill: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM skill WHERE id = ?", (skill,)
    ).fetchone()
    if row is None:
        raise NoSuchSkill(f"{skill}: no skill with that id")
    return row
