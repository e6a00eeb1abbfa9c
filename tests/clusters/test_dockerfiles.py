"""Dockerfiles, instruction by instruction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from files import CLUSTERS, REGISTRY, ROOT, extras

PATHS = sorted((CLUSTERS / "docker").glob("*.Dockerfile"))
KNOWN = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "USER",
    "WORKDIR",
}  # fmt: skip
Instruction = tuple[str, str]

pytestmark = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def instructions(path: Path) -> list[Instruction]:
    """Name and arguments of each instruction, continued lines joined and comments dropped."""
    found: list[Instruction] = []
    pending = ""
    for line in path.read_text().splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        name, _, rest = (pending + line).strip().partition(" ")
        found.append((name, " ".join(rest.split())))
        pending = ""
    assert not pending, f"{path.name} ends in a continued line"
    return found


def arguments(path: Path, name: str) -> list[str]:
    return [rest for instruction, rest in instructions(path) if instruction == name]


def test_only_instructions_there_are(path: Path) -> None:
    found = instructions(path)
    assert {name for name, _ in found} <= KNOWN
    assert found[0][0] == "FROM"


def test_bases_have_an_exact_tag(path: Path) -> None:
    (base,) = arguments(path, "FROM")
    assert re.search(r":\d+\.\d+\.\d+(-[\w-]+)?$", base)


def test_the_process_is_not_root(path: Path) -> None:
    users = arguments(path, "USER")
    assert users[-1] not in ("root", "0")
    after = [name for name, _ in instructions(path)]
    assert "RUN" not in after[len(after) - after[::-1].index("USER") :]


def test_health_is_checked_by_something_installed(path: Path) -> None:
    (check,) = arguments(path, "HEALTHCHECK")
    command = json.loads(check[check.index("CMD ") + 4 :])
    packages = {"pgrep": "procps", "wget": "wget", "ray": "ray"}
    text = " ".join(arguments(path, "RUN"))
    if not arguments(path, "FROM")[0].startswith(f"{REGISTRY}/"):  # there it is installed
        assert packages[command[0]] in text


def test_no_secret_and_no_unpinned_package_goes_in(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"(?i)(token|password|secret|api_key)\s*=\s*[^\s\"']*[a-z0-9]{8}", text)
    for run in arguments(path, "RUN"):
        for install in re.findall(r"pip install ([^&]*)", run):
            names = [word for word in install.split() if not word.startswith("-")]
            for name in names:
                pinned = "==" in name or name == "constraints.txt"
                own = name.strip('"').startswith(".")
                assert pinned or own, name
                assert not own or "-c constraints.txt" in install


def test_what_is_copied_is_there_and_not_ignored(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    for copied in arguments(path, "COPY"):
        *sources, _ = [word for word in copied.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source in allowed


def test_extras_exist(path: Path) -> None:
    for wanted in re.findall(r'"\.\[([\w,]+)\]"', path.read_text()):
        assert set(wanted.split(",")) <= set(extras())


def test_commands_are_lists(path: Path) -> None:
    """A shell in between would not pass signals on."""
    for name in ("CMD", "ENTRYPOINT"):
        for rest in arguments(path, name):
            assert isinstance(json.loads(rest), list)
