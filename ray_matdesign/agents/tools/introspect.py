"""The tool ``introspect``: what a name is, or what was meant by a wrong one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ray_matdesign.agents.documentation.index import DocumentationIndex, Record
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.tools.documentation import NameAsked
from ray_matdesign.agents.tools.probe import LIMITS, Sandbox, why_not
from ray_matdesign.agents.tools.protocol import Tool, ToolError

MAIN = "from ray_matdesign.agents.tools.looking import look\n"
_MOST_DOCSTRING = 3000
_MOST_MEMBERS = 150


class IntrospectTold(BaseModel):
    """What is known of a name.

    ``found`` is false for a wrong name; then ``close`` says what may have been meant, and the other
    fields are of ``name``, the longest part of it that exists.
    """

    found: bool
    name: str = ""
    kind: str = ""
    signature: str = ""
    docstring: str = ""
    members: list[str] = Field(default=[], description="Of a class or module; public ones.")
    bases: list[str] = []
    close: list[str] = Field(default=[], description="Names with signatures that come closest.")
    imported: bool = Field(default=False, description="Whether it was imported in the sandbox.")


def introspect_tool(index: DocumentationIndex, sandbox: Sandbox | None = None) -> Tool[Any, Any]:
    """The tool.

    Args:
        index: Asked first.
        sandbox: Where a name that the index lacks is imported; without one only the index is asked.
    """

    def introspect(asked: NameAsked) -> IntrospectTold:
        record = index.lookup(asked.name)
        if record is not None:
            return _described(index, record)
        if sandbox is not None and (told := _imported(asked.name, sandbox)).found:
            return told
        return _meant(index, asked.name)

    return Tool(
        "introspect",
        "Says what an installed name is: signature, docstring, members. For a name that does not "
        "exist it says which names come closest. Use it on every AttributeError, ImportError or "
        "TypeError about arguments.",
        NameAsked,
        IntrospectTold,
        introspect,
    )


def _described(index: DocumentationIndex, record: Record) -> IntrospectTold:
    members = [
        one.qualname.rpartition(".")[2]
        if one.kind not in ("method", "function", "class")
        else one.signature or one.qualname.rpartition(".")[2]
        for one in index.members(record)
    ]
    return IntrospectTold(
        found=True,
        name=record.name,
        kind=record.kind,
        signature=record.signature,
        docstring=record.docstring[:_MOST_DOCSTRING],
        members=members[:_MOST_MEMBERS],
        bases=[one.name for one in index.ancestors(record)],
    )


def _meant(index: DocumentationIndex, name: str) -> IntrospectTold:
    """The longest part of a name that exists, and what comes closest to the rest."""
    parent, _, rest = name.rpartition(".")
    while parent and index.lookup(parent) is None:
        parent, _, last = parent.rpartition(".")
        rest = f"{last}.{rest}"
    home = index.lookup(parent) if parent else None
    near: list[Record] = []
    if home is not None and (members := index.members(home)):
        near = index.near(rest.partition(".")[0], 5, among=members)
    elsewhere = [one for one in index.near(name, 5) if one.id not in {n.id for n in near}]
    close = [_told(one) for one in [*near, *elsewhere][:8]]
    if home is None:
        return IntrospectTold(found=False, close=close)
    return IntrospectTold(
        found=False, name=home.name, kind=home.kind, signature=home.signature, close=close
    )


def _told(record: Record) -> str:
    parent = record.name.rpartition(".")[0]
    return f"{parent}.{record.signature}" if record.signature else record.name


def _imported(name: str, sandbox: Sandbox) -> IntrospectTold:
    job = Job.of(MAIN, entry="main.py:look", inputs={"name": name}, limits=LIMITS)
    result = sandbox.run(job)
    if not result.ok:
        raise ToolError(f"introspect {name}: {why_not(result)}")
    try:
        return IntrospectTold.model_validate({**result.values, "imported": True})
    except ValueError as error:
        raise ToolError(f"introspect {name}: what came back makes no sense") from error
