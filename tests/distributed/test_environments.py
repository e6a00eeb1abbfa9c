"""Workers in a Python of their own, and interpreters that Ray could not use."""

from __future__ import annotations

import os
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import ray

from ray_matdesign.config.schema import EnvironmentSettings, ExecutionSettings
from ray_matdesign.distributed.environments import (
    WrongEnvironment,
    ask,
    check_interpreters,
    check_requirements,
    runtime_env,
)
from ray_matdesign.distributed.executor import RayExecutor
from ray_matdesign.rl.executor import Role


def settings(**fields: Any) -> dict[str, EnvironmentSettings]:
    return {"reward": EnvironmentSettings(**fields)}


def test_another_ray_among_the_requirements_is_refused() -> None:
    check_requirements(settings(pip=(f"ray[default]=={ray.__version__}", "pyscf>=2.9", "-r more")))
    check_requirements(settings(uv=("ray", "./wheels/own.whl")))
    with pytest.raises(WrongEnvironment) as caught:
        check_requirements(settings(pip=("Ray==2.9.0",)))
    assert str(caught.value) == (
        f"execution.environments.reward.pip: asks for Ray==2.9.0, but workers must have the "
        f"driver's Ray, {ray.__version__}"
    )
    with pytest.raises(WrongEnvironment, match="'a b' is no requirement"):
        check_requirements(settings(uv=("a b",)))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    check_requirements(settings(working_dir=str(tmp_path)))
    check_requirements(settings(working_dir="s3://bucket/code.zip"))
    with pytest.raises(WrongEnvironment, match=r"reward.working_dir: there is no folder .*/code"):
        check_requirements(settings(working_dir=str(tmp_path / "code")))


def test_only_what_is_given_reaches_ray(tmp_path: Path) -> None:
    given = EnvironmentSettings(pip=("pyscf",), env_vars={"PYSCF_MAX_MEMORY": "4000"})
    assert runtime_env(given) == {"pip": ["pyscf"], "env_vars": {"PYSCF_MAX_MEMORY": "4000"}}
    assert runtime_env(EnvironmentSettings(conda="dft")) == {"conda": "dft"}
    folder = runtime_env(EnvironmentSettings(conda="/envs/dft"))
    assert folder == {"py_executable": "/envs/dft/bin/python"}


def test_interpreters_say_what_they_are(tmp_path: Path) -> None:
    assert ask([sys.executable]) == {
        "python": sys.version.partition(" ")[0],
        "ray": ray.__version__,
    }
    assert ask([str(tmp_path / "python")]) == {
        "trouble": "cannot be run: No such file or directory"
    }
    assert ask(["echo"])["trouble"] == "is no Python"
    assert "fails" in str(ask([sys.executable, "--no-such-option"])["trouble"])


@pytest.fixture(scope="module")
def own_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without Ray."""
    folder: Path = tmp_path_factory.mktemp("own") / "env"
    venv.create(folder, symlinks=True, with_pip=False)
    return folder


def lend_packages(folder: Path) -> None:
    """Lets a virtual environment use the packages of this one, and gives it one of its own."""
    site = next((folder / "lib").glob("python*")) / "site-packages"
    ours = sysconfig.get_paths()["purelib"]
    (site / "lent.pth").write_text(f"{ours}\n{Path(__file__).parents[2]}\n")
    (site / "only_here.py").write_text("ANSWER = 42\n")


@pytest.mark.ray
def test_a_worker_runs_in_the_python_it_was_given(
    local_ray: None, own_python: Path, tmp_path: Path
) -> None:
    environments = {
        "reward": {
            "py_executable": str(own_python / "bin" / "python"),
            "env_vars": {"SALT": "NaCl"},
        }
    }
    execution = ExecutionSettings.model_validate(
        {"backend": "ray", "object_store_mib": 80, "environments": environments}
    )
    role = Role("reward", "faulty_workers:make", cpus=0.5)
    with pytest.raises(WrongEnvironment) as caught:
        RayExecutor([role], execution)
    assert f"has no Ray: install ray=={ray.__version__} there" in str(caught.value)
    assert "\n" not in str(caught.value)
    lend_packages(own_python)
    plain = Role("generator", "faulty_workers:make", cpus=0.5)
    with RayExecutor([role, plain], execution) as executor:
        ((_, theirs),) = executor.map("reward", "python", [{}])
        ((_, ours),) = executor.map("generator", "python", [{}])
    assert theirs == {"prefix": str(own_python), "salt": "NaCl", "only_here": 42}
    assert ours == {"prefix": sys.prefix, "salt": None, "only_here": None}


@pytest.mark.ray
@pytest.mark.parametrize(
    ("python", "version", "problem"),
    [
        ("3.9.1", ray.__version__, "is Python 3.9.1, but Ray needs that of the driver, 3."),
        (sys.version.partition(" ")[0], "2.9.0", "has Ray 2.9.0, but must have that of the driver"),
    ],
)
def test_another_python_is_told_before_any_worker_starts(
    local_ray: None, tmp_path: Path, python: str, version: str, problem: str
) -> None:
    interpreter = tmp_path / "python"
    answer = f'{{"python": "{python}", "ray": "{version}"}}'
    interpreter.write_text(f"#!/bin/sh\necho '{answer}'\n")
    interpreter.chmod(0o755)
    with pytest.raises(WrongEnvironment) as caught:
        check_interpreters(settings(py_executable=f"{interpreter} -u"))
    assert f"execution.environments.reward: {interpreter} -u on node " in str(caught.value)
    assert problem in str(caught.value)


def test_workers_of_another_python_are_not_led_to_the_drivers_packages() -> None:
    from ray_matdesign.distributed.placement import Quarters

    shared, own = Quarters().search_path(), Quarters({"conda": "dft"}).search_path()
    site = sysconfig.get_paths()["purelib"]
    assert site in shared
    assert not any(folder.startswith(sys.prefix + os.sep) for folder in own)
    assert str(Path(__file__).parent) in own  # a user's own module beside the run
