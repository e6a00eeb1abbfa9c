"""Which files a process may touch, by Landlock: for processes that may not mount anything.

What the kernel checks are rights on files beneath the folders named here. It checks neither
``stat`` nor ``readlink`` nor ``chdir``: names, sizes and times of files elsewhere stay visible to
whoever guesses a path. Rights by version: https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable

from ray_matdesign.agents.sandbox.linux import PR_SET_NO_NEW_PRIVS, prctl, syscall

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

_KNOWN_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files each version knows; from the fifth on 16."""

_TCP = 0b11  # bind, connect; from the fourth version on
_SCOPES = 0b11  # abstract UNIX sockets, signals; from the sixth version on


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none or it is switched off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:  # ENOSYS: not built in; EOPNOTSUPP: switched off; EPERM: filtered
        return 0


def restrict(readable: Iterable[str], devices: Iterable[str], scratch: str, *, run: bool) -> None:
    """Confines the calling process and its children to some files, for good.

    Nothing else can be opened, and no new folder, link or device made outside the scratch folder;
    in it are files and folders only. No TCP port, abstract UNIX socket or signal reaches outside
    where the kernel's version covers them.

    Args:
        readable: Files and folders that may be read; those that do not exist are left out.
        devices: Device files that may be read and written.
        scratch: Folder where files may be made.
        run: Whether programs among the readable files may be run.

    Raises:
        OSError: The kernel refuses.
    """
    known = version()
    rights = (1 << _KNOWN_RIGHTS.get(known, 16)) - 1
    reading = _READ_FILE | _READ_DIR | (_EXECUTE if run else 0)
    making = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
    attributes = struct.pack("=Q", rights)
    attributes += struct.pack("=Q", _TCP) if known >= 4 else b""
    attributes += struct.pack("=Q", _SCOPES) if known >= 6 else b""
    ruleset = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            if os.path.exists(path):
                _grant(ruleset, path, reading & rights)
        for path in devices:
            _grant(ruleset, path, (_READ_FILE | _WRITE_FILE) & rights)
        _grant(ruleset, scratch, (_READ_FILE | _READ_DIR | making) & rights)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= _ON_FILES
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, parent), 0)
    finally:
        os.close(parent)
