"""What the library's file and folders hold: skills put in, found and read back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ray_matdesign.agents.cascade.task import FoundSkill
from ray_matdesign.agents.database import changing, reading
from ray_matdesign.agents.retrieval import (
    LEAST_RELEVANCE,
    match_expression,
    rarities,
    relevance,
    words,
)
from ray_matdesign.agents.skills import lifecycle
from ray_matdesign.agents.skills.admission import Verdict
from ray_matdesign.agents.skills.environment import Versions, environment_hash, environment_of
from ray_matdesign.agents.skills.folder import sync_folder, write_skill
from ray_matdesign.agents.skills.normal_form import code_hash
from ray_matdesign.agents.skills.schema import record
from ray_matdesign.agents.skills.skill import Draft, Meta, Skill, Status, Tests, digest, id_of
from ray_matdesign.agents.skills.static_check import entry_of
from ray_matdesign.agents.skills.statistics import lower_bound
from ray_matdesign.agents.skills.versions import Version

_LOOKED_AT = 50
_ON_OFFER = (
    "FROM spoken JOIN skill ON skill.id = spoken.skill "
    "JOIN head ON head.id = skill.id WHERE status IN ('candidate', 'active')"
)


def found(
    connection: sqlite3.Connection, question: str, limit: int, versions: Versions
) -> list[FoundSkill]:
    """Skills on offer that a question may want and that run here, the most promising first."""
    asked = words(question)
    expression = match_expression(asked)
    if not expression:
        return []
    rows = connection.execute(
        f"SELECT skill.*, spoken.words {_ON_OFFER} AND spoken MATCH ? "
        f"ORDER BY bm25(spoken) LIMIT ?",
        (expression, _LOOKED_AT),
    ).fetchall()
    everything = connection.execute(f"SELECT spoken.words {_ON_OFFER}")
    held = [set(row["words"].split()) for row in everything]
    rarity = rarities(asked, held)
    ranked = []
    for row in rows:
        weight = relevance(asked, row["words"].split(), rarity)
        if weight >= LEAST_RELEVANCE and _runs_here(connection, row, versions):
            now = lifecycle.standing(connection, row["id"])
            ranked.append((weight * (1.0 + lower_bound(now.successes, now.failures)), row))
    ranked.sort(key=lambda one: (-one[0], one[1]["id"]))
    return [
        FoundSkill(row["id"], row["name"], row["signature"], row["description"])
        for _, row in ranked[:limit]
    ]


def on_offer(connection: sqlite3.Connection) -> list[str]:
    """Ids of the current versions that are not retired."""
    return sorted(row["id"] for row in connection.execute(f"SELECT skill.id {_ON_OFFER}"))


def put(
    file: Path,
    folders: Path,
    draft: Draft,
    verdict: Verdict,
    parent: Skill | None,
    versions: Versions,
) -> Skill:
    """Makes a skill of a draft that passed: its folder first, then the row that makes it known."""
    skill = _skill(draft, verdict.tests, _next_version(file, draft, parent), versions)
    folder = write_skill(skill, folders / skill.id)
    sync_folder(folders)
    with changing(file) as connection:
        _insert(connection, skill, str(folder.relative_to(folders)), verdict)
    return skill


def refuse(file: Path, draft: Draft, verdict: Verdict) -> None:
    """Keeps a draft that did not pass, with the reason."""
    row = (draft.name, verdict.reason, verdict.duplicate_of, draft.model_dump_json(), time.time())
    with changing(file) as connection:
        connection.execute(
            "INSERT INTO refusal (name, reason, duplicate_of, draft, at) VALUES (?, ?, ?, ?, ?)",
            row,
        )


def reword(connection: sqlite3.Connection, skill: str, question: str) -> None:
    """Lets a skill be found by the words of another question."""
    lifecycle.standing(connection, skill)
    (old,) = connection.execute("SELECT words FROM spoken WHERE skill = ?", (skill,)).fetchone()
    joined = " ".join(dict.fromkeys([*old.split(), *words(question)]))
    connection.execute("UPDATE spoken SET words = ? WHERE skill = ?", (joined, skill))


def clear(file: Path, folders: Path) -> None:
    """Removes folders that a killed writer put in place without making them known."""
    with reading(file) as connection:
        rows = connection.execute("SELECT folder FROM skill")
        kept = {row["folder"].partition("/")[0] for row in rows}
    for one in folders.iterdir():
        if one.name not in kept:
            shutil.rmtree(one)


def _next_version(file: Path, draft: Draft, parent: Skill | None) -> Version:
    if parent is None:
        return Version()
    with reading(file) as connection:
        rows = connection.execute("SELECT version FROM skill WHERE name = ?", (draft.name,))
        newest = max(Version.parse(row["version"]) for row in rows)
    now, before = entry_of(draft.source, draft.name), entry_of(parent.source, parent.name)
    return newest.after(new_calls=now.arguments != before.arguments)


def _skill(draft: Draft, tests: Tests, version: Version, versions: Versions) -> Skill:
    environment = environment_of(draft.source, versions)
    meta = Meta(
        id=id_of(draft.name, version),
        version=str(version),
        parent=draft.parent,
        environment=environment,
        environment_hash=environment_hash(environment),
        code_hash=code_hash(draft.source),
        source_hash=digest(draft.source),
        source_task=draft.source_task,
        question=draft.question,
        model=draft.model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status=Status.CANDIDATE,
    )
    return Skill(
        name=draft.name,
        description=draft.description,
        when_to_use=draft.when_to_use,
        tags=draft.tags,
        source=draft.source,
        tests=tests,
        meta=meta,
    )


def _insert(connection: sqlite3.Connection, skill: Skill, folder: str, verdict: Verdict) -> None:
    meta = skill.meta
    said = f"{skill.description} {skill.when_to_use}".strip()
    row: Sequence[str | None] = (
        skill.id,
        skill.name,
        meta.version,
        meta.parent,
        Status.CANDIDATE.value,
        "admitted",
        folder,
        entry_of(skill.source, skill.name).signature,
        said,
        json.dumps(meta.environment),
        meta.source_hash,
        json.dumps([check.model_dump() for check in verdict.checks]),
    )
    connection.execute(f"INSERT INTO skill VALUES ({', '.join('?' * len(row))})", row)
    spoken = " ".join([skill.name, said, meta.question, *skill.tags])
    indexed = " ".join(dict.fromkeys(words(spoken)))
    connection.execute("INSERT INTO spoken VALUES (?, ?)", (skill.id, indexed))
    connection.execute("INSERT OR REPLACE INTO head VALUES (?, ?)", (skill.name, skill.id))
    lifecycle.note_verification(connection, skill.id, meta.environment_hash, "")
    record(connection, skill.id, "admitted", f"from {meta.source_task or 'a folder'}")


def _runs_here(connection: sqlite3.Connection, row: sqlite3.Row, versions: Versions) -> bool:
    """Whether its tests passed with the packages that are installed here."""
    here = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in json.loads(row["environment"]).keys() - here.keys():
        version = versions(name)
        if version is None:
            return False
        here[name] = version
    passed = connection.execute(
        "SELECT passed FROM verified WHERE skill = ? AND environment = ?",
        (row["id"], environment_hash(here)),
    ).fetchone()
    return bool(passed and passed["passed"])
