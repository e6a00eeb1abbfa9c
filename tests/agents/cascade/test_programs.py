from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.cascade.programs import NoProgram, extract, mend, plainly, symbols


def answer_of(source: str) -> Any:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(source, space)  # noqa: S102 - written in this file
    return space.get("answer")


def test_the_block_is_taken_out_of_the_words_around_it() -> None:
    assert extract("Sure!\n```python\nanswer = 1\n```\nIt prints 1.") == "answer = 1\n"
    assert extract("```\r\nanswer = 1\r\n```") == "answer = 1\n"
    assert extract("  ```py\n  answer = 1\n  ```") == "answer = 1\n"


def test_of_several_programs_the_last_that_answers_counts() -> None:
    text = "```python\nanswer = 1\n```\nBetter:\n```python\nanswer = 2\n```\n```bash\nls\n```"
    assert extract(text) == "answer = 2\n"


def test_parts_of_one_program_are_joined() -> None:
    text = "First:\n```python\nimport math\nx = math.pi\n```\nThen:\n```python\nanswer = x\n```"
    assert answer_of(extract(text)) == pytest.approx(3.14159265)


def test_a_program_without_a_fence_or_with_half_of_one() -> None:
    assert extract("import math\nanswer = math.e\n") == "import math\nanswer = math.e\n"
    assert extract("Here:\n```python\nanswer = 1\n") == "answer = 1\n"


@pytest.mark.parametrize("text", ["", "Copper", "The volume is 11.76.", "```python\n\n```"])
def test_an_answer_without_a_program_says_so(text: str) -> None:
    with pytest.raises(NoProgram, match="```python block"):
        extract(text)


def test_a_program_that_was_cut_off_is_none() -> None:
    with pytest.raises(NoProgram, match="shorter"):
        extract("```python\nanswer = 1\nfor x in", cut_off=True)


@pytest.mark.parametrize(
    ("source", "answer", "repair"),
    [
        ("answer = math.sqrt(16)", 4.0, "added: import math"),
        ("answer = float(np.sum([1, 2]))", 3.0, "added: import numpy as np"),
        ("x = 5\nprint(f'it is {x} eV')", 5, "assigned what was printed last: x"),
        ("x = 5\nprint('it is', x)", 5, "assigned what was printed last: x"),
        ("x = 5\nx", 5, "assigned what was shown last: x"),
        (
            "def f():\n    return 5\nif __name__ == '__main__':\n    print(f())",
            5,
            "assigned what was printed last: f()",
        ),
        ("def f():\n    answer = 5\nf()", 5, "made the answer of f() global"),
        ("def f(a=2):\n    return 5 * a", 10, "assigned what f() returns"),
    ],
)
def test_what_needs_no_model_is_mended(source: str, answer: object, repair: str) -> None:
    mended = mend(source)
    assert (answer_of(mended.source), mended.repairs) == (answer, (repair,))


@pytest.mark.parametrize(
    "source",
    [
        "answer = 1",
        "for answer in range(3):\n    pass",
        "x, y = 1, 2\nprint(x, y)",  # which of them?
        "def f(a):\n    return a",
        "x = 1\nprint('done')",
        "answer = = 1",
        "from math import *\nanswer = sqrt(4)",
    ],
)
def test_what_is_right_or_in_doubt_is_left_alone(source: str) -> None:
    assert mend(source).source == source
    assert mend(source).repairs == ()


def test_a_name_is_imported_from_the_one_place_that_is_known() -> None:
    places = {"Fraction": "fractions"}
    mended = mend("from __future__ import annotations\nanswer = str(Fraction(1, 2))", places.get)
    assert answer_of(mended.source) == "1/2"
    assert mended.source.startswith("from __future__")
    assert mended.repairs == ("added: from fractions import Fraction",)
    assert mend("answer = str(Unknown(1, 2))", places.get).repairs == ()


def test_numpy_at_any_depth_becomes_plain() -> None:
    source = "import numpy as np\nanswer = {'a': [np.float64(1.5), np.int64(2)], 'b': np.eye(2)}"
    found = answer_of(plainly(source).source)
    assert found == {"a": [1.5, 2], "b": [[1.0, 0.0], [0.0, 1.0]]}
    assert [type(x) for x in found["a"]] == [float, int]


def test_symbols_have_their_full_names() -> None:
    source = (
        "import os\nimport numpy as np\nfrom ase.build import bulk, molecule as mol\n"
        "x = np.linalg.norm([1])\nbulk('Cu').get_volume()\nos.path.join('a')\nmol.there"
    )
    assert symbols(source) == [
        "ase.build.bulk",
        "ase.build.molecule",
        "ase.build.molecule.there",
        "numpy.linalg.norm",
        "numpy.linalg",
    ]


@given(st.text(alphabet="`python\n =answer1()x:\r\t ", max_size=120))
def test_any_text_gives_a_program_or_says_why_not(text: str) -> None:
    try:
        source = extract(text)
    except NoProgram:
        return
    assert source.strip()
    mended = mend(source)
    try:
        ast.parse(source)
    except SyntaxError:
        assert mended.source == source
    else:
        ast.parse(mended.source)
