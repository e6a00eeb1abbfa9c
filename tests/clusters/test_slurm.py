"""The Slurm script: its text, and the script itself with stand-ins for Slurm's commands.

``srun`` starts what it is given on this machine, and what the script does with signals is what it
does on a cluster. The quick tests have a stand-in for Ray as well, and a driver without it; the
slow one has Ray's head, a second node and the driver as they are.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import toy
from files import CLUSTERS
from processes import eventually

from ray_matdesign.config.loading import dump

SCRIPT = CLUSTERS / "slurm.sbatch"
HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1]

SRUN = """\
#!/usr/bin/env bash
echo "$*" >>"$STUB_LOG"
while [[ "$1" == --* ]]; do shift; done
exec "$@"
"""

SCONTROL = """\
#!/usr/bin/env bash
case $1 in
  show) tr , '\\n' <<<"$3" ;;
  requeue) echo "requeue $2" >>"$STUB_LOG" ;;
  *) exit 1 ;;
esac
"""

RAY = """\
#!{python}
import os, signal, socket, sys
with open(os.environ["STUB_LOG"], "a") as log:
    print("ray", *sys.argv[1:], file=log)
first = os.environ["STUB_LOG"] + ".first"
if "--head" in sys.argv and not os.path.exists(first):
    open(first, "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
options = dict(word.removeprefix("--").split("=") for word in sys.argv[2:] if "=" in word)
if "port" in options:
    listener = socket.create_server((options["node-ip-address"], int(options["port"])))
while True:
    signal.pause()
"""

PYTHON = """\
#!/usr/bin/env bash
if [[ $1 == - ]]; then
  cat >/dev/null
  exit 0
fi
arguments=()
for argument in "$@"; do
  [[ $argument == ray ]] && argument=local
  arguments+=("$argument")
done
exec {python} "${{arguments[@]}}"
"""
"""Finds all nodes there at once, and runs a campaign without Ray."""


def directives() -> dict[str, str]:
    lines = SCRIPT.read_text().splitlines()
    pairs = (re.match(r"#SBATCH --([\w-]+)(?:=(.*))?$", line) for line in lines)
    return {match[1]: match[2] or "" for match in pairs if match}


@pytest.mark.parametrize("script", [SCRIPT, CLUSTERS / "run-or-resume.sh"], ids=lambda p: p.name)
def test_bash_reads_it_and_it_stops_at_errors(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(script, os.X_OK)


def test_the_directives_come_before_any_command() -> None:
    lines = [line for line in SCRIPT.read_text().splitlines() if line]
    first_command = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])


def test_the_job_hears_of_its_end_in_time_and_may_come_back() -> None:
    found = directives()
    assert found["ntasks-per-node"] == "1"  # a Ray a node
    assert "requeue" in found
    assert found["open-mode"] == "append"  # the log of the first part stays
    to, number, seconds = re.match(r"(B):(\w+)@(\d+)$", found["signal"]).groups()  # type: ignore[union-attr]
    assert (to, number) == ("B", "USR1")
    assert int(seconds) >= 120


def test_expansions_of_what_users_give_are_quoted() -> None:
    code = "\n".join(
        line for line in SCRIPT.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    for name in ("run_dir", "head", "RAY_ADDRESS", "venv", "@"):
        for match in re.finditer(rf"\$\{{?{re.escape(name)}\b|\$@", code):
            line = code[code.rfind("\n", 0, match.start()) + 1 : match.start()]
            assert line.count('"') % 2 == 1 or "=" in line.split()[-1], line


def test_too_few_arguments(tmp_path: Path) -> None:
    for script in (SCRIPT, CLUSTERS / "run-or-resume.sh"):
        done = subprocess.run(
            ["bash", str(script), str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: ")


@pytest.mark.slow  # so does a job at its time limit
def test_a_run_is_started_and_then_resumed(tmp_path: Path) -> None:
    toy.write_reference(tmp_path / "metals", toy.solid())
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(dump(toy.config(tmp_path / "metals", **{"rl.loops": 1})))
    for loops in (1, 2):
        call = ["bash", CLUSTERS / "run-or-resume.sh", tmp_path / "run", recipe]
        done = subprocess.run(
            [*map(str, call), f"rl.loops={loops}"],
            env={**os.environ, "PYTHONPATH": search_path(), "PATH": own_path()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(loops_of(tmp_path / "run")) == loops


def search_path() -> str:
    return os.pathsep.join(
        str(folder) for folder in (SOURCES, HERE.parent / "rl", HERE.parent / "distributed")
    )


def own_path() -> str:
    """This interpreter and its Ray first."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def loops_of(run: Path) -> list[int]:
    path = run / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line)["loop"] for line in text.splitlines()]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A toy campaign whose loops take a second."""
    toy.write_reference(tmp_path / "metals", toy.solid())
    config = toy.config(
        tmp_path / "metals",
        **{
            "generator.name": "slow_toy:load",
            "generator.options": {"log": str(tmp_path / "sampling"), "delay": 0.5},
            "execution.cpus_per_worker": 0.5,
        },
    )
    path = tmp_path / "toy.yaml"
    path.write_text(dump(config))
    return path


@contextmanager
def job(tmp_path: Path, *arguments: object, ray: bool) -> Iterator[subprocess.Popen[str]]:
    """The script as Slurm's batch step, with two nodes that are both this machine."""
    commands = tmp_path / "bin"
    commands.mkdir(exist_ok=True)
    stand_ins = {"srun": SRUN, "scontrol": SCONTROL}
    if not ray:
        stand_ins["ray"] = RAY.format(python=sys.executable)
        stand_ins["python"] = PYTHON.format(python=sys.executable)
    for name, text in stand_ins.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        "PATH": f"{commands}{os.pathsep}{own_path()}",
        "PYTHONPATH": search_path(),
        "STUB_LOG": str(tmp_path / "slurm.log"),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node1,node2",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_GPUS_ON_NODE": "0",
        "MATDESIGN_OBJECT_STORE_BYTES": str(80 * 2**20),
    }
    with (tmp_path / "job.log").open("a") as log:
        process = subprocess.Popen(
            ["bash", str(SCRIPT), *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        family = [process, *children(process)]
        for member in family:
            member.kill()
        process.wait()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def log_of(tmp_path: Path) -> str:
    return (tmp_path / "job.log").read_text()


@pytest.mark.timeout(600)
def test_a_job_at_its_time_limit_goes_back_into_the_queue_and_goes_on(
    recipe: Path, tmp_path: Path
) -> None:
    stop_and_go_on(recipe, tmp_path, ray=False)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1200)  # Ray takes minutes to start where the processor is busy
def test_so_it_does_with_ray(recipe: Path, tmp_path: Path) -> None:
    stop_and_go_on(recipe, tmp_path, ray=True)


def stop_and_go_on(recipe: Path, tmp_path: Path, *, ray: bool) -> None:
    run = tmp_path / "run"
    with job(tmp_path, run, recipe, "rl.loops=100000", ray=ray) as first:
        assert eventually(
            lambda: len(loops_of(run)) >= 1 or first.poll() is not None, seconds=500.0
        ), log_of(tmp_path)
        assert first.poll() is None, log_of(tmp_path)
        family = children(first)
        (token,) = run.glob(".ray-token-*")
        assert token.stat().st_mode & 0o777 == 0o600
        assert len(token.read_text()) == 64
        first.send_signal(signal.SIGUSR1)  # to the batch shell alone, as `--signal=B:` has it
        assert first.wait(timeout=120) == 143, log_of(tmp_path)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert not token.exists()
    log = (tmp_path / "slurm.log").read_text()
    assert log.endswith(f"requeue {os.getpid()}\n")
    steps = [line for line in log.splitlines() if line.startswith("--nodes")]
    heads = [line for line in steps if "ray start --head" in line]
    (others,) = {line for line in steps if "ray start --address" in line}
    assert len(heads) >= 1 if ray else len(heads) == 2  # the stand-in's first start fails
    assert "--nodelist=node1" in heads[0]
    assert "--exclude=node1" in others
    assert "go on with --resume" in log_of(tmp_path)
    done = len(loops_of(run))
    with job(tmp_path, run, recipe, f"rl.loops={done + 1}", ray=ray) as second:
        assert second.wait(timeout=500) == 0, log_of(tmp_path)
        assert children(second) == []
    assert loops_of(run) == list(range(1, done + 2))
    assert (run / "report.html").exists()


@pytest.mark.timeout(600)
def test_a_cancelled_job_stops_as_cleanly_and_stays_out_of_the_queue(
    recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with job(tmp_path, run, recipe, "rl.loops=100000", ray=False) as process:
        assert eventually(lambda: bool(loops_of(run))), log_of(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 143
    assert "requeue" not in (tmp_path / "slurm.log").read_text()
    assert list(run.glob(".ray-token-*")) == []


@pytest.mark.timeout(600)
def test_a_run_that_fails_is_not_tried_for_ever(tmp_path: Path) -> None:
    with job(tmp_path, tmp_path / "run", "no-such-recipe", ray=False) as process:
        assert process.wait(timeout=300) == 2
    assert "requeue" not in (tmp_path / "slurm.log").read_text()
    assert "neither a recipe nor a file" in log_of(tmp_path)
