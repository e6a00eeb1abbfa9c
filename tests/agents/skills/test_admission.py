from __future__ import annotations

from pathlib import Path

import pytest
from seeded import SPACING, SPACING_CASES, altered, cases, spacing, volume

from ray_matdesign.agents.skills.admission import examine
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.skill import Case, Draft, Relation, Tests
from ray_matdesign.agents.skills.trial import Workbench

RETURN = "return a / sqrt(h**2 + k**2 + l**2)"


def _reason(draft: Draft, bench: Workbench) -> str:
    return examine(draft, bench).reason


def test_a_good_skill_passes_every_check(bench: Workbench) -> None:
    verdict = examine(spacing(), bench)
    assert verdict.reason == ""
    assert [check.name for check in verdict.checks] == [
        "static", "answers", "tests", "replay", "shown", "held-out", "duplicate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (altered("sqrt(h**2 + k**2 + l**2)", "(h + k + l)"), "shown: a=5.431"),
        ("from math import sqrt\nimport random\n" + altered(RETURN, "return a * random.random()"),
         "replay: a=5.431"),
        (altered(RETURN, "return 1 / 0"), "ZeroDivisionError: division by zero"),
        (altered(RETURN, "while True:\n        a += 1.0"), "used up its cpu limit"),
        ("import numpy as np\n" + altered(RETURN, "return np.float64(a)"),
         "returned a numpy.float64; return plain Python types"),
        (altered(RETURN, "return float('nan')"), "returned nan, which is no answer"),
    ],
)  # fmt: skip
def test_a_wrong_skill_is_refused_with_the_call_that_shows_it(
    source: str, says: str, bench: Workbench
) -> None:
    assert says in _reason(spacing(source), bench)


def test_state_between_calls_is_noticed(bench: Workbench) -> None:
    source = "_seen: list[float] = []\n" + altered(
        RETURN, "_seen.append(a)\n    return a / sqrt(h**2 + k**2 + l**2) + len(_seen) - 1"
    )
    assert _reason(spacing(source), bench).startswith("replay: ")


def test_sockets_are_refused_by_reading_and_again_by_the_sandbox(bench: Workbench) -> None:
    read = "import socket\n" + SPACING
    assert "static: line 1: socket may not be imported" in _reason(spacing(read), bench)
    hidden = altered(RETURN, "return math.sqrt.__self__")
    assert "static: " in _reason(spacing(hidden), bench)
    inside = (
        altered("from math import sqrt", "import string\nfrom math import sqrt")
        .replace(RETURN, "return float(len(getattr(string, 'socket_' + 'x', [0]))) * a")
    )  # fmt: skip
    assert _reason(spacing(inside), bench).startswith("shown")


def test_a_memorised_answer_is_found_in_the_code_or_by_what_is_held_out(bench: Workbench) -> None:
    table = "return {(1, 1): 3.13559, (2, 2): 1.92015}[(h, k)]"
    assert "3.13559 is an expected answer" in _reason(spacing(altered(RETURN, table)), bench)
    disguised = "return {(1, 1): 31355.9, (2, 2): 19201.5}.get((h, k), 0.0) / 10000"
    assert _reason(spacing(altered(RETURN, disguised)), bench).startswith("held-out: a=3.615")


def test_tests_that_a_constant_would_pass_prove_nothing(bench: Workbench) -> None:
    only_shown = Tests(cases=cases(*SPACING_CASES[:2]))
    assert "none is held out" in _reason(spacing(tests=only_shown), bench)
    same = Tests(
        cases=(
            Case(inputs={"a": 4.0, "h": 1, "k": 0, "l": 0}, expected=4.0),
            Case(inputs={"a": 8.0, "h": 2, "k": 0, "l": 0}, expected=4.0, held_out=True),
        )
    )
    assert "a constant would pass" in _reason(spacing(tests=same), bench)
    loose = Tests(
        cases=tuple(c.model_copy(update={"abs_tol": 100.0}) for c in cases(*SPACING_CASES))
    )
    assert "a constant would pass" in _reason(spacing(tests=loose), bench)


def test_a_relation_stands_in_for_values_nobody_knows(bench: Workbench) -> None:
    inputs = {"a": 5.0, "h": 1, "k": 1, "l": 0}
    doubled = Relation(inputs=inputs, changed={"a": 10.0}, relation="scaled", factor=2.0)
    swapped = Relation(inputs=inputs, changed={"h": 0, "l": 1}, relation="same")
    higher = Relation(inputs=inputs, changed={"h": 3}, relation="less")
    assert _reason(spacing(tests=Tests(relations=(doubled, swapped, higher))), bench) == ""
    assert "none is held out" in _reason(spacing(tests=Tests(relations=(swapped,))), bench)
    wrong = spacing(altered("a / sqrt", "a**2 / sqrt"), tests=Tests(relations=(doubled,)))
    assert "wanted scaled" in _reason(wrong, bench)


def test_the_same_code_under_other_names_is_a_duplicate(bench: Workbench, library: Library) -> None:
    first = library.admit(spacing(), bench)
    assert first.id == "plane_spacing@1.0.0"
    other = (
        SPACING.replace("plane_spacing", "miller_distance")
        .replace("from math import sqrt", "import math")
        .replace(RETURN, "squares = h**2 + k**2 + l**2\n    return a / math.sqrt(squares)")
    )
    spelled = (
        SPACING.replace("plane_spacing", "miller_distance")
        .replace("sqrt", "root")
        .replace("import root", "import sqrt as root")
    )
    for source, how in ((spelled, "the same code"), (other, "returns the same")):
        again = library.admit(spacing(source, name="miller_distance"), bench)
        assert again.id is None
        assert again.duplicate_of == first.id
        assert how in again.reason
    assert [name for name, _ in library.refusals()] == ["miller_distance"] * 2


def test_arguments_of_other_names_do_not_hide_a_duplicate(
    bench: Workbench, library: Library
) -> None:
    library.admit(volume(), bench)
    source = (
        'def box_size(x: float, y: float, z: float) -> float:\n    """Size."""\n'
        "    return (x * y) * z + 0.0\n"
    )
    tests = Tests(
        cases=cases(
            ({"x": 1.0, "y": 2.0, "z": 3.0}, 6.0, False),
            ({"x": 2.0, "y": 2.0, "z": 3.0}, 12.0, True),
        )
    )
    found = library.admit(volume(name="box_size", source=source, tests=tests), bench)
    assert found.duplicate_of == "cell_volume@1.0.0"


def test_a_regressing_version_is_refused(bench: Workbench, library: Library) -> None:
    parent = library.admit(spacing(), bench).id
    zero = Tests(cases=cases(({"a": 4.0, "h": 0, "k": 0, "l": 0}, 0.0, False)))
    worse = altered(RETURN, "n = h + k + l\n    return a / n if n else 0.0")
    found = library.admit(spacing(worse, parent=parent, tests=zero), bench)
    assert found.id is None
    assert found.reason.startswith("regression: a=5.431")
    better = altered(RETURN, "n = h**2 + k**2 + l**2\n    return a / sqrt(n) if n else 0.0")
    found = library.admit(spacing(better, parent=parent, tests=zero), bench)
    assert found.id == "plane_spacing@1.0.1"
    assert len(library.load("plane_spacing@1.0.1").tests.cases) == 4


def test_without_known_values_behaviour_is_compared_all_the_same(
    bench: Workbench, library: Library
) -> None:
    library.admit(spacing(), bench)
    inputs = {"a": 5.0, "h": 1, "k": 1, "l": 0}
    doubled = Relation(inputs=inputs, changed={"a": 10.0}, relation="scaled", factor=2.0)
    source = altered(RETURN, "return (a**2 / (h**2 + k**2 + l**2)) ** 0.5")
    tests = Tests(relations=(doubled,))
    found = library.admit(spacing(source, tests=tests), bench)
    assert found.duplicate_of == "plane_spacing@1.0.0"
    other = altered(RETURN, "return a * sqrt(h**2 + k**2 + l**2)")
    name = "inverse_spacing"
    renamed = spacing(other.replace("plane_spacing", name), name=name, tests=tests)
    assert library.admit(renamed, bench).id == "inverse_spacing@1.0.0"


def test_secrets_are_no_part_of_a_skill(bench: Workbench) -> None:
    source = "_KEY = 'sk-" + "q7Zr2Kd9Xw4Lm8Tb3Vn6'\n" + SPACING
    assert "something like a secret in the code: API key" in _reason(spacing(source), bench)


def test_a_name_is_one_skills(bench: Workbench, library: Library, tmp_path: Path) -> None:
    library.admit(spacing(), bench)
    other = altered("a / sqrt", "2 * a / sqrt")
    tests = Tests(cases=cases(*((i, 2 * v, held) for i, v, held in SPACING_CASES)))
    assert (
        "there is a skill plane_spacing" in library.admit(spacing(other, tests=tests), bench).reason
    )


def test_nor_is_it_a_packages(bench: Workbench, library: Library) -> None:
    source = SPACING.replace("plane_spacing", "statistics")
    found = library.admit(spacing(source, name="statistics"), bench)
    assert found.reason.startswith("name: statistics is a package that is installed")
