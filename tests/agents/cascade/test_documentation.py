from __future__ import annotations

import pytest
from cascade_cases import TOOLBOX

from ray_matdesign.agents.cascade.documentation import Consultation, MissingTool, failing_names
from ray_matdesign.agents.cascade.running import Failure
from ray_matdesign.agents.cascade.settings import CascadeSettings
from ray_matdesign.agents.tools.documentation import NameAsked
from ray_matdesign.agents.tools.introspect import IntrospectTold
from ray_matdesign.agents.tools.protocol import Tool, Toolbox

ABLE = CascadeSettings().able


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("cannot import name 'Structure' from 'pymatgen' (/x)", "pymatgen.Structure"),
        ("No module named 'pymatgen.crystal'", "pymatgen.crystal"),
        ("module 'ase' has no attribute 'bulk'", "ase.bulk"),
        ("type object 'Structure' has no attribute 'read'", "Structure.read"),
        ("'Structure' object has no attribute 'vol'", "Structure.vol"),
        ("name 'Lattice' is not defined", "Lattice"),
        ("Structure.__init__() got an unexpected keyword argument 'a'", "Structure"),
        ("bulk() missing 1 required positional argument: 'name'", "bulk"),
    ],
)
def test_the_name_that_failed(message: str, name: str) -> None:
    assert failing_names(Failure(kind="Error", message=message)) == [name]


def test_other_errors_name_nothing() -> None:
    assert failing_names(Failure(kind="ValueError", message="not a valid cell")) == []


def test_what_the_tools_know_of_a_name() -> None:
    known = Consultation(TOOLBOX, ABLE)
    assert known.lookup(["ase.build.bulk", "nothing", "ase.build.bulk", "ase.bulk"]) == [
        "ase.build.bulk(name, crystalstructure)",
        "ase.bulk does not exist; there is",
        "  ase.build.bulk(name, crystalstructure)",
    ]
    assert known.search("volume", 3) == ["ase.Atoms.get_volume(): Volume of the cell."]


def test_a_name_has_a_place_only_if_there_is_one() -> None:
    known = Consultation(TOOLBOX, ABLE)
    assert known.place("bulk") == "ase.build"
    assert known.place("ambiguous") is None
    assert known.place("nothing") is None


def test_a_tool_of_the_name_that_is_another_will_not_do() -> None:
    other = Tool("search_docs", "Another.", NameAsked, IntrospectTold, lambda asked: None)
    with pytest.raises(MissingTool, match=r"abilities.documentation"):
        Consultation(Toolbox([other]), ABLE)


def test_what_may_not_be_asked_is_not() -> None:
    silent = Consultation(TOOLBOX, CascadeSettings(mode="native").able)
    assert silent.search("volume", 3) == []
    assert silent.lookup(["bulk"]) == []
    assert silent.place("bulk") is None
