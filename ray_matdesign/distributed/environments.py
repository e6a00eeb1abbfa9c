"""Workers in a Python environment of their own: what Ray is told, and what is checked before.

Ray itself meets a wrong Python with a worker that dies at start, again and again, and says why in a
log on the node. Here the interpreters are asked first, on every node, and the answer is one line.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_matdesign.config.execution import EnvironmentSettings

_ANSWER_WITHIN_S = 120.0
"""Longest an interpreter may take to say what it is; ``conda run`` can be slow."""

_QUESTION = """
import importlib.metadata, json, platform
try:
    ray = importlib.metadata.version("ray")
except importlib.metadata.PackageNotFoundError:
    ray = None
print(json.dumps({"python": platform.python_version(), "ray": ray}))
"""


class WrongEnvironment(ValueError):
    """An environment in which Ray could not run a worker."""


def runtime_env(settings: EnvironmentSettings) -> dict[str, Any]:
    """The settings as Ray takes them."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    if settings.conda is None or os.sep not in settings.conda:
        return given
    # Ray would take a path for that of a YAML file.
    del given["conda"]
    return {**given, "py_executable": str(_interpreter(settings.conda))}


def check_requirements(environments: Mapping[str, EnvironmentSettings]) -> None:
    """Checks what can be told without a cluster.

    Raises:
        WrongEnvironment: A requirement that is none, or asks for another Ray than the driver's; a
            folder that is not there.
    """
    for role, settings in environments.items():
        for tool in ("pip", "uv"):
            for text in getattr(settings, tool):
                _check_requirement(text, f"execution.environments.{role}.{tool}")
        folder = settings.working_dir
        if folder is not None and "://" not in folder and not Path(folder).is_dir():
            raise WrongEnvironment(
                f"execution.environments.{role}.working_dir: there is no folder {folder}"
            )


def check_interpreters(environments: Mapping[str, EnvironmentSettings]) -> None:
    """Has the interpreters on every node say what they are; Ray must be joined or started.

    Raises:
        WrongEnvironment: One cannot be run, has no Ray, or another Ray or Python than the driver.
    """
    questions = {role: command for role, s in environments.items() if (command := _command(s))}
    if not questions:
        return
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    asked = {
        _ASK.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], False)
        ).remote(command): (role, node["NodeManagerAddress"])
        for role, command in questions.items()
        for node in nodes
    }
    for answer, (role, address) in asked.items():
        try:
            problem = _problem(ray.get(answer))
        except RayError as error:
            problem = f"could not be asked: {str(error).strip().partition(chr(10))[0]}"
        if problem:
            interpreter = shlex.join(questions[role])
            raise WrongEnvironment(
                f"execution.environments.{role}: {interpreter} on node {address} {problem}"
            )


def ask(command: list[str]) -> dict[str, str | None]:
    """What an interpreter on this machine is: ``{python, ray}``, or ``{trouble}``."""
    # Ray gives interpreters a script as well: ``uv run`` and the like take nothing else.
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(_QUESTION)
        script.flush()
        try:
            done = subprocess.run(
                [*command, script.name],
                capture_output=True,
                text=True,
                timeout=_ANSWER_WITHIN_S,
                check=True,
            )
            answer: dict[str, str | None] = json.loads(done.stdout.strip().rpartition("\n")[2])
        except subprocess.CalledProcessError as error:
            last = error.stderr.strip().rpartition("\n")[2]
            return {"trouble": f"fails: {last or f'exit status {error.returncode}'}"}
        except subprocess.TimeoutExpired:
            return {"trouble": f"says nothing within {_ANSWER_WITHIN_S:g} s"}
        except OSError as error:
            return {"trouble": f"cannot be run: {error.strerror}"}
        except ValueError:
            return {"trouble": "is no Python"}
    return answer


_ASK: Any = ray.remote(ask)


def _problem(answer: Mapping[str, str | None]) -> str:
    if "trouble" in answer:
        return str(answer["trouble"])
    ours = sys.version.partition(" ")[0]
    parts = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3
    theirs = str(answer["python"])
    if theirs.split(".")[:parts] != ours.split(".")[:parts]:
        return f"is Python {theirs}, but Ray needs that of the driver, {ours}"
    if answer["ray"] is None:
        return f"has no Ray: install ray=={ray.__version__} there"
    if answer["ray"] != ray.__version__:
        return f"has Ray {answer['ray']}, but must have that of the driver, {ray.__version__}"
    return ""


def _check_requirement(text: str, key: str) -> None:
    if text.startswith("-") or "/" in text.partition("@")[0]:
        return  # an option of the installer's, or a path
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise WrongEnvironment(f"{key}: {text!r} is no requirement: {error}") from error
    if canonicalize_name(requirement.name) != "ray":
        return
    if not requirement.specifier.contains(ray.__version__, prereleases=True):
        raise WrongEnvironment(
            f"{key}: asks for {text}, but workers must have the driver's Ray, {ray.__version__}"
        )


def _command(settings: EnvironmentSettings) -> list[str]:
    """How to run the interpreter; nothing where Ray makes one like the node's own."""
    if settings.py_executable:
        return shlex.split(settings.py_executable)
    if settings.conda is None:
        return []
    if os.sep in settings.conda:
        return [str(_interpreter(settings.conda))]
    return ["conda", "run", "--no-capture-output", "-n", settings.conda, "python"]


def _interpreter(folder: str) -> Path:
    return Path(folder) / "bin" / "python"
