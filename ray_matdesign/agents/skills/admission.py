"""What a skill must pass before it may be offered to anybody.

It is read (imports, form, answers written into the code), run twice with other seeds and in reverse
order with the same results, compared with known values, some of which its writer had not seen, or
with relations that must hold, and told apart from the skills there are. A better version passes the
tests of the version it replaces.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_matdesign.agents.redaction import redacted
from ray_matdesign.agents.skills.comparison import agree
from ray_matdesign.agents.skills.literals import answer_literal
from ray_matdesign.agents.skills.normal_form import code_hash
from ray_matdesign.agents.skills.skill import Case, Check, Draft, Inputs, Relation, Skill, Tests
from ray_matdesign.agents.skills.static_check import Entry, check_skill, entry_of
from ray_matdesign.agents.skills.trial import Called, Workbench, try_out
from ray_matdesign.agents.written_source import StaticError

_ALIKE = 1e-6
"""Relative difference of numbers that two skills with one behaviour may have."""


@dataclass(frozen=True)
class Verdict:
    """Whether a draft may become a skill.

    Attributes:
        checks: What was examined, up to the first that failed.
        tests: Those of the draft, and of the version that it replaces.
        duplicate_of: Id of the skill that does the same.
    """

    checks: tuple[Check, ...]
    tests: Tests
    duplicate_of: str | None = None

    @property
    def reason(self) -> str:
        """Why it was refused, in one line; empty if it was not."""
        return next((f"{one.name}: {one.detail}" for one in self.checks if not one.passed), "")


class _Failed(Exception):
    """A check that was not passed; carries what was found."""

    def __init__(self, name: str, found: str, duplicate_of: str | None = None) -> None:
        super().__init__(f"{name}: {found}")
        self.check = Check(name=name, passed=False, detail=found)
        self.duplicate_of = duplicate_of


def examine(
    draft: Draft, bench: Workbench, known: Sequence[Skill] = (), parent: Skill | None = None
) -> Verdict:
    """Examines a draft; what is wrong with it is a value.

    Args:
        draft: The proposal.
        bench: Where to run it.
        known: Skills it must differ from.
        parent: The version it replaces.

    Raises:
        SandboxUnavailable: There is no sandbox; the code was not run.
    """
    tests = _joined(draft.tests, parent)
    passed: list[Check] = []
    try:
        for name, found in _examined(draft, tests, bench, known, parent):
            passed.append(Check(name=name, passed=True, detail=found))
    except _Failed as failure:
        return Verdict((*passed, failure.check), tests, failure.duplicate_of)
    return Verdict(tuple(passed), tests)


def check_tests(skill: Skill, bench: Workbench) -> str:
    """Runs a skill's tests again.

    Returns:
        Why it failed, in one line; empty if it did not.

    Raises:
        SandboxUnavailable: There is no sandbox; the code was not run.
    """
    try:
        found = _replayed(skill.source, skill.name, skill.tests, bench)
        _check_values("tests", skill.tests.cases, found)
        _check_relations(skill.tests.relations, found[len(skill.tests.cases) :])
    except _Failed as failure:
        return str(failure)
    return ""


def duplicate(draft: Draft, known: Iterable[Skill], bench: Workbench) -> str | None:
    """Id of a skill that has the same code, or returns the same for the draft's inputs.

    Raises:
        SandboxUnavailable: There is no sandbox; the code was not run.
    """
    entry, own = entry_of(draft.source, draft.name), code_hash(draft.source)
    calls = _calls(draft.tests)
    values: list[Called] = []
    for skill in known:
        if skill.meta.code_hash == own:
            return skill.id
        inputs = _translated(entry, entry_of(skill.source, skill.name), calls)
        if inputs is not None:
            values = values or try_out(draft.source, draft.name, calls, bench)
            others = try_out(skill.source, skill.name, inputs, bench)
            if all(map(_alike, values, others)):
                return skill.id
    return None


def _examined(
    draft: Draft, tests: Tests, bench: Workbench, known: Sequence[Skill], parent: Skill | None
) -> Iterator[tuple[str, str]]:
    try:
        entry = check_skill(draft.source, draft.name)
    except StaticError as error:
        raise _Failed("static", str(error)) from error
    if kinds := redacted(draft.source).kinds:
        raise _Failed("static", f"there is something like a secret in the code: {kinds[0]}")
    yield "static", entry.signature
    if literal := answer_literal(draft.source, draft.tests.cases):
        raise _Failed("answers", literal)
    yield "answers", "none of them stands in the code"
    own = code_hash(draft.source)
    for skill in known:
        if skill.meta.code_hash == own:
            raise _Failed("duplicate", f"the same code as {skill.id}", skill.id)
    yield "tests", _check_tests_tell(entry, tests)
    found = _replayed(draft.source, draft.name, tests, bench)
    yield "replay", f"{len(found)} calls, twice the same"
    shown = [case for case in draft.tests.cases if not case.held_out]
    cases = dict(zip(_keys(tests.cases), found, strict=False))
    if parent is not None:
        for name, held_out in (("regression", False), ("held-out", True)):
            old = [case for case in parent.tests.cases if case.held_out is held_out]
            _check_values(name, old, [cases[key] for key in _keys(old)])
        yield "regression", f"passes the {len(parent.tests.cases)} cases of {parent.id}"
    _check_values("shown", shown, [cases[key] for key in _keys(shown)])
    yield "shown", f"{len(shown)} cases"
    held = [case for case in draft.tests.cases if case.held_out]
    _check_values("held-out", held, [cases[key] for key in _keys(held)])
    _check_relations(tests.relations, found[len(tests.cases) :])
    yield "held-out", f"{len(held)} cases, {len(tests.relations)} relations"
    if same := duplicate(draft, known, bench):
        raise _Failed("duplicate", f"returns the same as {same} for all inputs", same)
    yield "duplicate", f"differs from the {len(known)} others"


def _check_tests_tell(entry: Entry, tests: Tests) -> str:
    """Refuses tests that code which computes nothing could pass."""
    for inputs in _calls(tests):
        if unknown := inputs.keys() - entry.arguments.keys():
            raise _Failed("tests", f"{entry.name} has no argument {sorted(unknown)[0]}")
        if missing := entry.required - inputs.keys():
            raise _Failed("tests", f"a test gives no {sorted(missing)[0]}")
    seen = [case.inputs for case in tests.cases if not case.held_out]
    held = [case for case in tests.cases if case.held_out and case.inputs not in seen]
    moving = [relation for relation in tests.relations if relation.relation != "same"]
    if not (held or moving):
        raise _Failed(
            "tests", "none is held out with other inputs than those shown, and no relation moves"
        )
    first = tests.cases[0] if tests.cases else None
    if not moving and all(first and _fits(first, Called(c.expected)) for c in tests.cases):
        raise _Failed("tests", "all expect the same value, so a constant would pass them")
    return f"{len(tests.cases)} cases and {len(tests.relations)} relations"


def _replayed(source: str, entry: str, tests: Tests, bench: Workbench) -> list[Called]:
    """Results of the cases, then of both calls of each relation; the same in two runs."""
    calls = _calls(tests)
    first = try_out(source, entry, calls, bench, seed=0)
    if all(one.error for one in first):  # which the values will tell
        return first
    again = try_out(source, entry, calls, bench, seed=1, backwards=True)
    for inputs, one, other in zip(calls, first, again, strict=True):
        if one != other:
            raise _Failed(
                "replay", f"{_told(inputs)} gave {_what(one)}, and {_what(other)} the second time"
            )
    return first


def _check_values(name: str, cases: Sequence[Case], found: Sequence[Called]) -> None:
    for case, called in zip(cases, found, strict=False):
        if not _fits(case, called):
            expected = json.dumps(case.expected)[:100]
            raise _Failed(name, f"{_told(case.inputs)} gave {_what(called)}, expected {expected}")


def _check_relations(relations: Sequence[Relation], found: Sequence[Called]) -> None:
    pairs = zip(relations, found[::2], found[1::2], strict=True)
    for relation, before, after in pairs:
        if before.error or after.error or not _holds(relation, before.value, after.value):
            wanted = f"{relation.relation}, by {_told(relation.changed)}"
            raise _Failed("held-out", f"{_what(before)} became {_what(after)}, wanted {wanted}")


def _holds(relation: Relation, before: Any, after: Any) -> bool:
    if relation.relation == "same":
        return agree(after, before, rel_tol=relation.rel_tol, abs_tol=0.0)
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in (before, after)):
        return False
    match relation.relation:
        case "greater":
            return bool(after > before)
        case "less":
            return bool(after < before)
    wanted = before * relation.factor
    return agree(after, wanted, rel_tol=relation.rel_tol, abs_tol=0.0)


def _fits(case: Case, called: Called) -> bool:
    return not called.error and agree(
        called.value, case.expected, rel_tol=case.rel_tol, abs_tol=case.abs_tol
    )


def _joined(own: Tests, parent: Skill | None) -> Tests:
    """Tests of a draft and its parent, each once."""
    if parent is None:
        return own
    cases = {_key(case): case for case in (*parent.tests.cases, *own.cases)}
    relations = {one.model_dump_json(): one for one in (*parent.tests.relations, *own.relations)}
    return Tests(cases=tuple(cases.values()), relations=tuple(relations.values()))


def _calls(tests: Tests) -> list[Inputs]:
    """Inputs of the cases, then of both calls of each relation."""
    calls = [case.inputs for case in tests.cases]
    for relation in tests.relations:
        calls += [relation.inputs, {**relation.inputs, **relation.changed}]
    return calls


def _translated(entry: Entry, other: Entry, calls: Sequence[Inputs]) -> list[Inputs] | None:
    """Inputs under another function's names: the same names, or the same types in order."""
    if not calls:
        return None
    if all(other.required <= inputs.keys() <= set(other.arguments) for inputs in calls):
        return list(calls)
    if list(entry.arguments.values()) != list(other.arguments.values()):
        return None
    names = dict(zip(entry.arguments, other.arguments, strict=True))
    return [{names[name]: value for name, value in inputs.items()} for inputs in calls]


def _alike(one: Called, other: Called) -> bool:
    if one.error or other.error:
        return False
    return agree(one.value, other.value, rel_tol=_ALIKE, abs_tol=0.0)


def _keys(cases: Iterable[Case]) -> list[str]:
    return [_key(case) for case in cases]


def _key(case: Case) -> str:
    return json.dumps(case.inputs, sort_keys=True)


def _told(inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}"[:60] for name, value in inputs.items())[:200] or "no input"


def _what(called: Called) -> str:
    return called.error or json.dumps(called.value)[:100]
