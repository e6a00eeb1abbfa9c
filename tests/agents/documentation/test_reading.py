from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from ray_matdesign.agents.documentation.docstrings import examples, summary, without_signature
from ray_matdesign.agents.documentation.reading import read_module
from ray_matdesign.agents.documentation.records import Symbol


def read(source: str, name: str = "kit.part", *, package: bool = False) -> dict[str, Symbol]:
    module = read_module(source, name, "kit/part.py", package=package, tests=False)
    return {one.qualname: one for one in module.symbols}


@pytest.mark.parametrize("name", ["spglib.cell", "smact.screening", "smact.properties", "ase.eos"])
def test_arguments_and_docstrings_are_those_that_importing_finds(name: str) -> None:
    module = importlib.import_module(name)
    path = Path(str(module.__file__))
    read_symbols = read(path.read_text(), name)
    checked = 0
    for leaf, found in vars(module).items():
        if inspect.isfunction(found) and found.__module__ == name and not leaf.startswith("_"):
            symbol = read_symbols[f"{name}.{leaf}"]
            if hasattr(found, "__wrapped__"):
                continue  # decorators may change what importing sees
            expected = [
                p.name for p in inspect.signature(found).parameters.values() if p.kind not in (2, 4)
            ]
            assert list(symbol.parameters) == expected
            assert symbol.docstring == (inspect.getdoc(found) or "")
            assert inspect.getsourcelines(found)[1] == symbol.line
            checked += 1
    assert checked >= 3


def test_defaults_stay_with_their_arguments_when_self_goes() -> None:
    found = read(
        "class A:\n"
        "    def f(self, a, b=1, *c, d, e=2, **g) -> int: ...\n"
        "    def g(self, /, a=1): ...\n"
        "    @staticmethod\n    def h(a=3): ...\n"
        "    def i(self=None): ...\n"
    )
    assert found["kit.part.A.f"].signature == "f(a, b=1, *c, d, e=2, **g) -> int"
    assert found["kit.part.A.g"].signature == "g(a=1)"
    assert found["kit.part.A.h"].signature == "h(a=3)"
    assert found["kit.part.A.i"].signature == "i()"


def test_a_class_is_made_as_its_init_says() -> None:
    found = read(
        'class A(B):\n    """One."""\n'
        '    def __init__(self, x: int = 1):\n        """Two."""\n        self.y = x\n'
    )
    assert found["kit.part.A"].signature == "A(x: int=1)"
    assert found["kit.part.A"].docstring == "One.\n\nTwo."
    assert found["kit.part.A.y"].kind == "attribute"


def test_relative_imports_lead_to_where_they_point() -> None:
    module = read_module(
        "from . import a\nfrom ..b import c as d\nfrom .e import *\nimport f.g\nimport f.h as i\n",
        "kit.sub.part", "kit/sub/part.py", package=False, tests=False,
    )  # fmt: skip
    assert module.imports == {"a": "kit.sub.a", "d": "kit.b.c", "f": "f", "i": "f.h"}
    assert module.stars == ["kit.sub.e"]


def test_calls_are_followed_through_objects_whose_class_is_told() -> None:
    module = read_module(
        "from ase import Atoms\n"
        "def f(a: Atoms, b):\n"
        "    c = Atoms('Cu')\n"
        "    a.rattle(); b.wrap(); c.get_volume(); len(c)\n"
        "class K:\n"
        "    def m(self):\n        self.n()\n    def n(self): ...\n",
        "kit.part", "kit/part.py", package=False, tests=False,
    )  # fmt: skip
    calls = {(call.source, call.target) for call in module.calls}
    assert ("kit.part.f", "ase.Atoms.rattle") in calls
    assert ("kit.part.f", "ase.Atoms.get_volume") in calls
    assert ("kit.part.f", "?.wrap") in calls
    assert ("kit.part.K.m", "kit.part.K.n") in calls


def test_docstrings_added_to_compiled_names_are_taken() -> None:
    found = read('add_newdoc("kit.fast", "dot", """dot(a, b)\n\n    Product of arrays.\n    """)\n')
    assert found["kit.fast.dot"].signature == "dot(a, b)"
    assert found["kit.fast.dot"].docstring == "Product of arrays."


def test_a_deprecated_argument_does_not_make_a_function_deprecated() -> None:
    found = read(
        "@deprecated('use g')\ndef f(): ...\n@deprecate_arg('x')\ndef g(): ...\n"
        'def h():\n    """Deprecated since 2."""\n'
    )
    assert {name[-1] for name, one in found.items() if one.deprecated} == {"f", "h"}


def test_examples_are_sessions_with_their_output() -> None:
    text = "One.\n\n>>> f(1)\n2\n\nwords\n\n>>> g()\n... # more\n3"
    assert examples(text) == ">>> f(1)\n2\n\n>>> g()\n... # more\n3"


def test_compiled_functions_begin_with_their_signature() -> None:
    text = "sin(x, /, out=None,\n    where=True)\n\nTrigonometric sine.\n\nMore."
    assert without_signature("sin", text) == (
        "sin(x, /, out=None, where=True)", "Trigonometric sine.\n\nMore.",
    )  # fmt: skip
    assert without_signature("sin", "Sine (of x).") == ("", "Sine (of x).")


def test_a_summary_is_one_line() -> None:
    assert summary("First\n  line.\n\nMore.") == "First line."
    assert len(summary("x" * 1000)) == 300
