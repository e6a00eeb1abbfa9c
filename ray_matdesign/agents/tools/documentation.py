"""Tools on the index of installed packages: search, source, and who uses or extends what."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ray_matdesign.agents.documentation.index import DocumentationIndex, Passage, Record
from ray_matdesign.agents.tools.protocol import Tool, ToolError

_MOST_SOURCE = 12_000
_MOST_TEXT = 1200
_MOST_LISTED = 60


class SearchAsked(BaseModel):
    """What to search for."""

    question: str = Field(min_length=2, max_length=500, description="In words; names may help.")
    limit: int = Field(default=5, ge=1, le=20, description="Most symbols to return.")
    package: str | None = Field(default=None, description="Only this package, such as ase.")
    texts: bool = Field(default=False, description="Also READMEs and tests that fit.")


class NameAsked(BaseModel):
    """A symbol."""

    name: str = Field(
        min_length=1,
        max_length=200,
        description="Dotted, such as pymatgen.core.Structure.from_file.",
    )


class Brief(BaseModel):
    """A symbol in a few lines."""

    name: str
    kind: str
    signature: str
    summary: str
    package: str


class Text(BaseModel):
    """A README or a test."""

    title: str
    file: str
    text: str


class SearchTold(BaseModel):
    """What was found, the best first."""

    symbols: list[Brief]
    texts: list[Text] = []


class SourceTold(BaseModel):
    """A definition."""

    name: str
    file: str
    line: int
    source: str
    shortened: bool


class Caller(BaseModel):
    """Who calls a symbol."""

    name: str
    signature: str
    sure: bool = Field(description="Whether the source tells, or only the name of the method.")


class CallersTold(BaseModel):
    """Who calls a symbol, in installed code and in packaged tests."""

    name: str
    callers: list[Caller]
    tests: list[Text]


class ListTold(BaseModel):
    """Symbols related to one."""

    name: str
    symbols: list[Brief]
    more: int = Field(default=0, description="How many were left out.")


def documentation_tools(index: DocumentationIndex) -> list[Tool[Any, Any]]:
    """The tools that need nothing but an index.

    Args:
        index: Of the environment that the agents' code runs in.
    """

    def search(asked: SearchAsked) -> SearchTold:
        hits = index.search(asked.question, asked.limit, package=asked.package)
        texts = index.passages(asked.question) if asked.texts else []
        return SearchTold(
            symbols=[brief(hit.record) for hit in hits], texts=[_text(one) for one in texts]
        )

    def get_source(asked: NameAsked) -> SourceTold:
        record = known(index, asked.name)
        try:
            source = index.source(record)
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise ToolError(f"{record.name}: its source cannot be read: {error}") from error
        if source is None:
            raise ToolError(f"{record.name} is compiled, so there is no source; introspect it")
        return SourceTold(
            name=record.name,
            file=record.file,
            line=record.line,
            source=source[:_MOST_SOURCE],
            shortened=len(source) > _MOST_SOURCE,
        )

    def callers(asked: NameAsked) -> CallersTold:
        record = known(index, asked.name)
        found = [
            Caller(name=one.name, signature=one.signature, sure=sure)
            for one, sure in index.callers(record)
        ]
        return CallersTold(
            name=record.name, callers=found, tests=[_text(one) for one in index.tests(record)]
        )

    def subclasses(asked: NameAsked) -> ListTold:
        return _listed(record := known(index, asked.name), index.subclasses(_class(record)))

    def methods(asked: NameAsked) -> ListTold:
        return _listed(record := known(index, asked.name), index.members(_class(record)))

    return [
        Tool(
            "search_docs",
            "Searches the documentation of the installed packages for functions, classes and "
            "methods that do what the question says. Use it before writing code against a package.",
            SearchAsked,
            SearchTold,
            search,
        ),
        Tool(
            "get_source",
            "Shows the source code of an installed function, class or method.",
            NameAsked,
            SourceTold,
            get_source,
        ),
        Tool(
            "callers",
            "Lists who calls a function or method, with short tests that show how to use it.",
            NameAsked,
            CallersTold,
            callers,
        ),
        Tool(
            "subclasses",
            "Lists the classes that inherit from a class.",
            NameAsked,
            ListTold,
            subclasses,
        ),
        Tool(
            "methods",
            "Lists the methods and attributes of a class with signatures, inherited ones too.",
            NameAsked,
            ListTold,
            methods,
        ),
    ]


def known(index: DocumentationIndex, name: str) -> Record:
    """The symbol of a name.

    Raises:
        ToolError: There is none; the message names the closest.
    """
    record = index.lookup(name)
    if record is None:
        near = ", ".join(one.name for one in index.near(name, 3))
        raise ToolError(f"no {name} in the installed packages" + (f"; close: {near}" * bool(near)))
    return record


def brief(record: Record) -> Brief:
    """A symbol in a few lines."""
    return Brief(
        name=record.name,
        kind=record.kind,
        signature=record.signature,
        summary=record.summary,
        package=record.distribution,
    )


def _class(record: Record) -> Record:
    if record.kind != "class":
        raise ToolError(f"{record.name} is a {record.kind}, not a class")
    return record


def _listed(record: Record, found: list[Record]) -> ListTold:
    return ListTold(
        name=record.name,
        symbols=[brief(one) for one in found[:_MOST_LISTED]],
        more=max(0, len(found) - _MOST_LISTED),
    )


def _text(passage: Passage) -> Text:
    return Text(title=passage.title, file=passage.file, text=passage.text[:_MOST_TEXT])
