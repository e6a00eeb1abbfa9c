"""A run kept in an object store: broken off anywhere, resumed on another machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import toy
from pyarrow import fs

from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rl.lease import NAME as LEASE
from ray_matdesign.rl.lease import Held
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.mirror import MANIFEST, Mirror, mirrored
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.storage import ArrowStorage, Storage, StorageError
from ray_matdesign.rl.workers import roles_of

LOOPS = 3


class Breaking(ArrowStorage):
    """Refuses every write after the first few, as a network that is gone."""

    def __init__(self, filesystem: fs.FileSystem, writes: int) -> None:
        super().__init__(filesystem, "bucket/run", "s3://bucket/run")
        self.writes = writes

    def write(self, name: str, content: bytes) -> None:
        if name != LEASE:
            self.writes -= 1
            if self.writes < 0:
                raise StorageError(f"{self.place}/{name}: connection reset by peer")
        super().write(name, content)


def campaign(reference: Path, log: Path) -> RunConfig:
    ramp = {"kind": "target", "target": 18.0, "max_distance": 10.0}
    term = {"scorer": "toy:counted_density", "options": {"log": str(log)}, "transform": ramp}
    return toy.config(reference, **{"rl.loops": LOOPS, "objective.terms": [term]})


def run(config: RunConfig, folder: Path, storage: Storage) -> None:
    """What ``ray-matdesign run --out s3://...`` does, on a machine with an empty disk."""
    with mirrored(folder, storage) as mirror:
        resume = mirror.fetch()
        start_run(config, folder, LocalExecutor(roles_of(config)), resume=resume, copy=mirror)
        mirror.checkpoint_written()


def outcome(folder: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    tables = [pd.read_parquet(p) for p in sorted((folder / "candidates").glob("*.parquet"))]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drop = ("wall_s", "timings")
    return pd.concat(tables), [{k: v for k, v in r.items() if k not in drop} for r in rows]


@pytest.fixture(scope="module")
def undisturbed(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("undisturbed")
    config = campaign(reference, folder / "log")
    start_run(config, folder / "run", LocalExecutor(roles_of(config)))
    return folder


def assert_same(folder: Path, other: Path) -> None:
    ours, theirs = outcome(folder), outcome(other)
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    assert ours[1] == theirs[1]


# The first 8 writes begin the run; a loop makes about 10, its ledger's first.
SOME, OTHERS = (3, 8, 11, 19, 30), (0, 6, 9, 14, 17, 23)


@pytest.mark.parametrize(
    "writes", [*SOME, *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)]
)
def test_wherever_the_network_fails_the_run_goes_on_elsewhere_without_paying_twice(
    reference: Path, undisturbed: Path, tmp_path: Path, writes: int
) -> None:
    config, store = campaign(reference, tmp_path / "log"), fs._MockFileSystem()
    with pytest.raises(RunFailed, match=r"s3://bucket/run/.*: connection reset by peer"):
        run(config, tmp_path / "first", Breaking(store, writes))
    run(config, tmp_path / "second", ArrowStorage(store, "bucket/run"))
    assert_same(tmp_path / "second", undisturbed / "run")
    after = Counter((tmp_path / "log").read_text().splitlines())
    once = Counter((undisturbed / "log").read_text().splitlines())
    assert set(after) == set(once)
    # Paid twice is at most the one batch whose result could not be written down.
    assert sum((after - once).values()) <= config.relaxation.batch_size


def test_the_copy_is_the_run_directory(reference: Path, undisturbed: Path, tmp_path: Path) -> None:
    config, storage = campaign(reference, tmp_path / "log"), ArrowStorage(fs._MockFileSystem(), "r")
    run(config, tmp_path / "run", storage)
    names = storage.names()
    assert {"config.yaml", "metrics.jsonl", "candidates/loop-00003.parquet"} <= set(names)
    assert LEASE not in names
    manifest = json.loads(storage.read(MANIFEST) or b"")
    ledger = [name for name in names if name.startswith("ledger/")]
    assert set(manifest["files"]) == set(names) - {MANIFEST} - set(ledger)
    for name in manifest["files"]:
        assert storage.read(name) == (tmp_path / "run" / name).read_bytes()
    # Old checkpoints and the ledgers that only they could need are gone there as well.
    folders = {name.split("/")[1] for name in names if name.startswith("checkpoints/")}
    assert folders == {p.name for p in (tmp_path / "run" / "checkpoints").glob("loop-*")}
    assert {name.split("/")[1] for name in ledger} == {
        p.stem for p in (tmp_path / "run" / "ledger").glob("*.jsonl")
    }


def test_a_damaged_checkpoint_is_named(reference: Path, tmp_path: Path) -> None:
    config, storage = campaign(reference, tmp_path / "log"), ArrowStorage(fs._MockFileSystem(), "r")
    run(config, tmp_path / "run", storage)
    name = f"checkpoints/loop-{LOOPS:05d}/policy.safetensors"
    storage.write(name, b"something else")
    with pytest.raises(StorageError, match=rf"^r/{name} is not what manifest.json says$"):
        Mirror(tmp_path / "elsewhere", storage).fetch()
    storage.remove(name)
    with pytest.raises(StorageError, match=rf"^r/{name} is missing$"):
        Mirror(tmp_path / "elsewhere", storage).fetch()


def test_a_manifest_cannot_reach_out_of_the_folder(tmp_path: Path) -> None:
    storage = ArrowStorage(fs._MockFileSystem(), "r")
    for name in ("../evil", "/etc/evil", "a/../../evil"):
        storage.write(MANIFEST, json.dumps({"format": 1, "files": {name: {}}}).encode())
        with pytest.raises(StorageError, match="is no name of a file"):
            Mirror(tmp_path / "run", storage).fetch()


def test_two_machines_do_not_share_a_run(tmp_path: Path) -> None:
    storage = ArrowStorage(fs._MockFileSystem(), "r")
    with (
        mirrored(tmp_path / "one", storage),
        pytest.raises(Held, match="r is in use by process"),
        mirrored(tmp_path / "two", storage),
    ):
        pass


def test_nothing_there_is_no_run(tmp_path: Path) -> None:
    assert not Mirror(tmp_path, ArrowStorage(fs._MockFileSystem(), "r")).fetch()
