"""What the page on RLlib tells users to type exists."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from ray_matdesign.config.loading import list_recipes
from ray_matdesign.crystals.prototypes import prototypes

PAGE = (Path(__file__).parents[2] / "docs" / "rllib.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_import_what_there_is(example: str) -> None:
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.ImportFrom):
            module = import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)


def test_recipes_and_counts_are_right() -> None:
    recipes = {recipe.name for recipe in list_recipes()}
    named = re.findall(r'campaign\("([a-z-]+)"|ray-matdesign ppo ([a-z-]+)', PAGE)
    assert {a or b for a, b in named} <= recipes
    assert f"There are {len(prototypes())} types" in PAGE
