from __future__ import annotations

from typing import Any

import pytest

from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.tools.introspect import introspect_tool
from ray_matdesign.agents.tools.probe import probe_tool
from ray_matdesign.agents.tools.protocol import ToolError


def probe(sandbox: Box, code: str) -> dict[str, Any]:
    return dict(probe_tool(sandbox).call({"code": code}).model_dump())


def test_the_last_value_is_described(sandbox: Box) -> None:
    told = probe(sandbox, "import numpy as np\nprint('hello')\nnp.eye(3)")
    assert told["type"] == "numpy.ndarray"
    assert (told["shape"], told["dtype"], told["length"]) == ("(3, 3)", "float64", 3)
    assert "sum" in told["attributes"]
    assert told["output"] == "hello\n"
    assert not told["error"]


def test_keys_of_mappings_are_listed(sandbox: Box) -> None:
    told = probe(sandbox, "{'energy': 1.0, 'forces': []}")
    assert told["keys"] == ["'energy'", "'forces'"]


def test_a_missing_attribute_is_answered_with_close_ones(sandbox: Box) -> None:
    told = probe(sandbox, "text = 'Cu'\n\ntext.uper()")
    assert told["error"].startswith("AttributeError")
    assert told["line"] == 3
    assert "upper" in told["close"]


def test_a_missing_import_is_answered_with_close_ones(sandbox: Box) -> None:
    told = probe(sandbox, "from numpy import linspac")
    assert "linspace" in told["close"]


@pytest.mark.parametrize("code", ["def (:", "1/0", "raise SystemExit", "x = 1"])
def test_every_end_is_told(sandbox: Box, code: str) -> None:
    if "Exit" in code:
        with pytest.raises(ToolError):
            probe(sandbox, code)
    else:
        told = probe(sandbox, code)
        assert bool(told["error"]) == (code != "x = 1")


def test_what_is_probed_reaches_no_network(sandbox: Box) -> None:
    told = probe(sandbox, "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)")
    assert "Error" in told["error"]


def test_names_that_the_index_lacks_are_imported_in_the_sandbox(
    sandbox: Box, index: DocumentationIndex
) -> None:
    tool = introspect_tool(index, sandbox)
    told = tool.call({"name": "numpy.linalg.norm"})
    assert (told.found, told.imported, told.kind) == (True, True, "function")
    assert "ord" in told.signature
    assert not tool.call({"name": "numpy.linalg.nrom"}).found
