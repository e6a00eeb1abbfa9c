"""What is read of a module without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["module", "class", "function", "method", "property", "attribute", "constant"]
"""Of a symbol. A static or class method is a method."""

UNKNOWN = "?"
"""Root of the target of a call on something whose class the source does not tell."""


@dataclass(frozen=True)
class Symbol:
    """Something with a name that a program can use.

    Attributes:
        qualname: Dotted, of the definition: ``pymatgen.core.structure.IStructure.get_distance``.
        kind: What it is.
        module: Dotted name of the module that defines it.
        owner: Qualified name of the class it is a member of; empty outside of classes.
        signature: ``name(arguments) -> type`` with defaults; empty where there is none.
        docstring: Without common indentation; that of ``__init__`` follows that of its class.
        examples: The interpreter sessions in the docstring.
        parameters: Names of the arguments.
        file: Relative to the folder that packages are installed in.
        line: Where the definition begins, from 1, decorators included.
        end_line: Where it ends.
        bases: Of a class, as far as its module tells their dotted names.
        deprecated: Whether it says so.
    """

    qualname: str
    kind: Kind
    module: str
    owner: str = ""
    signature: str = ""
    docstring: str = ""
    examples: str = ""
    parameters: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    end_line: int = 0
    bases: tuple[str, ...] = ()
    deprecated: bool = False

    @property
    def leaf(self) -> str:
        """The last part of the name."""
        return self.qualname.rpartition(".")[2]


@dataclass(frozen=True)
class Call:
    """A call, as the source tells it.

    Attributes:
        source: Qualified name of the function that calls; the module's outside of functions.
        target: Dotted name of what is called, not yet followed through imports; ``?.name`` where
            only the name of the method is known.
    """

    source: str
    target: str


@dataclass(frozen=True)
class Document:
    """A text that is not a docstring.

    Attributes:
        kind: ``readme`` or ``test``.
        title: Heading, or the name of the test.
        file: Relative to the folder that packages are installed in.
        line: Where it begins, from 1.
        text: All of it, or as much as is kept.
        calls: Of a test: dotted names of what it calls.
    """

    kind: Literal["readme", "test"]
    title: str
    file: str
    line: int
    text: str
    calls: tuple[str, ...] = ()


@dataclass
class Module:
    """All that is read of one module.

    Attributes:
        name: Dotted.
        package: Whether it is the ``__init__`` of a package.
        exported: Its ``__all__``, if that is a plain list; ``None`` otherwise.
        imports: Dotted targets by the names they get here.
        stars: Modules whose public names are imported all.
        symbols: Definitions, with the module itself first.
        calls: Of its functions.
        documents: Its tests.
    """

    name: str
    package: bool = False
    exported: tuple[str, ...] | None = None
    imports: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)


def is_private(dotted: str) -> bool:
    """Whether any part of a name begins with an underscore; ``__init__`` does not count."""
    return any(
        part.startswith("_") and not (part.startswith("__") and part.endswith("__"))
        for part in dotted.split(".")
    )
