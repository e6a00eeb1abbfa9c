"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Replaces a file in one step; on any failure the previous file stays as it was.

    Args:
        path: Its folder must exist.
        content: Text is encoded as UTF-8.

    Raises:
        OSError: The disk is full, the folder is missing or read-only.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
