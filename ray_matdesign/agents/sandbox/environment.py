"""What a sandbox gets to see of this machine: the Python environment, and nothing of its user."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray_matdesign

SCRATCH_IN_BUBBLE = "/scratch"

SCIENTIFIC = (
    "numpy",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.spatial",
    "pymatgen.core",
    "pymatgen.symmetry.analyzer",
    "pymatgen.analysis.structure_matcher",
    "ase.build",
    "ase.calculators.emt",
    "torch",
    "ray_matdesign.crystals.crystal",
    "ray_matdesign.crystals.convert",
)
"""Packages that generated code wants, worth importing before there is any."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")

_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/lib", "/lib64", "/lib32")
_TABLES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")

_SYSTEM_PREFIXES = {"/usr", "/usr/local"}

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class UnsafeEnvironment(RuntimeError):
    """Showing this Python environment would show what must stay hidden."""


@dataclass(frozen=True)
class Root:
    """Something to be readable inside.

    Attributes:
        path: Absolute, as programs name it.
        target: What it points to, if it is a symbolic link.
    """

    path: str
    target: str | None = None


def readable_roots(more: Iterable[Path] = ()) -> list[Root]:
    """Folders of the Python environment, of this package and of system libraries.

    Args:
        more: Folders to add, such as packaged data.

    Raises:
        UnsafeEnvironment: One of them is the root of the file system, or holds home folders; or
            one that was added is for the eyes of root only.
        FileNotFoundError: One that was added does not exist.
    """
    for added in more:
        if not added.exists():
            raise FileNotFoundError(f"{added}: not there, so no sandbox can read it")
        _refuse_homes([str(added)])
        if os.geteuid() == 0 and not added.stat().st_mode & 0o004:
            raise UnsafeEnvironment(
                f"{added}: only its owner can read it, and code of a sandbox that root starts runs "
                f"as another user; chmod o+rX it"
            )
    library = os.path.dirname(os.__file__)
    interpreter = [*_hops(sys.executable), library, *site.getsitepackages()]
    # The system's own prefix holds far more than Python.
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix} - _SYSTEM_PREFIXES
    environment = [*interpreter, *prefixes]
    package = str(Path(ray_matdesign.__file__).parent)
    own = [os.path.abspath(path) for path in (*environment, package, *map(str, more))]
    own += [os.path.realpath(path) for path in own]
    _refuse_homes(own)
    known = [path for path in (*own, *_LIBRARIES, *_TABLES) if os.path.exists(path)]
    kept: list[Root] = []
    for path in sorted(set(known), key=len):
        if not any(_beneath(path, root.path) and not root.target for root in kept):
            target = os.readlink(path) if os.path.islink(path) else None
            kept.append(Root(path, target))
    return kept


def variables() -> dict[str, str]:
    """The whole environment of a sandbox; nothing of the host's is inherited."""
    return {
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PATH": "",
        "TZ": "UTC",
        "MPLBACKEND": "Agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        # Arenas of 64 MiB of address space a thread would be taken for memory that is used.
        "MALLOC_ARENA_MAX": "1",
        **dict.fromkeys(_THREADS, "1"),
    }


def python_command(*arguments: str) -> list[str]:
    """Starts the zygote of this very package, wherever it is installed.

    Args:
        arguments: Of the zygote.
    """
    # Neither the user's site-packages nor the current folder: what lies there is not vouched for.
    start = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        "from ray_matdesign.agents.sandbox.zygote import main; main()"
    )
    parent = str(Path(ray_matdesign.__file__).parents[1])
    return [sys.executable, "-s", "-P", "-B", "-c", start, parent, *arguments]


def bubblewrap_command(program: str, roots: Sequence[Root], inner: Sequence[str]) -> list[str]:
    """Wraps a command into a file system of its own, with no network and no process but its own.

    Args:
        program: Path of ``bwrap``.
        roots: What is readable.
        inner: The command.
    """
    command = [program, "--die-with-parent", "--new-session", "--clearenv"]
    if os.geteuid() == 0:
        # Root takes no user namespace here: it could map one user only, and code in a sandbox
        # shall be another than root. The zygote, which needs these two, makes that user.
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        command += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-all"]
    # Folders on the way would be made for the eyes of this user only.
    shown = [*(root.path for root in roots), *DEVICES]
    for folder in sorted({str(above) for path in shown for above in Path(path).parents}):
        command += ["--perms", "0755", "--dir", folder] if folder != "/" else []
    for root in roots:
        if root.target is None:
            command += ["--ro-bind", root.path, root.path]
        else:
            command += ["--symlink", root.target, root.path]
    for device in DEVICES:
        command += ["--dev-bind", device, device]
    for name, value in variables().items():
        command += ["--setenv", name, value]
    command += ["--proc", "/proc", "--dir", SCRATCH_IN_BUBBLE, "--remount-ro", "/", "--chdir", "/"]
    return [*command, "--", *inner]


def _hops(path: str) -> list[str]:
    """A path and what it points to, link by link: an interpreter is found through all of them."""
    hops = [path]
    while os.path.islink(hops[-1]):
        target = os.path.join(os.path.dirname(hops[-1]), os.readlink(hops[-1]))
        hops.append(os.path.normpath(target))
    return hops


def _refuse_homes(paths: Iterable[str]) -> None:
    homes = {os.path.realpath(Path.home()), "/home", "/root"}
    for path in paths:
        if any(_beneath(home, os.path.realpath(path)) for home in homes):
            raise UnsafeEnvironment(
                f"no sandbox with {path} in sight: showing it would show {Path.home()}; choose a "
                f"folder beneath it, and install Python into a virtual environment"
            )


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
