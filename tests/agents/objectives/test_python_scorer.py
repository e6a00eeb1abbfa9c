from __future__ import annotations

import pytest

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.python_scorer import (
    NOT_FINITE,
    PythonScorer,
    ScorerFailed,
    check,
)
from ray_matdesign.agents.objectives.samples import known_crystals, sample
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.written_source import StaticError
from ray_matdesign.potentials.protocol import Failed

HONEST = """
from math import log


def score(crystals):
    return [log(c.density) for c in crystals]
"""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os\ndef score(crystals):\n    return []", "line 1: os may not be imported"),
        ("from subprocess import run\ndef score(crystals):\n    return []", "subprocess"),
        ("from numpy import load\ndef score(crystals):\n    return []", "load may not be imported"),
        ("def score(crystals):\n    return eval('1')", "line 2: eval may not be used"),
        ("def score(crystals):\n    return open('/etc/passwd')", "open may not be used"),
        ("def score(crystals):\n    return getattr(crystals, 'x')", "getattr may not be used"),
        ("def score(crystals):\n    return crystals.__class__", ".__class__ may not be used"),
        ("def score(crystals):\n    return '{0.__class__}'.format(1)", "a text with __ in it"),
        ("def score(crystals):\n    return __builtins__", "__builtins__ may not be used"),
        ("import numpy as np\ndef score(crystals):\n    return np.random.rand(3)", ".random"),
        ("class A:\n    pass\ndef score(crystals):\n    return []", "nothing else"),
        ("n = 0\ndef score(crystals):\n    global n\n    return []", "Global has no place"),
        (
            "def score(crystals):\n    try:\n        pass\n    except Exception:\n        pass",
            "name",
        ),
        ("def score(x):\n    return []", r"must be score\(crystals\), and is score\(x\)"),
        ("def score(crystals, *more):\n    return []", "must be score"),
        ("def other(crystals):\n    return []", "found 0"),
        ("def score(crystals:\n", "line 1: not Python"),
        ("print('hello')\ndef score(crystals):\n    return []", "nothing else"),
        ("def score(crystals):\n    return [c.formula == 'MgO' for c in crystals]", "look them up"),
        ("def score(crystals):\n    return []\n" + "#" * 30_000, "characters"),
    ],
)
def test_what_a_scorer_never_needs_is_refused(source: str, says: str) -> None:
    with pytest.raises(StaticError, match=says):
        check(source, ())


def test_honest_code_is_let_through() -> None:
    check(HONEST, ())
    check("def score(crystals, properties):\n    return properties['price']", ("price",))


def test_values_come_back_in_order(sandbox: Box) -> None:
    crystals = tuple(known_crystals().values())
    source = "def score(crystals):\n    return [c.density for c in crystals]"
    found = PythonScorer(source, (), False, sandbox).values(Batch(crystals))
    assert found == [c.density for c in crystals]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return [1 / 0 for c in crystals]", r"ZeroDivisionError.*line 2"),
        ("return [c.color for c in crystals]", "no attribute 'color'"),
        ("return [1.0]", "returned 1 values for 2 crystals"),
        ("return 1.0", "must return a list, and returned float"),
        ("return ['hard', 'soft']", "must return numbers or None, and returned 'hard'"),
        ("return [[1.0], [2.0]]", "must return numbers"),
        ("return None", "must return a list"),
        ("return [crystals[0], crystals[1]]", "score failed"),
        ("while True:\n        pass", "limit"),
        ("return [len('x' * 10**10), 1]", "memory"),
    ],
)
def test_what_is_no_list_of_numbers_fails_the_batch(sandbox: Box, body: str, says: str) -> None:
    batch = Batch((sample("NaCl"), sample("Cu")))
    limits = Limits(cpu_s=2.0, wall_s=20.0, memory_mib=256)
    scorer = PythonScorer(f"def score(crystals):\n    {body}\n", (), False, sandbox, limits)
    with pytest.raises(ScorerFailed, match=says):
        scorer.values(batch)


def test_a_failure_of_one_crystal_is_a_value(sandbox: Box) -> None:
    source = """
import numpy as np


def score(crystals):
    return [None, float("nan"), np.float64(2.0), True, 10**400]
"""
    batch = Batch((sample("NaCl"),) * 5)
    none, nan, two, true, huge = PythonScorer(source, (), False, sandbox).values(batch)
    assert none == Failed("the scorer gives no value")
    assert nan == huge == Failed(NOT_FINITE)
    assert (two, true) == (2.0, 1.0)


def test_crystals_without_a_needed_property_are_not_shown(sandbox: Box) -> None:
    source = "def score(crystals, properties):\n    return [2 * b for b in properties['band_gap']]"
    gaps = (1.0, Failed("phonons imaginary"), 3.0)
    batch = Batch((sample("NaCl"), sample("Cu"), sample("MgO")), {"band_gap": gaps})
    found = PythonScorer(source, ("band_gap",), False, sandbox).values(batch)
    assert found == [2.0, Failed("band_gap: phonons imaginary"), 6.0]


def test_a_population_has_one_value(sandbox: Box) -> None:
    batch = Batch((sample("NaCl"), sample("Cu")))
    counted = "def score(crystals):\n    return len(crystals)"
    assert PythonScorer(counted, (), True, sandbox).values(batch) == [2.0]
    with pytest.raises(ScorerFailed, match="one number or None"):
        PythonScorer("def score(crystals):\n    return [1.0, 2.0]", (), True, sandbox).values(batch)
