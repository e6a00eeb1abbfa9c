"""A process with the packages imported, which forks a keeper for each run.

It runs nothing but this package's own code and never learns what a job is: the keeper reads it.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import tempfile

from ray_matdesign.agents.sandbox import wire
from ray_matdesign.agents.sandbox.ground import Ground
from ray_matdesign.agents.sandbox.keeper import keep
from ray_matdesign.agents.sandbox.linux import die_with_parent


def main() -> None:
    """Imports, says that it is ready, and serves one run after the other until the host is gone."""
    ground = Ground.decoded(sys.argv[1])
    if ground.host:
        die_with_parent(ground.host)
    # An interrupt meant for the host would otherwise end the run of a first process of a namespace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    control = socket.socket(fileno=ground.control)
    wire.send(control, {"failed": _prepare(ground)}, {})
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        _serve(control, socket.socket(fileno=descriptors[0]), ground)


def _prepare(ground: Ground) -> str:
    """Imports what will be wanted; returns why that does not do, if so."""
    # Some packages ask where temporary files go as they are imported. There is no such place yet.
    tempfile.tempdir = os.environ["HOME"]
    for name in ground.preload:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a module may raise anything; it is reported
            return f"import of {name}: {type(error).__name__}: {error}"
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.ones(2, 2) @ torch.ones(2, 2)  # looks at the processor, by /proc, once
    if len(os.listdir("/proc/self/task")) > 1:
        return f"{', '.join(ground.preload)}: an import started a thread, which no fork survives"
    gc.collect()
    gc.freeze()  # what is never collected is never written to, and stays shared
    return ""


def _serve(control: socket.socket, connection: socket.socket, ground: Ground) -> None:
    me = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        control.close()
        keep(connection, ground, me)
    connection.close()
    os.waitpid(keeper, 0)
