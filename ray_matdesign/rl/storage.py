"""Places where a run is kept: a folder, or whatever pyarrow reaches by a URI.

A place holds named files, each written whole: who reads one finds the old content or the new one,
never a part. Folders are what slashes in names make of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from ray_matdesign.crystals.atomic import write_atomic

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_OBJECT_STORES = frozenset({"s3", "gcs", "abfs"})
"""Here a file appears whole when its stream is closed, and a rename would be a copy."""


class StorageError(RuntimeError):
    """A place that cannot be reached, or does not do what it is asked to; the message names it."""


class Storage(Protocol):
    """Named files.

    Attributes:
        place: For messages.
    """

    place: str

    def write(self, name: str, content: bytes) -> None:
        """Writes or replaces a file; it is kept when this returns.

        Raises:
            StorageError: It could not be written; an earlier one is untouched.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """Content of a file; ``None`` if there is no such file.

        Raises:
            StorageError: It is there and cannot be read.
        """
        ...

    def names(self, prefix: str = "") -> list[str]:
        """Names of all files in a folder and the folders below it, sorted.

        Raises:
            StorageError: The place cannot be listed.
        """
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it is there.

        Raises:
            StorageError: It could not be removed.
        """
        ...


class FolderStorage:
    """A folder on a file system of this machine, shared or not.

    Args:
        folder: Made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        path = self._folder / name
        with _reported(self.place, name):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)

    def read(self, name: str) -> bytes | None:
        """See :class:`Storage`."""
        with _reported(self.place, name):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def names(self, prefix: str = "") -> list[str]:
        """See :class:`Storage`."""
        with _reported(self.place, prefix):
            found = (self._folder / prefix).rglob("*")
            return sorted(str(p.relative_to(self._folder)) for p in found if p.is_file())

    def remove(self, name: str) -> None:
        """See :class:`Storage`."""
        with _reported(self.place, name):
            (self._folder / name).unlink(missing_ok=True)


class ArrowStorage:
    """A folder, or a prefix of objects, on a file system of pyarrow.

    Args:
        filesystem: E.g. ``pyarrow.fs.S3FileSystem()``.
        folder: On it.
        place: For messages; by default the folder.
    """

    def __init__(self, filesystem: FileSystem, folder: str, place: str = "") -> None:
        self.place = place or folder
        self._filesystem = filesystem
        self._folder = PurePosixPath(folder)

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`."""
        path = self._path(name)
        appears_whole = self._filesystem.type_name in _OBJECT_STORES
        target = path if appears_whole else f"{path}.partial"
        with _reported(self.place, name):
            if not appears_whole:
                self._filesystem.create_dir(str(PurePosixPath(path).parent), recursive=True)
            with self._filesystem.open_output_stream(target) as stream:
                stream.write(content)
            if not appears_whole:
                self._filesystem.move(target, path)

    def read(self, name: str) -> bytes | None:
        """See :class:`Storage`."""
        with _reported(self.place, name):
            try:
                with self._filesystem.open_input_stream(self._path(name)) as stream:
                    content: bytes = stream.read()
            except FileNotFoundError:
                return None
        return content

    def names(self, prefix: str = "") -> list[str]:
        """See :class:`Storage`."""
        from pyarrow.fs import FileSelector, FileType

        below = FileSelector(self._path(prefix), recursive=True, allow_not_found=True)
        with _reported(self.place, prefix):
            found = self._filesystem.get_file_info(below)
        return sorted(
            str(PurePosixPath(info.path).relative_to(self._folder))
            for info in found
            if info.type == FileType.File and not info.path.endswith(".partial")
        )

    def remove(self, name: str) -> None:
        """See :class:`Storage`."""
        with _reported(self.place, name):
            try:
                self._filesystem.delete_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return str(self._folder / name)


def folder_of(place: str) -> Path | None:
    """The folder of this machine that a path or a ``file://`` URI names; ``None`` for others."""
    if "://" not in place:
        return Path(place)
    return Path(place.removeprefix("file://")) if place.startswith("file:///") else None


def open_storage(place: str) -> Storage:
    """The storage at a path or a URI such as ``s3://bucket/runs/garnets``.

    Raises:
        StorageError: A kind of URI that pyarrow does not know, or whose options it refuses.
    """
    folder = folder_of(place)
    if folder is not None:
        return FolderStorage(folder)
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        filesystem, prefix = FileSystem.from_uri(place)
    except (ArrowException, ValueError, OSError) as error:
        raise StorageError(f"{place}: {_first_line(error)}") from error
    return ArrowStorage(filesystem, prefix, place)


@contextmanager
def _reported(place: str, name: str) -> Iterator[None]:
    # pyarrow raises ArrowException, which is a ValueError or an OSError or neither.
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ArrowException) as error:
        where = f"{place.rstrip('/')}/{name}".rstrip("/")
        raise StorageError(f"{where}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
