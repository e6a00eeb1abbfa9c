"""The skills there are: found, counted, admitted, promoted, retired and rolled back.

Content lies in folders that never change once they are there; index, status and statistics lie in
one SQLite file, which alone says what is in the library. A folder is put in place before the
transaction that makes it known, so that a kill at any moment leaves the library as it was or as it
was to be. One process at a time may change what skills there are; any number may search, and note
uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.agents import database
from ray_matdesign.agents.cascade.task import FoundSkill
from ray_matdesign.agents.skills import lifecycle, shelf
from ray_matdesign.agents.skills.admission import Verdict, check_tests, duplicate, examine
from ray_matdesign.agents.skills.environment import (
    Versions,
    environment_hash,
    environment_of,
    importable,
    installed,
)
from ray_matdesign.agents.skills.folder import read_skill
from ray_matdesign.agents.skills.lifecycle import Policy, Standing
from ray_matdesign.agents.skills.schema import SCHEMA, VERSION
from ray_matdesign.agents.skills.skill import Check, Draft, Skill, SkillError, Status
from ray_matdesign.agents.skills.trial import Workbench
from ray_matdesign.agents.skills.versions import Version
from ray_matdesign.agents.writing_lock import writing


@dataclass(frozen=True)
class Admitted:
    """What became of a draft.

    Attributes:
        id: Of the new skill; ``None`` if it was refused.
        reason: Why it was refused, in one line.
        duplicate_of: The skill that does the same already.
        checks: What was examined.
    """

    id: str | None
    reason: str
    duplicate_of: str | None
    checks: tuple[Check, ...]


class Library:
    """Skills of one folder: a ``Skills`` of the solvers.

    Args:
        root: Folder; made if it is missing.
        policy: When skills are promoted and retired.
        versions: What is installed.
        wait_s: How long to wait for another writer.

    Raises:
        DatabaseError: The folder holds something else.
        OSError: It cannot be made.
    """

    def __init__(
        self,
        root: Path,
        policy: Policy | None = None,
        versions: Versions = installed,
        wait_s: float = 30.0,
    ) -> None:
        self.root = root
        self.policy = policy or Policy()
        self._versions = versions
        self._wait_s = wait_s
        self._folders = root / "folders"
        self._folders.mkdir(parents=True, exist_ok=True)
        self._file = root / "skills.sqlite"
        database.create(self._file, SCHEMA, VERSION)

    def search(self, question: str, limit: int = 5) -> list[FoundSkill]:
        """See :class:`ray_matdesign.agents.cascade.task.Skills`.

        Of each skill the current version, if its tests passed with the packages installed here.
        Ranked by the share of the question's words it has, times one plus the lower bound of its
        chance of success.
        """
        with database.reading(self._file) as connection:
            return shelf.found(connection, question, limit, self._versions)

    def code(self, skill: str) -> str:
        """See :class:`ray_matdesign.agents.cascade.task.Skills`.

        Raises:
            KeyError: There is no skill with that id.
            SkillError: Its folder is damaged.
        """
        return self.load(skill).source

    def used(self, skill: str, task: str, *, solved: bool) -> None:
        """See :class:`ray_matdesign.agents.cascade.task.Skills`; promotes a proven candidate.

        Raises:
            KeyError: There is no skill with that id.
        """
        with database.changing(self._file) as connection:
            lifecycle.note_use(connection, skill, task, solved, self.policy)

    def compared(self, skill: str, task: str, *, solved_with: bool, solved_without: bool) -> None:
        """Notes a task that was tried with a skill and without it, all else being equal.

        A second note of the same task replaces the first.

        Raises:
            KeyError: There is no skill with that id.
        """
        with database.changing(self._file) as connection:
            lifecycle.note_pair(connection, skill, task, solved_with, solved_without)

    def load(self, skill: str) -> Skill:
        """A skill with its status and counts as they are now.

        Raises:
            KeyError: There is no skill with that id.
            SkillError: Its folder is damaged.
        """
        with database.reading(self._file) as connection:
            counted = lifecycle.standing(connection, skill)
        found = read_skill(self._folders / counted.folder)
        if found.meta.source_hash != counted.source_hash:
            raise SkillError(f"{skill}: its code is not what was admitted")
        update = {
            "status": counted.status, "uses": counted.uses, "successes": counted.successes
        }  # fmt: skip
        return found.model_copy(update={"meta": found.meta.model_copy(update=update)})

    def standing(self, skill: str) -> Standing:
        """Status and evidence of a skill.

        Raises:
            KeyError: There is no skill with that id.
        """
        with database.reading(self._file) as connection:
            return lifecycle.standing(connection, skill)

    def standings(self) -> list[Standing]:
        """All skills there ever were, by name and version."""
        with database.reading(self._file) as connection:
            rows = connection.execute("SELECT id FROM skill").fetchall()
            found = [lifecycle.standing(connection, row["id"]) for row in rows]
        return sorted(found, key=lambda one: (one.name, Version.parse(one.version)))

    def history(self, skill: str) -> list[tuple[float, str, str]]:
        """Time (seconds since 1970), event and reason, oldest first."""
        with database.reading(self._file) as connection:
            rows = connection.execute("SELECT * FROM event WHERE skill = ? ORDER BY id", (skill,))
            return [(row["at"], row["what"], row["reason"]) for row in rows]

    def refusals(self) -> list[tuple[str, str]]:
        """Names of drafts that were refused, with the reasons, oldest first."""
        with database.reading(self._file) as connection:
            rows = connection.execute("SELECT name, reason FROM refusal ORDER BY id")
            return [(row["name"], row["reason"]) for row in rows]

    def names(self) -> set[str]:
        """Names that are taken."""
        return {one.name for one in self.standings()}

    def admit(self, draft: Draft, bench: Workbench) -> Admitted:
        """Examines a draft, and takes it in as a candidate if it passes.

        It is examined before the library is locked, and compared once more with what came in
        meanwhile.

        Args:
            draft: The proposal; with a parent, it takes the place of it.
            bench: Where to run it.

        Raises:
            KeyError: There is no skill with the parent's id.
            SandboxUnavailable: There is no sandbox; nothing was run or admitted.
            Locked: Another process is writing.
        """
        parent = self.load(draft.parent) if draft.parent else None
        known = self._live()
        verdict = _examined(draft, bench, known, parent, self.names())
        with self.writing():
            if not verdict.reason:
                verdict = self._once_more(draft, verdict, bench, known)
            if verdict.reason:
                shelf.refuse(self._file, draft, verdict)
                return Admitted(None, verdict.reason, verdict.duplicate_of, verdict.checks)
            skill = shelf.put(self._file, self._folders, draft, verdict, parent, self._versions)
        return Admitted(skill.id, "", None, verdict.checks)

    def verify(self, skill: str, bench: Workbench) -> str:
        """Runs a skill's tests with the packages installed here; one that fails is retired.

        Returns:
            Why it failed, in one line; empty if it did not.

        Raises:
            KeyError: There is no skill with that id.
            SandboxUnavailable: There is no sandbox; nothing was run.
            Locked: Another process is writing.
        """
        loaded = self.load(skill)
        problem = check_tests(loaded, bench)
        now = environment_of(loaded.source, self._versions)
        with self.writing(), database.changing(self._file) as connection:
            lifecycle.note_verification(connection, skill, environment_hash(now), problem)
            if problem and loaded.meta.status is not Status.RETIRED:
                lifecycle.retire(connection, skill, f"its tests fail here: {problem}")
        return problem

    def promote(self, skill: str, reason: str) -> None:
        """Makes a candidate active, on somebody's word.

        Raises:
            KeyError: There is no skill with that id.
            SkillError: It is no candidate.
            Locked: Another process is writing.
        """
        with self.writing(), database.changing(self._file) as connection:
            lifecycle.promote(connection, skill, reason)

    def retire(self, skill: str, reason: str) -> None:
        """Takes a skill off offer; its folder and its evidence stay.

        Raises:
            KeyError: There is no skill with that id.
            SkillError: It is retired.
            Locked: Another process is writing.
        """
        with self.writing(), database.changing(self._file) as connection:
            lifecycle.retire(connection, skill, reason)

    def roll_back(self, name: str, reason: str) -> str:
        """Retires the current version of a skill and offers its parent again.

        Returns:
            Id of the version that is now current.

        Raises:
            KeyError: There is no skill of that name.
            SkillError: Its current version has no parent.
            Locked: Another process is writing.
        """
        with self.writing(), database.changing(self._file) as connection:
            return lifecycle.roll_back(connection, name, reason)

    def weed(self, baseline: float | None = None) -> list[tuple[str, str]]:
        """Retires skills that the evidence speaks against.

        Args:
            baseline: Share of tasks solved without skills, for skills that have no pairs.

        Returns:
            Id and reason of each.

        Raises:
            Locked: Another process is writing.
        """
        with self.writing(), database.changing(self._file) as connection:
            return lifecycle.weed(connection, self.policy, baseline)

    def also_asked(self, skill: str, question: str) -> None:
        """Notes another wording of what a skill answers, to be found by.

        Raises:
            KeyError: There is no skill with that id.
        """
        with database.changing(self._file) as connection:
            shelf.reword(connection, skill, question)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the library's lock, after clearing what a killed writer left.

        Raises:
            Locked: Another process is writing.
        """
        with writing(self.root / "lock", self._wait_s):
            shelf.clear(self._file, self._folders)
            yield

    def _live(self) -> list[Skill]:
        """Current versions that are on offer."""
        with database.reading(self._file) as connection:
            ids = shelf.on_offer(connection)
        return [self.load(skill) for skill in ids]

    def _once_more(
        self, draft: Draft, verdict: Verdict, bench: Workbench, known: Sequence[Skill]
    ) -> Verdict:
        """Looks at what came in between the examination and the lock."""
        seen = {skill.id for skill in known}
        fresh = [skill for skill in self._live() if skill.id not in seen]
        same = duplicate(draft, fresh, bench)
        taken = _name_taken(draft, self.names())
        found = f"returns the same as {same}" if same else taken
        if not found:
            return verdict
        check = Check(name="duplicate", passed=False, detail=found)
        return Verdict((*verdict.checks, check), verdict.tests, same)


def _examined(
    draft: Draft, bench: Workbench, known: Sequence[Skill], parent: Skill | None, names: set[str]
) -> Verdict:
    verdict = examine(draft, bench, known, parent)
    problem = _name_taken(draft, names)
    if parent is not None and parent.name != draft.name:
        problem = f"a version of {parent.name} must be called like it, not {draft.name}"
    if verdict.reason or not problem:
        return verdict
    check = Check(name="name", passed=False, detail=problem)
    return Verdict((*verdict.checks, check), verdict.tests)


def _name_taken(draft: Draft, names: set[str]) -> str:
    if importable(draft.name):
        return f"{draft.name} is a package that is installed; choose another name"
    if draft.parent is None and draft.name in names:
        return f"there is a skill {draft.name}; choose another name, or make it a version of that"
    return ""
