"""The page as a whole: complete, self-contained, well-formed, for runs in every state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ray_matdesign.report import RunDirectoryError, build_report, learning_curve_png

VOID = {"meta", "br", "path", "circle", "rect", "stop"}

RunMaker = Callable[..., Path]


class Outline(HTMLParser):
    """Tags in balance, addresses, ids and labels of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.unlabelled: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [v for k in ("href", "src") if (v := found.get(k))]
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "svg" and not found.get("aria-label"):
            self.unlabelled.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if dict(attrs).get("id"):
            self.ids.append(str(dict(attrs)["id"]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(page: Path) -> Outline:
    """Parses a page; fails where its tags do not balance or something is loaded from elsewhere."""
    source = page.read_text(encoding="utf-8")
    parsed = Outline()
    parsed.feed(source)
    assert parsed.open == []
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", source))
    assert not re.search(r"<(script|link|iframe|img)\b|@import", source)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert parsed.unlabelled == []
    assert not re.search(r"\bnan\b|\binf\b", parsed.text)
    return parsed


def test_a_finished_run_shows_everything(finished_run: Path, tmp_path: Path) -> None:
    page = build_report(finished_run, tmp_path / "report.html")
    text = outline(page).text
    for words in (
        "density-18", "a mass density of 18 g/cm³", "Seed 7", "chgnet-0.3.0", "Wall-clock time",
        "Mass density of the evaluated crystals", "loops 1–2", "loops 7–8", "S.U.N.", "Reward",
        "The whole run as a funnel", "forbidden element U", "Gained most", "Download CIF",
        "more lenient than DFT", "Where the time went", "max_e_above_hull_ev_per_atom: 0.1",
    ):  # fmt: skip
        assert words in text, words
    assert "loops finished" not in text
    assert page.stat().st_size < 2_000_000


def test_the_default_place_is_the_run_directory(make_run: RunMaker) -> None:
    directory = make_run(loops=2)
    assert build_report(directory) == directory / "report.html"


@pytest.mark.parametrize(
    "transform",
    [
        {"kind": "ascending", "min": 5, "max": 20},
        {"kind": "sigmoid", "low": 5, "high": 20, "k": 0.5},
        {"kind": "reverse_sigmoid", "low": 5, "high": 20, "k": 0.5},
        {"kind": "double_sigmoid", "low": 5, "high": 20},
        {"kind": "step", "low": 5},
    ],
    ids=lambda transform: transform["kind"],
)
def test_every_transform_has_its_charts(make_run: RunMaker, transform: dict[str, object]) -> None:
    terms = [{"scorer": "density", "transform": transform}]
    page = build_report(make_run(loops=4, objective={"terms": terms}))
    assert "Learning curve: Mass density" in page.read_text(encoding="utf-8")


def test_what_the_properties_took_is_told_where_it_was_counted(make_run: RunMaker) -> None:
    directory = make_run(loops=2)
    assert "Property values computed" not in outline(build_report(directory)).text
    log = directory / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows[-1]["computed_by_cost_total"] = {"cheap": 1200, "mlip": 32, "dft": 0}
    rows[-1]["recalled_total"] = {"bulk_modulus": 7}
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = outline(build_report(directory)).text
    assert (
        "computed, filters included: 1,200 from composition or structure alone (cheap), 32 with "
        "the potential or a neural network (mlip); 7 more came from the cache."
    ) in text
    assert "dft" not in text.split("Property values computed")[1].split(".")[0]


@pytest.mark.parametrize(
    ("loops", "words"),
    [
        (0, ("None of 40 loops finished", "No loop has finished: no results yet.")),
        (1, ("1 of 40 loops finished", "A learning curve needs two finished loops", "funnel")),
        (3, ("3 of 40 loops finished", "continued with --resume", "Mass density of the")),
    ],
)
def test_a_run_broken_off_says_so(make_run: RunMaker, loops: int, words: tuple[str, ...]) -> None:
    text = outline(build_report(make_run(loops=loops))).text
    for told in words:
        assert told in text, told


def test_a_run_in_which_nothing_survived(make_run: RunMaker) -> None:
    directory = make_run(loops=3, rl={"loops": 3, "samples": 2, "evaluations": 1})
    import pandas as pd

    for table in (directory / "candidates").glob("*.parquet"):
        rows = pd.read_parquet(table)
        rows["evaluated"], rows["reward"], rows["stable"] = False, float("nan"), None
        rows.to_parquet(table)
    text = outline(build_report(directory)).text
    assert "No crystal has been evaluated yet" in text
    assert "A learning curve needs two finished loops" in text


def test_what_comes_from_files_is_escaped(make_run: RunMaker) -> None:
    directory = make_run(loops=2)
    hostile = '<script>alert("1")</script>'
    versions = json.loads((directory / "versions.json").read_text())
    versions |= {"started": hostile, "packages": {hostile: hostile}}
    (directory / "versions.json").write_text(json.dumps(versions))
    objective = json.loads((directory / "objective.json").read_text())
    objective["potential"] = hostile
    objective["terms"][0] |= {"unit": hostile, "source": hostile}
    (directory / "objective.json").write_text(json.dumps(objective))
    log = directory / "metrics.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records:
        record["rejections"] = {f"invalid: {hostile}": 3}
        record["timings"] = {hostile: 2.0}
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert hostile in outline(build_report(directory)).text


def test_several_properties_each_have_their_curve(make_run: RunMaker) -> None:
    up = {"scorer": "density", "transform": {"kind": "ascending", "min": 5, "max": 20}}
    down = {"scorer": "price", "transform": {"kind": "descending", "min": 50, "max": 500}}
    objective = {"terms": [up, down | {"weight": 0.3}], "aggregation": "weighted"}
    directory = make_run(loops=3, objective=objective)
    text = outline(build_report(directory)).text
    assert "as low a price of the elements as possible" in text
    assert "Price of the elements of the evaluated crystals" in text
    assert "weight 0.3" in text


def test_the_learning_curve_as_a_bitmap(
    finished_run: Path, make_run: RunMaker, tmp_path: Path
) -> None:
    from PIL import Image

    picture = learning_curve_png(finished_run, tmp_path / "curve.png")
    with Image.open(picture) as image:
        assert image.size == (1800, 680)
    with pytest.raises(RunDirectoryError, match="needs two loops"):
        learning_curve_png(make_run(loops=1), tmp_path / "none.png")
