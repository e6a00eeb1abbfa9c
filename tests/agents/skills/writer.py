"""A process that writes to a library; may kill itself at a chosen moment."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from seeded import cases, spacing, volume

from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.agents.skills import folder, shelf
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.agents.skills.skill import Tests
from ray_matdesign.agents.skills.trial import Workbench


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at(moment: str) -> None:
    """Puts an end to this process where an admission gets to that point."""
    match moment:
        case "files written":
            folder.os.replace = _die  # type: ignore[assignment]
        case "folder in place":
            shelf._insert = _die
        case "in the transaction":
            shelf.record = _die
        case "done":
            Library.history = _die  # type: ignore[method-assign,assignment]


def main() -> None:
    root, task, argument = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    library = Library(root)
    with Box(best_tier(), ("ray_matdesign.agents.skills.harness",)) as box:
        bench = Workbench(box)
        if task == "admit and die":
            _kill_at(argument)
            library.admit(spacing(), bench)
            library.history("plane_spacing@1.0.0")
        elif task == "grow":
            for n in range(3):
                power = 2 + 3 * int(argument) + n
                name = f"power_{power}"
                source = (
                    f'def {name}(x: float) -> float:\n    """Power."""\n    return x**{power}\n'
                )
                tests = Tests(
                    cases=cases(({"x": 2.0}, 2.0**power, False), ({"x": 3.0}, 3.0**power, True))
                )
                found = library.admit(volume(name=name, source=source, tests=tests), bench)
                assert found.id, found.reason
                for k in range(10):
                    library.used("plane_spacing@1.0.0", f"{name}.{k}", solved=k % 2 == 0)
        elif task == "hold":
            with library.writing():
                print("held", flush=True)
                sys.stdin.read()


if __name__ == "__main__":
    main()
