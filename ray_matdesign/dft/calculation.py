"""Calculations by any code, each in a folder that remembers it.

::

    <folder>/Si-3f9c.../task.json      crystal and settings
    <folder>/Si-3f9c.../outcome.json   result, or why there will be none
    <folder>/Si-3f9c.../spent.json     seconds taken by all starts so far
    <folder>/Si-3f9c.../log.txt        what the code printed
    <folder>/Si-3f9c.../...            what the code needs to go on, until there is a result

The same crystal with the same settings has the same folder: a finished calculation is read back,
one that was killed goes on, and one that another process works on is waited for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.dft.cells import primitive_cell
from ray_matdesign.dft.code import load_code
from ray_matdesign.dft.process import OutOfTime, run_capped
from ray_matdesign.dft.result import DftError, DftResult
from ray_matdesign.dft.settings import DftSettings
from ray_matdesign.dft.worker import OUTCOME, TASK, task_data
from ray_matdesign.potentials.protocol import Failed

FORMAT = 1
"""Enters every name: raised when calculations are made otherwise."""

_SPENT, _LOG, _LOCK = "spent.json", "log.txt", "lock"
_KEPT = frozenset((TASK, OUTCOME, _SPENT, _LOG, _LOCK))
_LOCK_POLL_S = 0.5


class Calculations:
    """A folder of calculations with one kind of settings.

    Args:
        settings: Of every calculation.

    Raises:
        UnknownName: The settings name no known code.
    """

    def __init__(self, settings: DftSettings) -> None:
        load_code(settings.code)
        self.settings = settings
        self.folder = Path(settings.folder) if settings.folder else default_folder()

    def compute(self, crystals: Sequence[Crystal]) -> list[DftResult | Failed]:
        """Energy and gap of each crystal; same order and length; a failure is a value."""
        with ThreadPoolExecutor(self.settings.concurrent) as pool:
            return list(pool.map(self._compute_one, crystals))

    def name(self, crystal: Crystal) -> str:
        """The calculation's name, the same in every process: formula and hash."""
        cell = primitive_cell(crystal, self.settings.symprec_ang)
        return calculation_name(cell, self.settings)

    def _compute_one(self, crystal: Crystal) -> DftResult | Failed:
        cell = primitive_cell(crystal, self.settings.symprec_ang)
        name = calculation_name(cell, self.settings)
        place = self.folder / name
        started = time.monotonic()
        try:
            place.mkdir(parents=True, exist_ok=True)
            with _locked(place / _LOCK, self.settings.wall_clock_s) as lock:
                return self._finished(place) or self._start(name, cell, place, lock)
        except DftError as error:
            return Failed(f"{self.settings.code}: {error}")
        except OSError as error:
            spent = time.monotonic() - started
            return Failed(
                f"{self.settings.code}: {place}: {error.strerror or error} (after {spent:.0f} s)"
            )

    def _finished(self, place: Path) -> DftResult | Failed | None:
        outcome = _read_json(place / OUTCOME)
        if outcome is None:
            return None
        if "result" in outcome:
            return DftResult.from_dict(outcome["result"])
        return Failed(f"{self.settings.code}: {outcome['failed']}")

    def _start(self, name: str, cell: Crystal, place: Path, lock: int) -> DftResult | Failed:
        """Begins or goes on, and keeps what came of it unless another attempt may fare better."""
        limit = self.settings.wall_clock_s
        spent = float((_read_json(place / _SPENT) or {"seconds": 0.0})["seconds"])
        if spent >= limit:
            raise DftError(f"out of time: {spent:.0f} s spent of wall_clock_s={limit:.0f}")
        write_atomic(place / TASK, json.dumps(task_data(name, cell, self.settings)))
        started = time.monotonic()
        try:
            status = self._run(place, limit - spent, lock)
        except OutOfTime as error:
            raise DftError(f"out of time: killed at wall_clock_s={limit:.0f}") from error
        finally:
            seconds = spent + time.monotonic() - started
            write_atomic(place / _SPENT, json.dumps({"seconds": seconds}))
        outcome = _read_json(place / OUTCOME)
        if outcome is None:
            raise DftError(_post_mortem(status, place / _LOG))
        result = self._finished(place)
        assert result is not None
        if not outcome.get("final", True):
            (place / OUTCOME).unlink()
            return result
        _discard_scratch(place)
        return result

    def _run(self, place: Path, seconds: float, lock: int) -> int:
        command = [sys.executable, "-m", f"{__package__}.worker", str(place), f"{seconds:.1f}"]
        threads = {"OMP_NUM_THREADS": str(self.settings.threads)}
        search = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, **threads, "PYTHONPATH": search}
        with open(place / _LOG, "ab") as log:
            return run_capped(
                command, limit_s=seconds, log=log, environment=environment, keep_open=[lock]
            )


def calculation_name(cell: Crystal, settings: DftSettings) -> str:
    """Formula and hash of everything the numbers depend on.

    Args:
        cell: Primitive; rounded to 1e-5 Angstrom and 1e-6 of the cell, as different processors
            relax to numbers that differ in the last digits.
        settings: Only their numerics enter.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, settings.numerics()], sort_keys=True).encode())
    # Adding zero turns the negative zeros of rounding into positive ones.
    digest.update((np.round(cell.lattice, 5) + 0.0).astype("<f8").tobytes())
    digest.update((np.round(cell.frac_coords, 6) % 1.0).astype("<f8").tobytes())
    digest.update(cell.numbers.astype("<u1").tobytes())
    label = "".join(f"{SYMBOLS[z]}{n if n > 1 else ''}" for z, n in cell.counts.items())
    return f"{label}-{digest.hexdigest()[:16]}"


def default_folder() -> Path:
    """Where calculations are kept unless told otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ray_matdesign" / "dft"


@contextmanager
def _locked(path: Path, patience_s: float) -> Iterator[int]:
    """Holds a file's lock; processes that inherit its descriptor go on holding it.

    Raises:
        DftError: Another process held it all the time.
    """
    deadline = time.monotonic() + patience_s
    with open(path, "ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise DftError(f"another process computes {path.parent}") from error
                time.sleep(_LOCK_POLL_S)
        yield file.fileno()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DftError(f"{path} is damaged ({error}); remove it") from error
    return data


def _discard_scratch(place: Path) -> None:
    """Frees the disk of densities and waves that nothing goes on from any more."""
    for entry in place.iterdir():
        if entry.name in _KEPT:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _post_mortem(status: int, log: Path) -> str:
    """Why a process left no outcome, in one line."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = re.sub(r"\s+", " ", lines[-1])[:200] if lines else "it printed nothing"
    end = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"{end}: {last} (all of it in {log})"
