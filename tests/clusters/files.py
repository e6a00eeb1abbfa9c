"""The files in ``clusters/``, and the versions the project pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

import ray_matdesign

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "clusters"

REGISTRY = "registry.example.com"
"""Where images would be; the user puts their own."""


def constraints() -> dict[str, str]:
    """Package: exact version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.lower(): version for name, version in pairs}


def extras() -> dict[str, list[str]]:
    """Requirements of the optional dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, list[str]] = project["optional-dependencies"]
    return found


def unresolvable() -> dict[str, str]:
    """Packages that ``make setup`` installs without their dependencies, with versions."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    (line,) = (line for line in lines if "--no-deps" in line)
    return dict(re.findall(r"([\w-]+)==([\w.]+)", line))


def own_image(role: str) -> str:
    """The image of a role, as it must be named everywhere."""
    return f"{REGISTRY}/ray-matdesign-{role}:{ray_matdesign.__version__}"


def documents(path: Path) -> list[Any]:
    """The YAML documents in a file."""
    return list(yaml.safe_load_all(path.read_text()))
