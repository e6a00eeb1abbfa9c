from __future__ import annotations

import importlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ray_matdesign.agents.documentation.index import DocumentationIndex, UnreadableIndex
from ray_matdesign.config.documentation import DocumentationSettings


@pytest.mark.parametrize(
    ("name", "qualname"),
    [
        ("glasses.Melt", "glasses.core.Melt"),
        ("glasses.core.Melt", "glasses.core.Melt"),
        ("glasses.blown", "glasses._shapes.blow"),
        ("glasses.core.Shape", "glasses._shapes.Shape"),  # imported there, though not offered
        ("glasses.Melt.viscosity", "glasses.core._Liquid.viscosity"),
        ("glasses.Flask.wall_mm", "glasses._shapes.Shape.wall_mm"),
        ("glasses.Flask.anneal()", "glasses._shapes.Flask.anneal"),
        ("glasses.core", "glasses.core"),
    ],
)
def test_every_name_leads_to_its_definition(
    index: DocumentationIndex, name: str, qualname: str
) -> None:
    record = index.lookup(name)
    assert record is not None
    assert record.qualname == qualname


def test_the_name_told_is_the_short_public_one(index: DocumentationIndex) -> None:
    names = {one.qualname: one.name for one in map(index.lookup, ["glasses.core.quench"]) if one}
    assert names == {"glasses.core.quench": "glasses.quench"}
    viscosity = index.lookup("glasses.core._Liquid.viscosity")
    assert viscosity is not None
    assert viscosity.name == "glasses.Melt.viscosity"


def test_a_name_that_does_not_exist_leads_nowhere(index: DocumentationIndex) -> None:
    assert index.lookup("glasses.Melt.freeze") is None
    assert index.lookup("glasses.core._Liquid.nothing.at.all") is None
    assert index.lookup("") is None


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How do I freeze a liquid before crystals grow?", "glasses.quench"),
        ("slow cooling that relieves stresses", "glasses._shapes.Shape.anneal"),
        ("Vogel Fulcher flow", "glasses.Melt.viscosity"),
        ("hottest furnace", "glasses.core.LIMIT_KELVIN"),
        ("quench", "glasses.quench"),
    ],
)
def test_questions_in_words_find_symbols(
    index: DocumentationIndex, question: str, name: str
) -> None:
    wanted = index.lookup(name)
    assert wanted is not None
    found = [hit.record.qualname for hit in index.search(question)]
    qualnames = {wanted.qualname, "glasses._shapes.Flask.anneal" * name.endswith("anneal")}
    assert found[0] in qualnames


def test_only_the_package_asked_for(index: DocumentationIndex) -> None:
    assert index.search("melt", package="glasses")
    assert not index.search("melt", package="ase")
    assert not index.search("the of a")


def test_readmes_and_tests_are_found(index: DocumentationIndex) -> None:
    (found, *_) = index.passages("vitrify waste")
    assert (found.kind, found.file) == ("readme", "glasses/README.md")
    quench = index.lookup("glasses.quench")
    assert quench is not None
    assert [one.title for one in index.tests(quench)] == ["test_quench_is_fast"]


def test_edges_run_both_ways(index: DocumentationIndex) -> None:
    shape, cool = index.lookup("glasses.core.Shape"), index.lookup("glasses.Melt.cool")
    assert shape is not None
    assert cool is not None
    assert [one.name for one in index.subclasses(shape)] == ["glasses.Flask"]
    flask = index.lookup("glasses.Flask")
    assert flask is not None
    assert [one.qualname for one in index.ancestors(flask)] == ["glasses._shapes.Shape"]
    assert [(one.name, sure) for one, sure in index.callers(cool)] == [("glasses.quench", True)]


def test_members_of_classes_and_modules(index: DocumentationIndex) -> None:
    melt, module = index.lookup("glasses.Melt"), index.lookup("glasses")
    assert melt is not None
    assert module is not None
    leaves = [one.qualname.rpartition(".")[2] for one in index.members(melt)]
    assert leaves == ["cool", "hot", "temperature", "viscosity"]
    offered = {one.name for one in index.members(module)}
    assert {"glasses.Flask", "glasses.Melt", "glasses.quench"} <= offered


def test_source_is_what_is_installed(index: DocumentationIndex, site: Path) -> None:
    quench = index.lookup("glasses.quench")
    assert quench is not None
    source = inspect.getsource(importlib.import_module("glasses.core").quench)
    assert f"{index.source(quench)}\n" == source


def test_wrong_names_come_close_to_right_ones(index: DocumentationIndex) -> None:
    assert index.near("glasses.quenching", 1)[0].name == "glasses.quench"
    assert index.near("glases.Flasks", 1)[0].name == "glasses.Flask"
    assert index.near("zzzzzz") == []


def test_many_threads_read_at_once(index: DocumentationIndex) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: index.search("fast freezing")[0].record.name, range(40)))
    assert set(found) == {"glasses.quench"}


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_text("not a database, whatever its name says " * 50)
    with pytest.raises(UnreadableIndex, match=r"x\.sqlite"):
        DocumentationIndex(path)


def test_names_of_real_packages(tmp_path: Path) -> None:
    from ray_matdesign.agents.documentation.building import build_index

    settings = DocumentationSettings(distributions=("spglib",), cache=str(tmp_path))
    index = DocumentationIndex(build_index(settings))
    spglib = importlib.import_module("spglib")
    for leaf in ("get_symmetry_dataset", "find_primitive", "niggli_reduce"):
        record = index.lookup(f"spglib.{leaf}")
        assert record is not None
        assert record.name == f"spglib.{leaf}"
        assert record.docstring == inspect.getdoc(getattr(spglib, leaf))
    assert index.search("Niggli reduction of a lattice")[0].record.name == "spglib.niggli_reduce"
