from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ray_matdesign.agents.documentation.building import build_index
from ray_matdesign.agents.documentation.index import DocumentationIndex
from ray_matdesign.config.documentation import DocumentationSettings

PACKAGE = {
    "glasses/__init__.py": '''"""Tools for glasses."""

from glasses.core import *
from glasses._shapes import Flask, blow as blown

__all__ = ["Flask", "Melt", "blown", "quench"]
''',
    "glasses/core.py": '''"""Melts and what becomes of them."""

from dataclasses import dataclass

from glasses._shapes import Shape

LIMIT_KELVIN: float = 2500.0
"""Hottest furnace there is."""


class _Liquid:
    def viscosity(self, temperature: float) -> float:
        """Resistance to flow by the Vogel-Fulcher-Tammann equation, in Pa s."""
        return temperature


@dataclass
class Melt(_Liquid):
    """A mixture of oxides above its liquidus.

    >>> Melt(1800.0).cool(1.0)
    1799.0
    """

    temperature: float

    def cool(self, by: float) -> float:
        """Lowers the temperature."""
        return self.temperature - by

    @property
    def hot(self) -> bool:
        """Whether it glows."""
        return self.temperature > 800.0

    def _secret(self): ...


def quench(melt: Melt, *, rate: float = 10.0) -> Shape:
    """Freezes a melt so fast that no crystal grows."""
    melt.cool(rate)
    return Shape()
''',
    "glasses/_shapes.py": '''class Shape:
    """A body of glass."""

    def __init__(self, wall_mm: float = 2.0):
        """Args: wall_mm: thickness of the wall."""
        self.wall_mm = wall_mm

    def anneal(self, hours: int) -> "Shape":
        """Relieves internal stress by slow cooling through the transition."""
        return self


class Flask(Shape):
    def anneal(self, hours: int) -> "Flask":
        return self


def blow(shape: Shape, /, breath, *more) -> Shape:
    """Inflates a gather on a pipe."""
    return shape.anneal(2)
''',
    "glasses/broken.py": "def (:\n",
    "glasses/tests/test_core.py": """from glasses import Melt, quench


def test_quench_is_fast():
    assert quench(Melt(1500.0), rate=1e6)
""",
    "glasses/README.md": "# Glasses\n\nHow to vitrify nuclear waste in borosilicate.\n",
}


def install(root: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    """Lays a distribution out as pip would."""
    for file, text in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = root / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nFurnaces and more.\n"
    )
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


Install = Callable[[Path, str, str, Mapping[str, str]], None]


@pytest.fixture(scope="session", name="install")
def _install() -> Install:
    return install


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of glasses installed in it."""
    root = tmp_path_factory.mktemp("site")
    install(root, "glasses", "1.2", PACKAGE)
    return root


@pytest.fixture
def settings(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DocumentationSettings:
    monkeypatch.syspath_prepend(str(site))
    return DocumentationSettings(
        distributions=("glasses", "not-installed"), cache=str(tmp_path / "cache")
    )


@pytest.fixture
def index(settings: DocumentationSettings) -> DocumentationIndex:
    return DocumentationIndex(build_index(settings))
