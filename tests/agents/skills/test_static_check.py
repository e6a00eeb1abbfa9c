from __future__ import annotations

import pytest
from seeded import SPACING, altered

from ray_matdesign.agents.skills.literals import answer_literal
from ray_matdesign.agents.skills.skill import Case
from ray_matdesign.agents.skills.static_check import check_skill
from ray_matdesign.agents.written_source import StaticError

RETURN = "return a / sqrt(h**2 + k**2 + l**2)"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os\n" + SPACING, "line 1: os may not be imported"),
        ("import requests\n" + SPACING, "requests may not be imported"),
        ("from pymatgen.ext.matproj import MPRester\n" + SPACING, "uses the network"),
        ("from pymatgen import ext\n" + SPACING, "uses the network"),
        ("from ray_matdesign.agents.llm import protocol\n" + SPACING, "may not be imported"),
        ("from . import x\n" + SPACING, "relative imports"),
        ("from math import *\n" + SPACING, "instead of *"),
        (altered(RETURN, "return float(open('x').read())"), "open may not be used"),
        (altered(RETURN, "return eval('1')"), "eval may not be used"),
        (altered(RETURN, "return a.__class__"), ".__class__ may not be used"),
        (altered(RETURN, "return len('/home/me/data.cif')"), "is an absolute path"),
        (altered(RETURN, "return len('/data/set.csv')"), "is an absolute path"),
        (altered(RETURN, "return len('https://example.org')"), "is an address on a network"),
        (altered(RETURN, "try:\n        pass\n    except Exception:\n        pass"), "name the"),
        ("print('x')\n" + SPACING, "nothing else"),
        (SPACING + "\ndef other(a: int) -> int:\n    return a\n", "start with an underscore"),
        (altered("a: float", "a"), "argument a has no type"),
        (altered(" -> float", ""), "no type of what it returns"),
        (altered("l: int", "*l: int"), "every argument needs a name"),
        ('def plane_spacing(a: int) -> int:\n    return a\n', "has no docstring"),
        ("def other() -> int:\n    return 1\n", "must be one function plane_spacing, found 0"),
        ("def plane_spacing(:\n", "line 1: not Python"),
        (SPACING + "#" * 30_000, "characters"),
    ],
)  # fmt: skip
def test_what_a_skill_must_not_be_is_refused(source: str, says: str) -> None:
    with pytest.raises(StaticError, match=says.replace("*", r"\*").replace("(", r"\(")):
        check_skill(source, "plane_spacing")


def test_what_computing_needs_is_let_through() -> None:
    source = '''
"""Of use."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from pymatgen.core import Structure

UNITS = "eV/atom"


class _State:
    def __init__(self, n: int) -> None:
        self.n = n


def _helper(x: float) -> float:
    return np.random.default_rng(0).random() * x


def energy(symbol: str, a: float = 3.6, *, cubic: bool = True) -> float:
    """Energy in eV/atom. See https://example.org and /usr/share."""
    return _helper(_State(1).n) + len("m/s") + len("P6_3/mmc")
'''
    entry = check_skill(source, "energy")
    assert entry.arguments == {"symbol": "str", "a": "float", "cubic": "bool"}
    assert entry.required == {"symbol"}
    assert entry.signature == "energy(symbol: str, a: float=3.6, *, cubic: bool=True) -> float"


@pytest.mark.parametrize(
    ("code", "expected", "found"),
    [
        ("x = 3.6149", 3.615, True),
        ("x = -3.615", -3.615, True),
        ("x = [1.0, 3.615]", [0.0, {"a": 3.615}], True),
        ("x = 'Fm-3m'", "Fm-3m", True),
        ("x = 'LiCoO2'", ["LiCoO2"], True),
        ("x = 8", 8, False),
        ("x = 0.5", 0.5, False),
        ("x = 1000", 1000, False),
        ("x = 'metal'", "metal", False),
        ("x = True", True, False),
        ("'3.615'\nx = 1", 3.615, False),
        ("x = 3.615", 4.05, False),
    ],
)
def test_constants_that_are_answers(code: str, expected: object, found: bool) -> None:
    case = Case.model_validate({"inputs": {"n": 1}, "expected": expected})
    assert bool(answer_literal(code, [case])) is found


def test_what_goes_in_may_come_out() -> None:
    case = Case(inputs={"a": 3.615}, expected=3.615)
    assert answer_literal("x = 3.615", [case]) == ""
