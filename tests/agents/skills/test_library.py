from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeded import SPACING, altered, cases, spacing, volume

from ray_matdesign.agents.cascade.task import Skills
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.lifecycle import Policy
from ray_matdesign.agents.skills.skill import SkillError, Status, Tests
from ray_matdesign.agents.skills.trial import Workbench

FIRST, SECOND, THIRD = (f"plane_spacing@1.0.{n}" for n in range(3))
RETURN = "return a / sqrt(h**2 + k**2 + l**2)"
ROOT = "n = h**2 + k**2 + l**2\n    return a / sqrt(n) if n else "


def _child(library: Library, bench: Workbench, parent: str, at_zero: float, a: float) -> None:
    """A version that gives ``at_zero`` for the indices 0 0 0 and the lattice parameter ``a``."""
    tests = Tests(cases=cases(({"a": a, "h": 0, "k": 0, "l": 0}, at_zero, False)))
    source = altered(RETURN, f"{ROOT}{at_zero}")
    if parent != FIRST:
        source = altered(RETURN, f"{ROOT}(0.0 if a == 4.0 else {at_zero})")
    found = library.admit(spacing(source, parent=parent, tests=tests), bench)
    assert found.id, found.reason


@pytest.fixture
def lineage(library: Library, bench: Workbench) -> Library:
    """Three versions of a skill, all candidates, the last one current."""
    assert library.admit(spacing(), bench).id == FIRST
    _child(library, bench, FIRST, 0.0, 4.0)
    _child(library, bench, SECOND, 1.0, 5.0)
    return library


def test_a_new_skill_is_found_read_and_counted(library: Library, bench: Workbench) -> None:
    skills: Skills = library
    assert skills.search("spacing of the planes of aluminium") == []
    library.admit(spacing(), bench)
    (found,) = skills.search("How far apart are the (220) lattice planes of nickel?")
    assert found.id == FIRST
    assert found.signature == "plane_spacing(a: float, h: int, k: int, l: int) -> float"
    assert skills.code(found.id) == SPACING
    skills.used(found.id, "t1", solved=True)
    skills.used(found.id, "t2", solved=False)
    now = library.standing(FIRST)
    assert (now.uses, now.successes, now.status) == (2, 1, Status.CANDIDATE)
    assert library.load(FIRST).meta.uses == 2


def test_unknown_skills_are_key_errors(library: Library) -> None:
    for ask in (library.code, library.load, library.standing):
        with pytest.raises(KeyError, match="x@1: no skill"):
            ask("x@1")
    with pytest.raises(KeyError):
        library.used("x@1", "t", solved=True)


def test_a_candidate_becomes_active_by_solving_tasks(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    for n, expected in enumerate(("candidate", "candidate", "active")):
        library.used(FIRST, f"t{n}", solved=True)
        assert library.standing(FIRST).status == expected
    assert library.standing(FIRST).reason == "3 of 3 tasks solved with it"


def test_or_by_somebodys_word(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    library.promote(FIRST, "read by a crystallographer")
    assert library.standing(FIRST).status is Status.ACTIVE
    with pytest.raises(SkillError, match="active, so it cannot be promoted"):
        library.promote(FIRST, "")
    assert [what for _, what, _ in library.history(FIRST)] == ["verified", "admitted", "active"]


def test_of_versions_the_last_is_on_offer_and_supersedes_when_proven(lineage: Library) -> None:
    assert [one.id for one in lineage.search("distance of lattice planes")] == [THIRD]
    lineage.promote(THIRD, "")
    assert lineage.standing(SECOND).reason == f"superseded by {THIRD}"
    assert lineage.standing(THIRD).parent == SECOND


def test_rolling_back_brings_the_superseded_version_back(lineage: Library) -> None:
    lineage.promote(SECOND, "")
    lineage.promote(THIRD, "")
    assert lineage.roll_back("plane_spacing", "wrong for 0 0 0") == SECOND
    assert lineage.standing(SECOND).status is Status.ACTIVE
    assert lineage.standing(THIRD).reason == "rolled back: wrong for 0 0 0"
    assert [one.id for one in lineage.search("distance of lattice planes")] == [SECOND]
    assert lineage.roll_back("plane_spacing", "") == FIRST
    with pytest.raises(SkillError, match="no version before it"):
        lineage.roll_back("plane_spacing", "")
    with pytest.raises(KeyError):
        lineage.roll_back("cell_volume", "")


def test_retired_skills_are_not_offered_but_stay(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    library.retire(FIRST, "units were mistaken")
    assert library.search("distance of lattice planes") == []
    assert library.code(FIRST) == SPACING
    with pytest.raises(SkillError, match="retired already: units were mistaken"):
        library.retire(FIRST, "")


def test_what_lowers_the_rate_of_solved_tasks_is_weeded_out(
    library: Library, bench: Workbench
) -> None:
    library.admit(spacing(), bench)
    library.admit(volume(), bench)
    for n in range(6):
        library.used(FIRST, f"t{n}", solved=n == 0)
    # Beta(2, 6) stays below 0.521 with 95 %.
    assert library.weed(baseline=0.5) == []
    assert library.weed(baseline=None) == []
    ((retired, reason),) = library.weed(baseline=0.53)
    assert retired == FIRST
    assert reason == "1 of 6 tasks solved, at most 0.52; without it 0.53"
    for n in range(4):
        library.compared("cell_volume@1.0.0", f"p{n}", solved_with=False, solved_without=True)
    ((retired, reason),) = library.weed()
    assert (retired, reason) == ("cell_volume@1.0.0", "tasks are lost by it: 4 lost and 0 gained")


def test_a_pair_that_is_noted_again_counts_once(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    for solved in (True, False):
        library.compared(FIRST, "p", solved_with=solved, solved_without=True)
    assert (library.standing(FIRST).attribution.pairs, library.weed()) == (1, [])
    assert library.standing(FIRST).attribution.lost == 1


def test_a_weeded_version_gives_way_to_its_parent(lineage: Library) -> None:
    for n in range(4):
        lineage.compared(THIRD, f"p{n}", solved_with=False, solved_without=True)
    assert [one for one, _ in lineage.weed()] == [THIRD]
    assert [one.id for one in lineage.search("distance of lattice planes")] == [SECOND]


def test_proven_skills_come_first(tmp_path: Path, bench: Workbench) -> None:
    library = Library(tmp_path)
    library.admit(spacing(), bench)
    half = altered(RETURN, f"{RETURN} / 2").replace("plane_spacing", "half_spacing")
    doubled = cases(
        ({"a": 4.0, "h": 1, "k": 0, "l": 0}, 2.0, False),
        ({"a": 6.0, "h": 2, "k": 0, "l": 0}, 1.5, True),
    )
    tests = Tests(cases=doubled)
    twin = library.admit(spacing(half, name="half_spacing", tests=tests), bench).id
    question = "distance of lattice planes of a cubic crystal"
    for proven, other in ((FIRST, twin), (twin, FIRST)):
        for n in range(20):
            library.used(str(proven), f"t{n}", solved=True)
            library.used(str(other), f"t{n}", solved=False)
        for n in range(40 * (proven == FIRST)):
            library.used(FIRST, f"u{n}", solved=False)
        assert library.search(question)[0].id == proven


def test_questions_on_other_things_find_nothing(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    library.admit(volume(), bench)
    assert library.search("Relax MgO with CHGNet and give the magnetic moment") == []
    assert library.search("") == []
    assert library.search('"; DROP TABLE skill; -- lattice planes')[0].id == FIRST
    (other,) = library.search("What is the volume of an orthorhombic cell with these edges?")
    assert other.id == "cell_volume@1.0.0"


def test_only_skills_that_were_proved_here_are_offered(tmp_path: Path, bench: Workbench) -> None:
    versions = {"numpy": "2.4.0"}
    library = Library(tmp_path, versions=versions.get)
    source = "import numpy as np\n" + altered(
        RETURN, "return a / float(np.sqrt(h * h + k * k + l * l))"
    )
    library.admit(spacing(source), bench)
    assert library.search("distance of lattice planes")
    versions["numpy"] = "2.5.0"
    assert library.search("distance of lattice planes") == []
    assert library.verify(FIRST, bench) == ""
    assert library.search("distance of lattice planes")
    del versions["numpy"]
    assert library.search("distance of lattice planes") == []


def test_a_skill_that_broke_is_retired_by_verification(tmp_path: Path, bench: Workbench) -> None:
    library = Library(tmp_path)
    source = "import numpy as np\n" + altered(
        RETURN, "n = np.sqrt(h * h + k * k + l * l)\n    return a / float(n) * (a < 9.0)"
    )
    library.admit(spacing(source), bench)
    # A new version of a package is simulated by one that is not there at all.
    blind = Workbench(bench.sandbox, bench.limits)
    folder = tmp_path / "folders" / FIRST / "plane-spacing"
    text = (folder / "tests.json").read_text()
    (folder / "tests.json").write_text(text.replace("3.13559", "3.2"))
    assert library.verify(FIRST, blind).startswith("tests: a=5.431")
    assert library.standing(FIRST).status is Status.RETIRED
    assert library.standing(FIRST).reason.startswith("its tests fail here")


def test_code_changed_behind_the_librarys_back_is_not_handed_out(
    library: Library, bench: Workbench
) -> None:
    library.admit(spacing(), bench)
    file = library.root / "folders" / FIRST / "plane-spacing" / "skill.py"
    file.write_text(SPACING + "\n")
    with pytest.raises(SkillError, match="changed since the skill was admitted"):
        library.code(FIRST)


def test_other_wordings_lead_to_a_skill(library: Library, bench: Workbench) -> None:
    library.admit(spacing(), bench)
    question = "Bragg reflection separation"
    asked = "Which separation has the reflection?"
    assert library.search(asked) == []
    library.also_asked(FIRST, question)
    assert library.search(asked)[0].id == FIRST


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.booleans(), max_size=12), st.integers(1, 4))
def test_counts_and_status_follow_from_the_uses(
    tmp_path_factory: pytest.TempPathFactory, bench: Workbench, uses: list[bool], needed: int
) -> None:
    library = Library(tmp_path_factory.mktemp("library"), Policy(successes=needed))
    library.admit(volume(), bench)
    for n, solved in enumerate(uses):
        library.used("cell_volume@1.0.0", f"t{n}", solved=solved)
    now = library.standing("cell_volume@1.0.0")
    assert (now.uses, now.successes, now.failures) == (len(uses), sum(uses), uses.count(False))
    assert (now.status is Status.ACTIVE) == (sum(uses) >= needed)
