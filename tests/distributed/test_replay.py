"""The remote buffer is the local one, also after its process was killed."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
import ray
from processes import eventually, name, ray_processes

from ray_matdesign.config.schema import ReplaySettings
from ray_matdesign.distributed.replay import RemoteReplay
from ray_matdesign.rl.replay import ReplayBuffer, ReplayEntry

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SETTINGS = ReplaySettings(capacity=20)


def entries(seed: int, n: int = 12) -> list[ReplayEntry]:
    rng = np.random.default_rng(seed)
    return [
        ReplayEntry(
            key=f"{seed}-{k}",
            formula=f"Al{rng.integers(1, 15)}O",
            diversity_key=f"Al{k % 4}",
            reward=float(rng.uniform(0, 1)),
            crystal=bytes([seed, k]),
        )
        for k in range(n)
    ]


@pytest.fixture
def remote(local_ray: None) -> Iterator[RemoteReplay]:
    buffer = RemoteReplay(SETTINGS)
    yield buffer
    buffer.close()


def hosts() -> list[psutil.Process]:
    return [p for p in ray_processes() if name(p).startswith("ray::_BufferHost")]


def kill_host(remote: RemoteReplay) -> None:
    assert len(remote) >= 0  # the process stands
    # That of the test before may still be leaving: Ray does not wait for those it ends.
    assert eventually(lambda: len(hosts()) == 1)
    (host,) = hosts()
    os.kill(host.pid, signal.SIGKILL)
    assert eventually(lambda: not psutil.pid_exists(host.pid))


def test_it_does_what_the_local_buffer_does(remote: RemoteReplay) -> None:
    local = ReplayBuffer(SETTINGS)
    here, there = np.random.default_rng(5), np.random.default_rng(5)
    for seed in range(4):
        local.add(entries(seed))
        remote.add(entries(seed))
        assert remote.sample(5, there) == local.sample(5, here)
        assert remote.purge([f"Al{seed}"]) == local.purge([f"Al{seed}"])
        assert len(remote) == len(local)
    assert remote.state_dict() == local.state_dict()
    assert here.random() == there.random()


def test_it_survives_the_death_of_its_process(remote: RemoteReplay) -> None:
    local = ReplayBuffer(SETTINGS)
    for buffer in (local, remote):
        buffer.add(entries(0))
    assert remote.state_dict() == local.state_dict()
    for buffer in (local, remote):
        buffer.add(entries(1))
        buffer.purge(["Al2"])
    kill_host(remote)
    assert len(remote) == len(local)
    assert remote.state_dict() == local.state_dict()
    kill_host(remote)
    for buffer in (local, remote):
        buffer.add(entries(2))
    assert remote.state_dict() == local.state_dict()


def test_a_loaded_state_survives_too(remote: RemoteReplay) -> None:
    saved = ReplayBuffer(SETTINGS)
    saved.add(entries(3))
    remote.add(entries(0))
    remote.load_state_dict(saved.state_dict())
    kill_host(remote)
    assert remote.state_dict() == saved.state_dict()


def test_adding_twice_changes_nothing(remote: RemoteReplay) -> None:
    remote.add(entries(0))
    before = remote.state_dict()
    remote.add(entries(0))
    assert remote.state_dict() == before


def test_there_is_one_writer(remote: RemoteReplay) -> None:
    with pytest.raises(TypeError, match="one writer"):
        pickle.dumps(remote)
    with pytest.raises(TypeError, match="one writer"):
        ray.put(remote)
