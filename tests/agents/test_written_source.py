"""Where the Python stands in what a model says."""

from __future__ import annotations

import pytest

from ray_matdesign.agents.llm.protocol import Answer, BadAnswer, Truncated
from ray_matdesign.agents.written_source import source_of

MODULE = "def score(crystals):\n    return [1.0 for _ in crystals]\n"


def said(text: str, finish: str = "stop") -> Answer:
    return Answer(text, "scripted", 1, 1, 0.0, finish)


@pytest.mark.parametrize(
    "text",
    [
        MODULE,
        f"```python\n{MODULE}```",
        f"It is one.\r\n\r\n```py\r\n{MODULE}```\r\nThat is all.",
        f"First `pip`:\n```\nimport os\n```\nthen\n```python\n{MODULE}```",
        f"```json\n{'x' * 200}\n```\n```\n{MODULE}```",
        "  ```python\n" + "".join(f"  {line}\n" for line in MODULE.splitlines()) + "  ```",
    ],
)
def test_the_module_is_found_among_the_words(text: str) -> None:
    assert source_of(said(text)) == MODULE


@pytest.mark.parametrize("text", ["", "I cannot do that.", "```python\n\n```", "```json\n{}\n```"])
def test_an_answer_without_one_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(BadAnswer, match="write it in one ```python block"):
        source_of(said(text))


def test_what_was_cut_off_is_no_module() -> None:
    with pytest.raises(Truncated):
        source_of(said(f"```python\n{MODULE}```", finish="length"))
