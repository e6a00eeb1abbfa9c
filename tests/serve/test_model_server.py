from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from processes import eventually

from ray_matdesign.config.llm import ServedModelSettings
from ray_matdesign.serve import guard
from ray_matdesign.serve.model_server import ModelServer, ModelServerLost, command_of

TINY = (sys.executable, str(Path(__file__).with_name("tiny_server.py")))


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def settings(tmp_path: Path, **options: str | int | bool) -> ServedModelSettings:
    return ServedModelSettings(
        model="toy",
        command=TINY,
        options={"pid-file": str(tmp_path / "pids"), **options},
        start_timeout_s=120.0,
    )


def pids(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "pids").read_text().split()]


def test_it_answers_whoever_has_the_key_and_ends_when_stopped(tmp_path: Path) -> None:
    server = ModelServer(settings(tmp_path))
    try:
        assert server.alive
        told = httpx.get(
            f"{server.url}/v1/models", headers={"Authorization": f"Bearer {server.key}"}
        )
        assert told.json() == {"data": [{"id": "toy"}]}
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
    finally:
        server.stop()
    assert not server.alive
    assert [gone(pid) for pid in pids(tmp_path)] == [True]
    server.stop()


def test_clients_token_is_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_TOKEN", "secret")
    given = settings(tmp_path).model_copy(
        update={"token_env": "LLM_TOKEN", "env_vars": {"THREADS": "2"}}
    )
    server = ModelServer(given)
    try:
        (pid,) = pids(tmp_path)
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    finally:
        server.stop()
    names = {entry.partition(b"=")[0] for entry in environment}
    assert b"LLM_TOKEN" not in names
    assert b"THREADS=2" in environment


def test_one_that_dies_at_the_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelServerLost, match="ended with status 3 before it was ready"):
        ModelServer(settings(tmp_path, **{"die-at-start": 3}))


def test_one_that_never_listens_is_ended(tmp_path: Path) -> None:
    given = settings(tmp_path, **{"never-listen": True})
    with pytest.raises(ModelServerLost, match="not ready within 8 s"):
        ModelServer(given.model_copy(update={"start_timeout_s": 8.0}))
    assert [gone(pid) for pid in pids(tmp_path)] == [True]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    owner = f"""
        import time
        from ray_matdesign.config.llm import ServedModelSettings
        from ray_matdesign.serve.model_server import ModelServer
        settings = ServedModelSettings.model_validate_json({settings(tmp_path).model_dump_json()!r})
        server = ModelServer(settings)
        print("ready", flush=True)
        time.sleep(3600)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(owner)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (pid,) = pids(tmp_path)
    assert not gone(pid)
    os.kill(process.pid, number)
    process.wait()
    process.stdout.close()
    assert eventually(lambda: gone(pid))


FAMILY = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    pathlib.Path(sys.argv[1]).write_text(f"{os.getppid()} {os.getpid()}")
time.sleep(600)
"""


def test_what_the_command_started_goes_though_the_guard_is_killed(tmp_path: Path) -> None:
    """Ray kills the children of a worker that ends; a model's engine is a grandchild's child."""
    told = tmp_path / "told"
    process = subprocess.Popen(
        [sys.executable, guard.__file__, sys.executable, "-c", FAMILY, str(told)],
        stdin=subprocess.PIPE,
    )
    assert eventually(lambda: told.exists() and len(told.read_text().split()) == 2)
    process.kill()
    process.wait()
    parent, child = map(int, told.read_text().split())
    assert eventually(lambda: gone(parent) and gone(child))


def test_vllm_is_given_its_options() -> None:
    given = ServedModelSettings(
        model="Qwen/Qwen3-8B",
        served_name="coder",
        gpus=True,
        tensor_parallel=2,
        max_context=4096,
        options={"dtype": "bfloat16", "enable_auto_tool_choice": True, "enforce-eager": False},
    )
    assert command_of(given, 1234) == [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", "Qwen/Qwen3-8B", "--served-model-name", "coder"),
        *("--host", "127.0.0.1", "--port", "1234", "--max-model-len", "4096"),
        *("--max-num-seqs", "8", "--tensor-parallel-size", "2"),
        *("--distributed-executor-backend", "mp", "--dtype", "bfloat16"),
        "--enable-auto-tool-choice",
    ]


def test_on_cpus_no_prompt_is_taken_in_parts_unless_asked_for() -> None:
    given = ServedModelSettings(model="Qwen/Qwen3-8B", max_context=4096)
    plain = ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096"]
    assert command_of(given, 1)[-3:] == plain
    parts = {"enable-chunked-prefill": True, "max_num_batched_tokens": 512}
    told = command_of(given.model_copy(update={"options": parts}), 1)
    assert told.index("--enable-chunked-prefill") > told.index("--no-enable-chunked-prefill")
    assert told[told.index("--max-num-batched-tokens") + 1 :][:1] == ["512"]
    assert told.count("--max-num-batched-tokens") == 1


def test_the_embedded_model_has_to_be_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = ServedModelSettings(model="embedded-small")
    with pytest.raises(FileNotFoundError, match="run `ray-matdesign llm prepare --small`"):
        command_of(given, 1)
    folder = tmp_path / "ray-matdesign" / "models" / "embedded-small"
    folder.mkdir(parents=True)
    command = command_of(given, 1)
    assert command[command.index("--model") + 1] == str(folder)
    assert command[command.index("--served-model-name") + 1] == "embedded-small"
