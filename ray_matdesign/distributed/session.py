"""Joins a Ray cluster, or starts one on this machine, and leaves as it came."""

from __future__ import annotations

import logging
import math
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray._private import services
from ray._private.authentication import authentication_token_setup as token_setup

import ray_matdesign
from ray_matdesign.config.schema import ExecutionSettings
from ray_matdesign.distributed.resources import (
    Node,
    check_cluster,
    check_cpus,
    check_gpus,
    cpus_of,
    nodes_of,
)
from ray_matdesign.rl.executor import Role

logger = logging.getLogger(__name__)

_MIB = 2**20
_KNOCK_S = 10.0
"""Longest wait for the head node to accept a connection."""


class ClusterUnreachable(ConnectionError):
    """The Ray cluster asked for cannot be joined."""


class RaySession:
    """A connection to Ray for as long as the workers of a run live.

    In this order: a Ray this process is connected to already is used and left alone;
    ``execution.address``, or else the environment's ``RAY_ADDRESS``, is joined, and left at the
    end; otherwise a small Ray without dashboard is started on this machine and stopped at the end.

    Ray's token authentication stays on. A local Ray makes its token at ``~/.ray/auth_token`` if
    there is none, readable by its owner alone. A cluster is joined with the token of
    ``RAY_AUTH_TOKEN``, ``RAY_AUTH_TOKEN_PATH`` or ``~/.ray/auth_token``, if any.

    Args:
        roles: Who will work.
        execution: Where.

    Raises:
        NotEnoughResources: The roles cannot fit; nothing was started.
        ClusterUnreachable: There is no cluster at the address, or it refuses the token.
    """

    def __init__(self, roles: Sequence[Role], execution: ExecutionSettings) -> None:
        self._connected_here = self._started_here = False
        address = execution.address or os.environ.get("RAY_ADDRESS")
        if ray.is_initialized():
            _check_cluster(roles)
        elif address and address != "local":
            self._join(address, roles)
        else:
            self._start(roles, execution)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def shared(self) -> bool:
        """Whether others may use the cluster as well, so that room in it must be reserved.

        Whoever has reserved room for this process already, as Ray Tune does for its trials, has
        reserved it for what this process starts.
        """
        return not self._started_here and ray.util.get_current_placement_group() is None

    def close(self) -> None:
        """Leaves a cluster that was joined and stops one that was started; idempotent."""
        if self._connected_here:
            self._connected_here = False
            ray.shutdown()

    def _join(self, address: str, roles: Sequence[Role]) -> None:
        if address.startswith("ray://"):
            raise ClusterUnreachable(
                f"{address}: Ray Client is not supported; run on the cluster itself, for example "
                f"with `ray job submit`, or give the head node's address HOST:6379"
            )
        _knock(address)
        logging.getLogger(token_setup.__name__).setLevel(logging.ERROR)  # "enabled" is no news
        token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        try:
            _init(address=address, runtime_env=_own_code())
        except (ConnectionError, ray.exceptions.AuthenticationError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise ClusterUnreachable(
                f"no Ray cluster to join at {address}: {first_line}. If it runs, check that "
                f"RAY_AUTH_TOKEN or ~/.ray/auth_token holds its token"
            ) from error
        self._connected_here = True
        self._check_or_close(_check_cluster, roles)

    def _start(self, roles: Sequence[Role], execution: ExecutionSettings) -> None:
        cpus = len(os.sched_getaffinity(0))
        check_cpus(roles, cpus)
        _make_token()
        # A local design run is nobody else's business; whoever wants the figures sent, says so.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _init(
            address="local",
            # Ray's CPUs are numbers in a ledger: every worker gets its share there, and the turns
            # they take keep the machine from being overbooked.
            num_cpus=math.ceil(cpus_of(roles, cpus)),
            object_store_memory=execution.object_store_mib * _MIB,
            include_dashboard=False,
        )
        self._connected_here = self._started_here = True
        self._check_or_close(_check_gpus, roles)

    def _check_or_close(
        self, check: Callable[[Sequence[Role]], None], roles: Sequence[Role]
    ) -> None:
        try:
            check(roles)
        except BaseException:
            self.close()
            raise


def _nodes() -> list[Node]:
    return nodes_of(ray.nodes())  # type: ignore[no-untyped-call]


def _check_cluster(roles: Sequence[Role]) -> None:
    check_cluster(roles, _nodes())


def _check_gpus(roles: Sequence[Role]) -> None:
    check_gpus(roles, sum(node.gpus for node in _nodes()), "this machine")


def _knock(address: str) -> None:
    """Fails at once where nobody listens; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():  # ``auto``, which Ray resolves
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ClusterUnreachable(f"no Ray cluster to join at {address}: {reason}") from error


def _init(**options: Any) -> None:
    """Starts or joins Ray, without its chatter, and with this process's own way to take SIGTERM.

    Ray's C++ part takes SIGTERM for a crash: left in place, its handler would write a stack trace
    and abort the process three seconds later, whatever Python does meanwhile.
    """
    heeded = signal.getsignal(signal.SIGTERM)
    try:
        with _groups_of_their_own():
            # Messages would tear the progress display; Ray's logs keep them.
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:
        if "timed out during startup" not in str(error):  # Ray gives it no class of its own
            raise
        raise ClusterUnreachable(
            "Ray did not start within the half minute it allows itself: this machine is "
            "overloaded. Try again, or run with execution.backend=local"
        ) from error
    if heeded is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, heeded)


@contextmanager
def _groups_of_their_own() -> Iterator[None]:
    """Ray's processes are started out of reach of signals that are meant for this process's group.

    ``timeout``, shells and batch schedulers signal whole groups. Without its head node this process
    could not end in order: Ray ends it at once, with status 1, or it waits a minute for the dead.
    Ray does the same by itself on Windows. On Linux the kernel ends Ray's processes with this one;
    elsewhere Ray needs them in one group to find them.
    """
    popen = services.ConsolePopen
    if sys.platform.startswith("linux"):
        services.ConsolePopen = partial(popen, process_group=0)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        services.ConsolePopen = popen  # type: ignore[misc]


def _own_code() -> dict[str, Any] | None:
    """Sends this package along, so that every node runs the driver's version of it.

    A job that was submitted with an environment of its own keeps that one.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return None
    return {"py_modules": [str(Path(ray_matdesign.__file__).parent)]}


def _make_token() -> None:
    """Writes a token for this user unless one is configured; Ray's own is readable by everyone."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = Path.home() / ".ray" / "auth_token"
    token = secrets.token_hex(32)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)
    except FileExistsError:
        return
    except OSError as error:
        logger.info("%s: %s; using a token for this run only", path, error.strerror)
        os.environ["RAY_AUTH_TOKEN"] = token
