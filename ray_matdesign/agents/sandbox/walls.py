"""What a keeper does before it lets code in: becomes nobody, and builds namespaces."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ray_matdesign.agents.sandbox.limits import MIB, Limits
from ray_matdesign.agents.sandbox.linux import (
    CAP_DAC_READ_SEARCH,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    keep_capabilities,
    mount,
    prctl,
    unshare,
)
from ray_matdesign.agents.sandbox.seccomp import architecture

FIRST_USER = 0x70000000
"""Users from here on belong to nobody, by systemd's list of ranges: one is taken for each run."""

USERS = 2**24
_NOBODY = 65534


def needed_to_read(paths: Iterable[str]) -> int:
    """Capabilities without which another user could not read these paths, a bit each.

    A Python environment in the home of root is closed to all others. What may be read is then up
    to Landlock alone.
    """
    for path in paths:
        for folder in (Path(path), *Path(path).parents):
            if folder.exists() and not folder.stat().st_mode & 0o001 and folder.is_dir():
                return 1 << CAP_DAC_READ_SEARCH
    return 0


def become_nobody(user: int, folder: str | None, capabilities: int) -> bool:
    """Turns root into a user who owns nothing but a scratch folder; others stay who they are.

    Args:
        user: Whom to become.
        folder: Given to that user, unless it is made later.
        capabilities: Those that stay, a bit each.

    Returns:
        Whether the process is a user that no other process is.

    Raises:
        OSError: The kernel refuses.
    """
    machine = architecture()
    alone = os.geteuid() == 0
    if alone:
        prctl(PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        try:
            _become(user, folder)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a container that knows few users
                raise
            _become(_NOBODY, folder)
            alone = False
    keep_capabilities(machine.capset, capabilities if os.geteuid() >= FIRST_USER else 0)
    # Otherwise its files in /proc would still belong to root, and it could not look at its child.
    prctl(PR_SET_DUMPABLE, 1)
    return alone


def separate(limits: Limits, scratch: str) -> int:
    """Moves the calling process to namespaces of its own, with an empty scratch folder in memory.

    Its children will see no process but themselves, no network and no ``/proc``.

    Args:
        limits: How much the folder takes.
        scratch: Where it is mounted.

    Returns:
        A descriptor of the ``/proc`` that is out of sight now.

    Raises:
        OSError: The kernel refuses.
    """
    user, group = os.getuid(), os.getgid()
    unshare(
        CLONE_NEWUSER
        | CLONE_NEWNS
        | CLONE_NEWPID
        | CLONE_NEWNET
        | CLONE_NEWIPC
        | CLONE_NEWUTS
        | CLONE_NEWCGROUP
    )
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    size = f"size={limits.scratch_mib * MIB},nr_inodes={limits.files + 1},mode=0700"
    mount("tmpfs", scratch, MS_NOSUID | MS_NODEV | MS_NOEXEC, size)
    processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mount("tmpfs", "/proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0555,size=4096")
    keep_capabilities(architecture().capset, 0)
    return processes


def _become(user: int, folder: str | None) -> None:
    if folder is not None:
        os.chown(folder, user, user)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
