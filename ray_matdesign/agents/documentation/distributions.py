"""Which distributions are installed here, and which of their files are worth reading."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

FORMAT = "2"
"""Of index files; another one has another key, and is built anew."""

_README = re.compile(r"(^|/)readme[^/]*\.(md|rst|txt)$", re.IGNORECASE)
_TEST = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$")


@dataclass(frozen=True)
class Distribution:
    """One that is installed.

    Attributes:
        name: As the package index has it, in lower case with dashes.
        version: Installed.
        root: Folder it is installed in.
        sources: Of its modules and stubs, relative to the root.
        tests: Of its test modules.
        readmes: Of its packages; the description of the whole is ``description``.
        description: What the package index shows.
        public_only: Whether only what a package re-exports is of use: the rest is as large as all
            other packages together, and nobody's interface.
    """

    name: str
    version: str
    root: Path
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    readmes: tuple[str, ...]
    description: str
    public_only: bool = False


def installed(names: Sequence[str], public_only: Iterable[str] = ()) -> list[Distribution]:
    """Those of the given distributions that are installed, in the order given.

    Args:
        names: As the package index has them.
        public_only: Those of which only the public part is read.
    """
    found = []
    public = {canonical(name) for name in public_only}
    for name in names:
        try:
            one = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(_distribution(one, canonical(name) in public))
    return found


def canonical(name: str) -> str:
    """Name of a distribution as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment_key(distributions: Iterable[Distribution], *, run: bool) -> str:
    """Short digest of all an index depends on: the versions, Python's, and how it is made.

    Args:
        distributions: What is read.
        run: Whether compiled modules are asked as well.
    """
    parts = [f"{one.name}=={one.version} {one.public_only}" for one in distributions]
    python = f"python {sys.version_info.major}.{sys.version_info.minor}"
    text = "\n".join([f"format {FORMAT}", python, f"run {run}", *sorted(parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def module_name(file: str) -> tuple[str, bool]:
    """Dotted name of a source file, and whether it is the ``__init__`` of a package."""
    parts = PurePosixPath(file).with_suffix("").parts
    package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if package else parts), package


def _distribution(one: metadata.Distribution, public_only: bool) -> Distribution:
    root = Path(str(one.locate_file("")))
    files = [str(PurePosixPath(file)) for file in one.files or ()]
    here = [file for file in files if not file.startswith("..") and (root / file).is_file()]
    modules = list(_modules(here))
    tests = [file for file in modules if _TEST.search(file)]
    name = canonical(one.metadata["Name"])
    return Distribution(
        name,
        one.version,
        root,
        tuple(file for file in modules if file not in set(tests)),
        () if public_only else tuple(file for file in tests if file.endswith(".py")),
        tuple(file for file in here if _README.search(file) and ".dist-info/" not in file),
        _description(one),
        public_only,
    )


def _description(one: metadata.Distribution) -> str:
    """What follows the head of its metadata."""
    text = one.read_text("METADATA") or one.read_text("PKG-INFO") or ""
    return text.partition("\n\n")[2]


def _modules(files: Iterable[str]) -> Iterator[str]:
    """Sources that can be imported, and stubs where there is no source."""
    every = set(files)
    for file in sorted(every):
        path = PurePosixPath(file)
        stub = path.suffix == ".pyi"
        if not (stub or path.suffix == ".py") or (stub and str(path.with_suffix(".py")) in every):
            continue
        if all(part.isidentifier() for part in path.with_suffix("").parts):
            yield file
