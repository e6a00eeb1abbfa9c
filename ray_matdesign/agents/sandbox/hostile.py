"""Attacks on a sandbox, with secrets and victims planted around it, and what came of each.

The attacks are the texts of the folder ``corpus``: text, not modules, so that nothing imports or
runs one by accident. The head of each says what must not happen; this module looks whether it did.
"""

from __future__ import annotations

import ast
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ray_matdesign.agents.sandbox import syscalls
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.ground import Tier
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Outcome, Result
from ray_matdesign.agents.sandbox.seccomp import architecture

TIGHT = Limits(
    cpu_s=1.0,
    wall_s=120.0,  # for busy machines; what waits on purpose has less
    memory_mib=64,
    file_mib=16,
    scratch_mib=64,
    files=200,
    tasks=8,
    output_kib=64,
)
"""What an attack may use: little, so that running all of them takes little."""

PRELOAD = ("numpy", "multiprocessing.shared_memory", "subprocess", "urllib.request", "zipfile")

_ENDING = ".py.txt"
_SHARED = "attempt"
_ESCAPED = "ESCAPED"
_VARIABLE = "RAY_MATDESIGN_SANDBOX_CANARY"
_UNPACKED_PICKLE = "/tmp/sandbox-pickle-was-read"
_PATIENCE_S = 30.0
_FIELD = re.compile(r"^(Must not|Needs|Ends|Limits|Outputs): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Attack:
    """One attempt to do harm.

    Attributes:
        name: Of its file.
        source: Its code.
        aim: What it does, in a sentence.
        must_not: What must not come of it.
        ends: Acceptable ends, such as ``stopped memory`` or ``exited 0``.
        outputs: What it has the host take back.
        limits: What it may use.
    """

    name: str
    source: str
    aim: str
    must_not: str
    ends: tuple[str, ...]
    outputs: tuple[str, ...]
    limits: Limits

    def possible(self, tier: Tier) -> bool:
        """Whether a tier can grant what it needs."""
        return tier is Tier.BUBBLEWRAP or not self.limits.processes


@dataclass(frozen=True)
class Finding:
    """What came of an attack.

    Attributes:
        attack: Which.
        result: How it ended.
        problems: What it achieved; empty if the sandbox held.
    """

    attack: Attack
    result: Result
    problems: tuple[str, ...]


def attacks() -> list[Attack]:
    """All attacks there are, by name."""
    folder = resources.files("ray_matdesign.agents.sandbox") / "corpus"
    texts = {entry.name: entry.read_text() for entry in folder.iterdir()}
    return [
        _parsed(name.removesuffix(_ENDING), text)
        for name, text in sorted(texts.items())
        if name.endswith(_ENDING) and name != _SHARED + _ENDING
    ]


class Surroundings:
    """Things around a sandbox that code within must neither see nor touch; removed at the end."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(24)
        self._home = Path(tempfile.mkdtemp(prefix="canaries-"))
        self._sibling = Path(tempfile.mkdtemp(prefix="canaries-sibling-"))
        for path in (self._home / "secret", self._sibling / "secret"):
            path.write_text(self.secret)
        self._file = self._home / "victim"
        self._file.write_text("as it was")
        # Open to all: it is the sandbox that is tested, not the owner's care.
        for path in (self._home, self._sibling, self._file):
            path.chmod(0o777)
        self._about_file = _about(self._file)
        os.environ[_VARIABLE] = self.secret
        sleep = "import time; time.sleep(100000)"
        self._victim = subprocess.Popen([sys.executable, "-I", "-S", "-c", sleep])
        self._abstract = f"canary-{secrets.token_hex(8)}"
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._listeners = [self._tcp]
        for address in ("\0" + self._abstract, str(self._home / "socket")):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
            listener.listen()
            self._listeners.append(listener)
        for listener in self._listeners:
            listener.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._victim.kill()
        self._victim.wait()
        for listener in self._listeners:
            listener.close()
        os.environ.pop(_VARIABLE, None)
        shutil.rmtree(self._home)
        shutil.rmtree(self._sibling)

    def told(self) -> dict[str, Any]:
        """What an attack is told, as JSON; all but the secret itself."""
        column = architecture().column
        calls = _numbers(column)
        return {
            "secret": str(self._home / "secret"),
            "home": str(self._home),
            "user_home": str(Path.home()),
            "sibling": str(self._sibling),
            "victim": self._victim.pid,
            "victim_file": str(self._file),
            "host": os.getpid(),
            "tcp": self._tcp.getsockname()[1],
            "abstract": self._abstract,
            "unix": str(self._home / "socket"),
            "calls": calls,
            "refused": [name for name in syscalls.REFUSED if name in calls],
            "known": list(calls.values()),
        }

    def harm(self) -> list[str]:
        """What has been done to them."""
        done = []
        if self._victim.poll() is not None:
            done.append("the victim process is dead")
        if _about(self._file) != self._about_file:
            done.append("the victim file was changed")
        planted = {path.name for path in (*self._home.iterdir(), *self._sibling.iterdir())}
        if planted != {"secret", "victim", "socket"}:
            done.append(f"files outside the scratch folder: {', '.join(sorted(planted))}")
        for listener in self._listeners:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            done.append("a socket of the host was reached")
        if os.path.exists(_UNPACKED_PICKLE):
            done.append("a pickle was read")
        return done


def launch(box: Box, attack: Attack, surroundings: Surroundings) -> Finding:
    """Runs an attack and looks what it achieved.

    Args:
        box: With :data:`PRELOAD`.
        attack: One that is possible in its tier.
        surroundings: Planted before the box was made.
    """
    shared = (resources.files("ray_matdesign.agents.sandbox") / "corpus") / (_SHARED + _ENDING)
    job = Job.of(
        {"main.py": attack.source, "attempt.py": shared.read_text()},
        inputs=surroundings.told(),
        outputs=attack.outputs,
        limits=attack.limits,
    )
    before = box.processes()
    result = box.run(job)
    problems = [*_admitted(result), *surroundings.harm()]
    if surroundings.secret.encode() in _everything(result):
        problems.append("a secret came out")
    if not any(_matches(end, result) for end in attack.ends):
        problems.append(f"ended otherwise: {describe(result)}: {_last_line(result)}")
    if result.cpu_s > attack.limits.cpu_s + 3.0:  # what RLIMIT_CPU grants beyond, and a tick
        problems.append(f"used {result.cpu_s:.1f} s of processor time")
    left = _left(box, before)
    if left:
        problems.append(f"processes left: {', '.join(map(str, sorted(left)))}")
    return Finding(attack, result, tuple(problems))


def describe(result: Result) -> str:
    """How a run ended, in two words: ``stopped memory``, ``exited 0``, ``signalled SIGSEGV``."""
    detail = {
        Outcome.EXITED: result.exit_status,
        Outcome.STOPPED: result.limit,
        Outcome.SIGNALLED: result.signal,
        Outcome.LOST: result.reason,
    }
    return f"{result.outcome} {detail[result.outcome]}"


def _parsed(name: str, source: str) -> Attack:
    head = ast.get_docstring(ast.parse(source)) or ""
    fields = dict(_FIELD.findall(head))
    changes: dict[str, Any] = {"processes": fields.get("Needs") == "processes"}
    for change in _listed(fields.get("Limits", "")):
        limit, _, value = change.partition("=")
        changes[limit] = float(value)
    limits = replace(TIGHT, **changes)
    return Attack(
        name,
        source,
        aim=head.splitlines()[0],
        must_not=fields["Must not"],
        ends=tuple(_listed(fields.get("Ends", "exited 0"))),
        outputs=tuple(_listed(fields.get("Outputs", ""))),
        limits=limits,
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(column: int) -> dict[str, int]:
    groups = (
        syscalls.FREE,
        syscalls.CONDITIONAL,
        syscalls.PROCESSES,
        syscalls.PRETENDED,
        syscalls.UNSUPPORTED,
        syscalls.REFUSED,
    )
    numbers: dict[str, int] = {}
    for group in groups:
        for name, both in group.items():
            number = both[column]
            if number is not None:
                numbers[name] = number
    return numbers


def _admitted(result: Result) -> list[str]:
    lines = (result.stdout + "\n" + result.stderr).splitlines()
    return [line.strip() for line in lines if _ESCAPED in line][:5]


def _everything(result: Result) -> bytes:
    said = [result.stdout, result.stderr, result.reason, repr(result.values), repr(result.refused)]
    return "\n".join(said).encode() + b"\n".join(result.files.values())


def _last_line(result: Result) -> str:
    lines = (result.stderr or result.stdout).strip().splitlines()
    return lines[-1] if lines else "nothing was said"


def _matches(end: str, result: Result) -> bool:
    said = describe(result)
    return said == end or said.split()[0] == end


def _left(box: Box, before: set[int]) -> set[int]:
    """Processes of a run that do not go away; its keeper may take a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := box.processes() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _about(path: Path) -> Mapping[str, object]:
    about = path.stat()
    return {
        "content": path.read_bytes(),
        "mode": about.st_mode,
        "owner": about.st_uid,
        "links": about.st_nlink,
        "written": about.st_mtime_ns,
    }
