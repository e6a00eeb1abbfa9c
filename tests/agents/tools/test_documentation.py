from __future__ import annotations

import inspect
from typing import Any

import pytest
import spglib

from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.agents.tools.documentation import documentation_tools
from ray_matdesign.agents.tools.introspect import introspect_tool
from ray_matdesign.agents.tools.protocol import Toolbox, ToolError


@pytest.fixture
def toolbox(index: DocumentationIndex) -> Toolbox:
    return Toolbox([*documentation_tools(index), introspect_tool(index)])


def call(toolbox: Toolbox, tool: str, /, **arguments: Any) -> dict[str, Any]:
    return toolbox.call(tool, arguments).model_dump()


def test_searching_names_the_function(toolbox: Toolbox) -> None:
    told = call(toolbox, "search_docs", question="reduce a lattice by Niggli's method")
    assert told["symbols"][0]["name"] == "spglib.niggli_reduce"
    assert told["symbols"][0]["package"] == "spglib"
    assert told["symbols"][0]["signature"].startswith("niggli_reduce(lattice")


def test_source_is_that_of_the_installed_package(toolbox: Toolbox) -> None:
    told = call(toolbox, "get_source", name="spglib.niggli_reduce")
    assert f"{told['source']}\n" == inspect.getsource(spglib.niggli_reduce)
    assert not told["shortened"]


def test_an_unknown_name_is_answered_with_close_ones(toolbox: Toolbox) -> None:
    with pytest.raises(ToolError, match=r"close: .*spglib\.niggli_reduce"):
        call(toolbox, "get_source", name="spglib.niggly_reduce")


def test_relations_of_classes_and_functions(toolbox: Toolbox) -> None:
    assert "smact.Species" in {
        one["name"] for one in call(toolbox, "subclasses", name="smact.Element")["symbols"]
    }
    methods = {one["name"] for one in call(toolbox, "methods", name="smact.Species")["symbols"]}
    assert any(name.endswith(".melting_t") for name in methods)  # inherited from Element
    called = call(toolbox, "callers", name="smact.neutral_ratios")
    assert called["callers"] or called["tests"]
    with pytest.raises(ToolError, match="a function, not a class"):
        call(toolbox, "methods", name="smact.neutral_ratios")


def test_introspecting_a_right_name(toolbox: Toolbox) -> None:
    told = call(toolbox, "introspect", name="smact.Element")
    assert told["found"]
    assert told["kind"] == "class"
    assert "melting_t" in told["members"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("spglib.get_dataset", "spglib.get_symmetry_dataset"),
        ("spglib.get_spacegroups", "spglib.get_spacegroup"),
        ("smact.screening.smact_validate", "smact.screening.smact_validity"),
        ("smact.Element.melting_temperature", "smact.Element.melting_t"),
        ("spglib.cell.primitive_find", "spglib.find_primitive"),
    ],
)
def test_introspecting_a_wrong_name_says_what_was_meant(
    toolbox: Toolbox, wrong: str, right: str
) -> None:
    told = call(toolbox, "introspect", name=wrong)
    assert not told["found"]
    assert any(right.rpartition(".")[2] in one for one in told["close"][:3])
    assert told["name"]  # the part of it that exists


def test_every_tool_tells_a_model_what_it_takes(toolbox: Toolbox) -> None:
    for tool in toolbox.values():
        schema = tool.schema()
        assert len(schema["description"]) > 30
        assert all("description" in one for one in schema["parameters"]["properties"].values())
