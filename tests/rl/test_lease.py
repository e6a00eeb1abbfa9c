"""One process a run, wherever the others are."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ray_matdesign.rl.lease import NAME, Held, Lease, LeaseLost
from ray_matdesign.rl.storage import FolderStorage, Storage, StorageError, open_storage


@pytest.fixture(params=["folder", "arrow"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path) if request.param == "folder" else open_storage("mock:///run")


def lease(storage: Storage, **changes: Any) -> Lease:
    return Lease(
        storage, **{"heartbeat_s": 0.05, "expires_after_s": 30.0, "settle_s": 0.0, **changes}
    )


def foreign(silent_s: float, **changes: Any) -> bytes:
    held = {"token": "other", "host": "node17", "pid": 4711, "alive": time.time() - silent_s}
    return json.dumps({**held, **changes}).encode()


def test_the_second_one_is_told_who_holds_the_run(storage: Storage) -> None:
    with lease(storage) as held:
        with pytest.raises(Held) as caught, lease(storage):
            pass
        assert f"{storage.place} is in use by process {os.getpid()} on " in str(caught.value)
        assert "last sign of life 0 s ago" in str(caught.value)
        held.check()
    assert storage.read(NAME) is None
    with lease(storage):
        pass


def test_a_holder_gives_signs_of_life(storage: Storage) -> None:
    with lease(storage) as held:
        first = json.loads(storage.read(NAME) or b"")["alive"]
        time.sleep(0.5)
        assert json.loads(storage.read(NAME) or b"")["alive"] > first
        held.check()


def test_a_silent_holder_elsewhere_is_named_and_waited_for(storage: Storage) -> None:
    storage.write(NAME, foreign(silent_s=10.0))
    with pytest.raises(Held) as caught, lease(storage):
        pass
    message = str(caught.value)
    assert "in use by process 4711 on node17, last sign of life 10 s ago" in message
    assert message.endswith(f"wait 20 s or remove {storage.place}/{NAME}")


def test_a_holder_silent_for_too_long_is_succeeded(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.write(NAME, foreign(silent_s=1500.0))
    with caplog.at_level(logging.WARNING), lease(storage):
        assert json.loads(storage.read(NAME) or b"")["pid"] == os.getpid()
    assert "taken over from process 4711 on node17, silent for 1500 s" in caplog.text


def test_a_holder_that_died_on_this_machine_is_succeeded_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ray_matdesign.rl.lease import Lease\n"
        "from ray_matdesign.rl.storage import FolderStorage\n"
        "Lease(FolderStorage(Path(sys.argv[1])), settle_s=0.0).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
    storage = FolderStorage(tmp_path)
    assert storage.read(NAME) is not None
    with lease(storage):
        pass


def test_whoever_was_succeeded_finds_out_and_leaves_the_lease_alone(storage: Storage) -> None:
    with lease(storage) as held:
        storage.write(NAME, foreign(silent_s=0.0))
        time.sleep(0.5)
        with pytest.raises(LeaseLost, match="process 4711 on node17 took the run over"):
            held.check()
    assert json.loads(storage.read(NAME) or b"")["token"] == "other"


def test_of_two_that_write_at_once_the_later_one_has_it(storage: Storage) -> None:
    class Raced(type(storage)):  # type: ignore[misc]
        """Another one writes just after us."""

        def write(self, name: str, content: bytes) -> None:
            super().write(name, content)
            super().write(name, foreign(silent_s=0.0))

    storage.__class__ = Raced
    with pytest.raises(Held, match="process 4711 on node17"), lease(storage):
        pass


@pytest.mark.parametrize("content", [b"", b"[]", b'{"token": "x"}'])
def test_something_else_under_that_name_is_not_overwritten(
    storage: Storage, content: bytes
) -> None:
    storage.write(NAME, content)
    with pytest.raises(StorageError, match="is no lease; remove it"), lease(storage):
        pass
    assert storage.read(NAME) == content
