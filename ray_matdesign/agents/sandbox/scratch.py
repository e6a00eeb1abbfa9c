"""The folder a run may write to: filled, measured, read back and removed without trusting it."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_DEEPEST = 32
"""Levels of folders; deeper trees are treated as too large rather than walked."""

_BLOCK = 512
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe would wait for a writer that never comes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class BadName(ValueError):
    """A file name that leads out of the scratch folder, or nowhere."""


@dataclass(frozen=True)
class Usage:
    """What a folder holds.

    Attributes:
        bytes: On disk, rounded up to blocks; a hole in a sparse file takes none.
        entries: Files and folders.
    """

    bytes: int
    entries: int


def checked_name(name: str) -> str:
    """A relative file name with plain parts.

    Raises:
        BadName: It is empty, absolute, too deep, or has ``..`` or a null byte in it.
    """
    path = PurePosixPath(name)
    plain = path.parts and ".." not in path.parts and "\0" not in name and str(path) == name
    if not plain or path.is_absolute() or len(path.parts) > _DEEPEST // 2:
        raise BadName(f"{name!r}: not a plain relative file name")
    return name


def fill(folder: str, files: Mapping[str, bytes]) -> None:
    """Writes files into an empty folder of one's own.

    Raises:
        BadName: A name is not plain.
        OSError: They do not fit.
    """
    for name, content in files.items():
        path = os.path.join(folder, checked_name(name))
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)


def measure(folder: str, most_entries: int) -> Usage:
    """Counts a folder that something may be writing to.

    Args:
        folder: Where to begin.
        most_entries: Counting ends soon after so many.

    Returns:
        What it holds; folders nested too deep, paths too long, and folders made so that they can
        be written to but not listed count as more entries than allowed.
    """
    size = entries = 0
    waiting = [(folder, 0)]
    while waiting and entries <= most_entries:
        path, depth = waiting.pop()
        if depth > _DEEPEST:
            return Usage(size, most_entries + 1)
        try:
            with os.scandir(path) as found:
                for entry in found:
                    about = entry.stat(follow_symlinks=False)
                    entries += 1
                    size += about.st_blocks * _BLOCK
                    if stat.S_ISDIR(about.st_mode):
                        waiting.append((entry.path, depth + 1))
                    if entries > most_entries:
                        break
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
            continue
        except OSError:
            return Usage(size, most_entries + 1)
    return Usage(size, entries)


def collect(
    folder: str, names: Iterable[str], *, most_each: int, most_in_all: int
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Takes files back once nothing can write to the folder any more.

    Args:
        folder: The scratch folder.
        names: Which files.
        most_each: Largest file, bytes.
        most_in_all: Largest sum, bytes.

    Returns:
        Contents of regular files that have one name and are reached without a link, and why the
        others were refused.
    """
    taken: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    left = most_in_all
    for name in names:
        try:
            taken[name] = _read(folder, checked_name(name), min(most_each, left))
            left -= len(taken[name])
        except FileNotFoundError:
            refused[name] = "was not written"
        except BadName as error:
            refused[name] = str(error)
        except OSError as error:
            linked = error.errno in (errno.ELOOP, errno.ENOTDIR)
            refused[name] = "reached by a link" if linked else error.strerror or str(error)
    return taken, refused


def _read(folder: str, name: str, most: int) -> bytes:
    *folders, last = PurePosixPath(name).parts
    place = os.open(folder, _FOLDER)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER, dir_fd=place)
            os.close(place)
            place = inner
        file = os.open(last, _FILE, dir_fd=place)
    finally:
        os.close(place)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if about.st_nlink != 1:
            raise OSError(errno.EINVAL, "a file with several names")
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"{about.st_size} bytes, more than the {most} allowed")
        with open(file, "rb", closefd=False) as opened:
            return opened.read(most)
    finally:
        os.close(file)


def remove(folder: str) -> None:
    """Removes a folder that nobody writes to any more, however deep it is nested.

    Folders within folders are first moved up to the top: neither the length of a path nor the
    number of open files then depends on what was built here.
    """
    token = secrets.token_hex(8)  # a name that nobody within could have taken
    top = os.open(folder, _FOLDER)
    try:
        moved = 0
        while inner := _unlink_files(top):
            for name in inner:
                _take_rights(name, top)
                place = os.open(name, _FOLDER, dir_fd=top)
                try:
                    for below in _unlink_files(place):
                        moved += 1
                        _take_rights(below, place)
                        os.rename(below, f"{token}-{moved}", src_dir_fd=place, dst_dir_fd=top)
                finally:
                    os.close(place)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _unlink_files(place: int) -> list[str]:
    """Removes all but folders; returns the names of those."""
    folders = []
    with os.scandir(place) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        if is_folder:
            folders.append(name)
        else:
            os.unlink(name, dir_fd=place)
    return folders


def _take_rights(name: str, place: int) -> None:
    """Folders may have been made with a mode that keeps their owner out."""
    os.chmod(name, 0o700, dir_fd=place)
