"""What the tools know of symbols and documentation, as lines for a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ray_matdesign.agents.cascade.running import Failure
from ray_matdesign.agents.cascade.settings import Abilities
from ray_matdesign.agents.tools.documentation import SearchTold
from ray_matdesign.agents.tools.introspect import IntrospectTold
from ray_matdesign.agents.tools.protocol import Toolbox, ToolError

SEARCH = "search_docs"
INTROSPECT = "introspect"
"""Names of the tools that are asked."""

_MOST_QUERY = 500
_MOST_RESULTS = 20
_MOST_NAME = 200
_MOST_SIGNATURE = 300
_MOST_SUMMARY = 160
_MOST_MEMBERS = 30
_MOST_CLOSE = 3

_PATTERNS = (
    re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<owner>[\w.]+)'"),
    re.compile(r"No module named '(?P<name>[\w.]+)'"),
    re.compile(r"(?:module|type object) '(?P<owner>[\w.]+)' has no attribute '(?P<name>\w+)'"),
    re.compile(r"'(?P<owner>[\w.]+)' object has no attribute '(?P<name>\w+)'"),
    re.compile(r"name '(?P<name>\w+)' is not defined"),
    re.compile(r"(?P<name>[\w.]+)\(\) (?:got an unexpected|missing|takes|got multiple|got some)"),
)


class MissingTool(ValueError):
    """An ability is on, and the tool that it needs is not there, or is another of that name."""


class Consultation:
    """Asks the tools for a solver; what cannot be answered leaves no lines.

    Args:
        toolbox: The tools there are.
        able: Which of them may be asked.

    Raises:
        MissingTool: An ability lacks its tool.
    """

    def __init__(self, toolbox: Toolbox, able: Abilities) -> None:
        needed = (
            ("documentation", SEARCH, SearchTold),
            ("introspection", INTROSPECT, IntrospectTold),
        )
        for ability, tool, told in needed:
            if getattr(able, ability) and (
                tool not in toolbox or not issubclass(toolbox[tool].told, told)
            ):
                raise MissingTool(
                    f"abilities.{ability}: there is no tool {tool}; build the documentation index, "
                    f"or set abilities.{ability}: false"
                )
        self._toolbox = toolbox
        self._able = able

    def search(self, query: str, limit: int) -> list[str]:
        """Symbols that may answer a question, a line each, the best first; empty if not able."""
        if not self._able.documentation:
            return []
        asked = {"question": query[:_MOST_QUERY], "limit": min(limit, _MOST_RESULTS)}
        try:
            told = self._toolbox.call(SEARCH, asked)
        except ToolError:  # nothing is found, and the program is written without it
            return []
        assert isinstance(told, SearchTold)
        return [_line(one.name, one.signature, one.summary) for one in told.symbols]

    def lookup(self, names: Iterable[str]) -> list[str]:
        """What is there under names, or instead of them; empty if nothing may be looked up."""
        lines: list[str] = []
        for name in dict.fromkeys(names):
            told = self._introspected(name)
            if told is None:
                continue
            if told.found:
                lines.append(_line(told.name, told.signature, told.docstring))
                if told.kind == "class":
                    lines.append(f"  its members: {_members(told.members)}")
            elif told.close:
                lines.append(f"{name} does not exist; there is")
                lines += [f"  {_cut(one)}" for one in told.close[:_MOST_CLOSE]]
        return lines

    def place(self, name: str) -> str | None:
        """The module to import a name from, if the tools know one only."""
        told = self._introspected(name)
        if told is None or told.found:
            return None
        paths = {one.partition("(")[0] for one in told.close}
        places = {path.rpartition(".")[0] for path in paths if path.rpartition(".")[2] == name}
        modules = {one for one in places if one and one.rpartition(".")[2].islower()}
        return modules.pop() if len(modules) == 1 else None

    def _introspected(self, name: str) -> IntrospectTold | None:
        if not self._able.introspection or not 0 < len(name) <= _MOST_NAME:
            return None
        try:
            told = self._toolbox.call(INTROSPECT, {"name": name})
        except ToolError:
            return None
        assert isinstance(told, IntrospectTold)
        return told


def failing_names(failure: Failure) -> list[str]:
    """Names that an error says are not there, or are called wrongly: ``Structure.volum``."""
    for pattern in _PATTERNS:
        if found := pattern.search(failure.message):
            parts = found.groupdict()
            name = parts["name"].removesuffix(".__init__")
            owner = parts.get("owner")
            return [f"{owner}.{name}" if owner else name]
    return []


def _line(name: str, signature: str, summary: str) -> str:
    """Such as ``pymatgen.core.Structure(lattice, species): A crystal.``."""
    owner = name.rpartition(".")[0]
    called = f"{owner}.{signature}" if signature else name
    first = summary.strip().partition("\n\n")[0]
    told = " ".join(first.split())[:_MOST_SUMMARY]
    return f"{_cut(called)}: {told}" if told else _cut(called)


def _members(members: Sequence[str]) -> str:
    names = dict.fromkeys(one.partition("(")[0] for one in members)
    return ", ".join(list(names)[:_MOST_MEMBERS]) or "none"


def _cut(signature: str) -> str:
    signature = " ".join(signature.split())
    if len(signature) <= _MOST_SIGNATURE:
        return signature
    return f"{signature[: _MOST_SIGNATURE - 4]}...)"
