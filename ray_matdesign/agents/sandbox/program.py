"""Runs the code itself, in a process that can no longer do harm."""

from __future__ import annotations

import errno
import gc
import os
import random
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping
from typing import Any

from ray_matdesign.agents.sandbox.result import EXIT_FILE, EXIT_MEMORY, EXIT_SCRATCH

_RAISED = 1
_OF_ERRNO = {
    errno.ENOMEM: EXIT_MEMORY,
    errno.EFBIG: EXIT_FILE,
    errno.ENOSPC: EXIT_SCRATCH,
    errno.EDQUOT: EXIT_SCRATCH,
}


class NoSuchFunction(LookupError):
    """The entry names a function that its file does not define."""


def execute(entry: str, folder: str, seed: int) -> int:
    """Runs a job's entry as a user would run a program.

    Args:
        entry: ``main.py`` or ``main.py:function``.
        folder: Where the files are; the current folder.
        seed: Of random number generators.

    Returns:
        The exit status; output is flushed, and files the code left open are closed.
    """
    _sow(seed)
    # Last, so that a file of the job cannot take the place of a package.
    sys.path.append(folder)
    tempfile.tempdir = folder
    name, _, function = entry.partition(":")
    module = types.ModuleType("__main__" if not function else name.removesuffix(".py"))
    module.__file__ = os.path.join(folder, name)
    sys.modules[module.__name__] = module
    sys.argv = [module.__file__]
    try:
        with open(module.__file__, "rb") as file:
            code = compile(file.read(), name, "exec")
        exec(code, module.__dict__)  # noqa: S102 - what this package is for
        if function:
            _call(module, function)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        status = 0
    except SystemExit as request:
        status = _requested(request.code)
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        status = _explained(error)
    # What the interpreter would do on its way out, without that of the host it was forked from.
    module.__dict__.clear()
    gc.collect()
    return _flushed(status)


def _call(module: types.ModuleType, function: str) -> None:
    # Imported late: a program that is run as such may do without NumPy.
    from ray_matdesign.agents.sandbox.exchange import INPUTS, RESULT, read_values, write_values

    called = getattr(module, function, None)
    if not callable(called):
        raise NoSuchFunction(f"{os.path.basename(str(module.__file__))}: no function {function}")
    files = {}
    for ending in ("json", "npz"):
        if os.path.exists(f"{INPUTS}.{ending}"):
            with open(f"{INPUTS}.{ending}", "rb") as file:
                files[f"{INPUTS}.{ending}"] = file.read()
    returned = called(**read_values(INPUTS, files, most_bytes=sys.maxsize))
    values: Mapping[str, Any] = returned if isinstance(returned, Mapping) else {"value": returned}
    for name, content in write_values(RESULT, values).items():
        with open(name, "wb") as file:
            file.write(content)


def _sow(seed: int) -> None:
    """Seeds generators, lest every run continue the state of the process it was forked from."""
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)


def _requested(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return _RAISED


def _explained(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        os.write(2, b"MemoryError\n")  # there may be no memory for more
        return EXIT_MEMORY
    shown = error.__traceback__
    while shown is not None and shown.tb_frame.f_code.co_filename == __file__:
        shown = shown.tb_next
    try:
        traceback.print_exception(type(error), error, shown)
    except MemoryError:
        return EXIT_MEMORY
    return _OF_ERRNO.get(error.errno or 0, _RAISED) if isinstance(error, OSError) else _RAISED


def _flushed(status: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed or replaced by the code itself
            continue
    return status
