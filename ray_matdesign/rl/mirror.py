"""A run directory kept at a URI: worked on in a folder of this machine, and sent there as it grows.

Files keep their names. What a checkpoint needs is sent before ``manifest.json``, which names every
file with its size and digest, so that a run that breaks off at any moment is resumed from the last
manifest; files no longer wanted go only after it. The ledger does not wait for a checkpoint: each
line is an object of its own, as nothing can be appended to objects, and is there before the run
goes on.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.rl.lease import Lease
from ray_matdesign.rl.storage import Storage, StorageError

MANIFEST = "manifest.json"
FORMAT = 1
_LEDGER = "ledger"
_MUST_AGREE = ("checkpoints/", "prior.safetensors")
"""What a run goes on from. Other files may be newer than the manifest: resuming rewinds them."""

_Stamp = tuple[int, int]


class Copy(Protocol):
    """What a run tells whoever keeps a copy of its directory."""

    def ledger_grew(self) -> None:
        """Lines were added to the ledger: they must be kept when this returns."""
        ...

    def checkpoint_written(self) -> None:
        """A checkpoint is complete, and everything before it."""
        ...


class NoCopy:
    """The directory is where the run is kept."""

    def ledger_grew(self) -> None:
        """Nothing to do."""

    def checkpoint_written(self) -> None:
        """Nothing to do."""


class Mirror:
    """Sends a folder to a storage, and brings it back.

    Args:
        folder: Of this machine; belongs to the mirror.
        storage: Where the run is kept.
        lease: Held on the storage, if others might want to write there as well.
    """

    def __init__(self, folder: Path, storage: Storage, lease: Lease | None = None) -> None:
        self.folder = folder
        self._storage = storage
        self._lease = lease
        self._digests: dict[str, tuple[_Stamp, dict[str, object]]] = {}
        self._sent: dict[str, dict[str, object]] = {}
        self._ledger_sizes: dict[str, int] = {}
        self._ledger_parts: dict[str, int] = {}
        self._sending = threading.RLock()  # loops that overlap pay from threads of their own

    @property
    def place(self) -> str:
        """Where the run is kept."""
        return self._storage.place.rstrip("/")

    def fetch(self) -> bool:
        """Brings the run here; says whether there is one.

        Raises:
            StorageError: Something a run must go on from is missing or damaged.
        """
        content = self._storage.read(MANIFEST)
        if content is None:
            return False
        for name, facts in _files(content, self._storage.place).items():
            found = self._storage.read(name)
            if found is None or (name.startswith(_MUST_AGREE) and _facts(found) != facts):
                problem = "is missing" if found is None else f"is not what {MANIFEST} says"
                raise StorageError(f"{self._storage.place.rstrip('/')}/{name} {problem}")
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, found)
            self._sent[name] = _facts(found)
        self._fetch_ledger()
        return True

    def ledger_grew(self) -> None:
        """Sends the lines that were added since the last time.

        Raises:
            StorageError: They could not be sent.
            LeaseLost: Another process took the run over.
        """
        with self._sending:
            self._check()
            for path in sorted((self.folder / _LEDGER).glob("*.jsonl")):
                with path.open("rb") as file:
                    file.seek(self._ledger_sizes.get(path.stem, 0))
                    lines = file.read()
                if lines:
                    number = self._ledger_parts.get(path.stem, 0) + 1
                    self._storage.write(f"{_LEDGER}/{path.stem}/{number:06d}.jsonl", lines)
                    self._ledger_parts[path.stem] = number
                    sent = self._ledger_sizes.get(path.stem, 0)
                    self._ledger_sizes[path.stem] = sent + len(lines)

    def checkpoint_written(self) -> None:
        """Sends what has changed, then the manifest, then removes what is gone.

        Raises:
            StorageError: Something could not be sent; what was there before is still good.
            LeaseLost: Another process took the run over.
        """
        with self._sending:
            self.ledger_grew()
            files = {name: self._digest(name) for name in self._names()}
            for name, facts in files.items():
                if self._sent.get(name) != facts:
                    self._storage.write(name, (self.folder / name).read_bytes())
                    self._sent[name] = facts
            self._check()
            manifest = {"format": FORMAT, "files": files}
            self._storage.write(MANIFEST, json.dumps(manifest, indent=1).encode())
            for name in [name for name in self._sent if name not in files]:
                self._storage.remove(name)
                del self._sent[name]
            self._forget_ledger()

    def _check(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _names(self) -> list[str]:
        found = (p.relative_to(self.folder) for p in self.folder.rglob("*") if p.is_file())
        visible = [p for p in found if not any(part.startswith(".") for part in p.parts)]
        return sorted(str(p) for p in visible if p.parts[0] != _LEDGER)

    def _digest(self, name: str) -> dict[str, object]:
        path = self.folder / name
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        held = self._digests.get(name)
        if held is None or held[0] != stamp:
            held = (stamp, _facts(path.read_bytes()))
            self._digests[name] = held
        return held[1]

    def _fetch_ledger(self) -> None:
        for name in self._storage.names(_LEDGER):
            _, stem, part = name.split("/")
            lines = self._storage.read(name) or b""
            path = self.folder / _LEDGER / f"{stem}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(lines)
            self._ledger_parts[stem] = int(Path(part).stem)
            self._ledger_sizes[stem] = path.stat().st_size

    def _forget_ledger(self) -> None:
        kept = {path.stem for path in (self.folder / _LEDGER).glob("*.jsonl")}
        for name in self._storage.names(_LEDGER):
            stem = name.split("/")[1]
            if stem not in kept:
                self._storage.remove(name)
                self._ledger_parts.pop(stem, None)
                self._ledger_sizes.pop(stem, None)


@contextmanager
def mirrored(folder: Path, storage: Storage) -> Iterator[Mirror]:
    """A mirror that nobody else writes to meanwhile.

    Raises:
        Held: Another process works there.
        StorageError: The storage cannot be read or written.
    """
    with Lease(storage) as lease:
        yield Mirror(folder, storage, lease)


def _facts(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _files(content: bytes, place: str) -> Mapping[str, dict[str, object]]:
    try:
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, this version reads {FORMAT}")
        files: dict[str, dict[str, object]] = manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{place.rstrip('/')}/{MANIFEST}: {error}") from error
    for name in files:
        if name.startswith("/") or ".." in Path(name).parts:
            raise StorageError(f"{place.rstrip('/')}/{MANIFEST}: {name!r} is no name of a file")
    return files
