"""Where processes look for modules: a worker finds those that its driver finds.

So a user's module beside the run serves as generator, scorer or potential on every machine that
sees the same file system, without an installation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def search_path() -> list[str]:
    """Where this process looks for modules, as absolute paths: workers run in other folders."""
    return [os.path.abspath(folder) for folder in sys.path]


def search_also(folders: Sequence[str]) -> None:
    """Looks for modules in ``folders`` too, after the places of this process itself."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)
