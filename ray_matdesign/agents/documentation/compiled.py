"""Asks compiled modules for their docstrings, behind the walls of a sandbox."""

from __future__ import annotations

import inspect
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from ray_matdesign.agents.documentation import tables
from ray_matdesign.agents.documentation.docstrings import examples, summary, without_signature
from ray_matdesign.agents.documentation.names import Names
from ray_matdesign.agents.documentation.records import Kind, Symbol, is_private
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Result

LIMITS = Limits(cpu_s=60.0, wall_s=180.0, memory_mib=2048, tasks=8, output_kib=64)
"""What asking the modules of one distribution may use."""

MAIN = "from ray_matdesign.agents.documentation.asking import ask\n"
_MOST_DOCSTRING = 20_000
_KEYS = {"name", "owner", "kind", "signature", "docstring"}
_KINDS = frozenset({"class", "function", "method", "property", "constant"})


class Sandbox(Protocol):
    """Runs a job behind walls; a :class:`ray_matdesign.agents.sandbox.box.Box`, for one."""

    def run(self, job: Job) -> Result:
        """What came of the job, as a value."""
        ...


class NotAsked(RuntimeError):
    """Compiled modules could not be asked, and why, in one line."""


def add_compiled(connection: sqlite3.Connection, sandbox: Sandbox) -> None:
    """Adds what source and stubs do not tell of names that packages offer.

    Raises:
        NotAsked: A package could not be imported.
    """
    symbols = {one.qualname: one for one in tables.symbols_of(connection)}
    names = Names(tables.modules_of(connection), symbols.values())
    of = dict(connection.execute("SELECT name, distribution FROM modules"))
    wanted: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for module, asked in _open_names(connection, names, symbols):
        wanted[of[module]][module] = asked
    for distribution, modules in wanted.items():
        job = Job.of(MAIN, entry="main.py:ask", inputs={"modules": modules}, limits=LIMITS)
        result = sandbox.run(job)
        if not result.ok:
            why = result.stderr.strip().splitlines()[-1:] or [result.reason or str(result.limit)]
            raise NotAsked(f"{distribution}: its compiled modules were not asked: {why[0]}")
        for told in _told(result):
            _add(connection, told, names, symbols, distribution)


def _open_names(
    connection: sqlite3.Connection, names: Names, symbols: Mapping[str, Symbol]
) -> Iterator[tuple[str, list[str]]]:
    """Packages, with names they offer of which nothing is known; ``*module`` for a star."""
    modules = {one.name: one for one in tables.modules_of(connection)}
    for one in modules.values():
        if not one.package or is_private(one.name):
            continue
        root = one.name.partition(".")[0]
        inside = [n for n, target in one.imports.items() if target.partition(".")[0] == root]
        taken = [n for star in one.stars if star in modules for n in names.public_names(star)]
        asked = [
            name
            for name in dict.fromkeys([*inside, *(one.exported or ()), *taken])
            if not name.startswith("_") and _is_open(f"{one.name}.{name}", names, symbols)
        ]
        asked += [f"*{s}" for s in one.stars if s not in modules and s.partition(".")[0] == root]
        if asked:
            yield one.name, asked


def _is_open(dotted: str, names: Names, symbols: Mapping[str, Symbol]) -> bool:
    found = names.resolve(dotted)
    if found is None:
        return True
    symbol = symbols.get(found)
    return symbol is not None and symbol.file.endswith(".pyi") and not symbol.docstring


def _told(result: Result) -> Iterator[Mapping[str, str]]:
    """What was told, as far as it is of the form that was asked for."""
    listed = result.values.get("told")
    for one in listed if isinstance(listed, list) else ():
        fits = isinstance(one, dict) and all(isinstance(value, str) for value in one.values())
        if fits and set(one) == _KEYS and one["kind"] in _KINDS:
            yield one


def _add(
    connection: sqlite3.Connection,
    told: Mapping[str, str],
    names: Names,
    symbols: Mapping[str, Symbol],
    distribution: str,
) -> None:
    leaf = told["name"].rpartition(".")[2]
    text = inspect.cleandoc(told["docstring"])[:_MOST_DOCSTRING]
    written, docstring = without_signature(leaf, text)
    signature = written or told["signature"]
    found = names.resolve(told["name"])
    if found is None or found not in symbols:
        owner = (names.resolve(told["owner"]) or told["owner"]) if told["owner"] else ""
        home = owner or told["name"].rpartition(".")[0]
        one = Symbol(
            f"{home}.{leaf}",
            cast(Kind, told["kind"]),  # one of those that are asked for
            told["name"].rpartition(".")[0] if not owner else owner.rpartition(".")[0],
            owner,
            signature,
            docstring,
            examples(docstring),
        )
        tables.add_symbols(connection, [one], distribution)
    elif not symbols[found].docstring:
        kind = told["kind"] if symbols[found].kind == "constant" else symbols[found].kind
        known = symbols[found].signature
        row: Sequence[Any] = (
            kind,
            docstring,
            summary(docstring),
            examples(docstring),
            signature if len(signature) > len(known) else known,
            found,
        )
        connection.execute(
            "UPDATE symbols SET kind = ?, docstring = ?, summary = ?, examples = ?, signature = ? "
            "WHERE qualname = ?",
            row,
        )
