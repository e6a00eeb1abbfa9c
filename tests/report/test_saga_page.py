"""The report of a campaign: complete, self-contained, well-formed, in every state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_matdesign.report.run_data import RunDirectoryError
from ray_matdesign.report.saga_crystals import on_front, scores
from ray_matdesign.report.saga_data import read_campaign, read_events
from ray_matdesign.report.saga_figures import front_chart, rounds_chart
from ray_matdesign.report.saga_page import build_saga_report
from tests.report.saga_folder import ask_for_review, break_off, write_campaign
from tests.report.test_page import outline


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign; tests must not change it."""
    return write_campaign(tmp_path_factory.mktemp("saga") / "hard-light")


def test_a_finished_campaign_shows_everything(finished: Path, tmp_path: Path) -> None:
    text = outline(build_saga_report(finished, tmp_path / "report.html")).text
    for words in (
        "hard-light", "Hard crystals of <light> elements & nothing rare.", "Seed 0", "semi-pilot",
        "1 → 2", "32", "25 % → 50 %", "mean.density fell while heavy oxides <stayed>",
        "planner, round 2", "initial, round 1", "reused: density", "written, at attempt 2",
        "Reward by the round’s own objectives", "Mass density (g/cm³)", "Pareto set",
        "lightest of all", "02-00001-0003", "e_above_hull (at most 0.1)", "Success by round",
        "Density <fell>. [mean.density", "The last round, by analyzer: good enough",
        "Goes on: good enough", "approved", "Ada", "toughness", "no formula is <known>",
        "2,000,000 tokens", "recipe: density-demo",
    ):  # fmt: skip
        assert words in text, words
    assert "could not be read" not in text
    assert "is missing" not in text


def test_marks_tell_when_an_objective_came_and_what_was_lost(finished: Path) -> None:
    page = build_saga_report(finished).read_text(encoding="utf-8")
    rows = page.split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    cells = {row.split("</b>")[0].split("<b>")[1]: row.split("<td>")[2:] for row in rows}
    marks = {name: [cell.split("</td>")[0] for cell in found] for name, found in cells.items()}
    assert marks == {
        "density": ["●", "●"],
        "light_share": ["", '<span class="hit">+</span>'],
        "toughness": ["", "×"],
    }


def test_one_that_waits_for_people_says_so(tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c", rounds=1, finished=False)
    number = ask_for_review(folder)
    text = outline(build_saga_report(folder)).text
    assert f"Waits for a decision on review {number}." in text
    assert "1 of at most 4 rounds finished." in text
    assert "No process holds it" in text
    assert "They are computed once, when the campaign is over." in text


def test_one_that_broke_off_gives_the_reason(tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c", rounds=1, finished=False)
    break_off(folder)
    text = outline(build_saga_report(folder)).text
    assert "It broke off, for the last reason under Failures" in text
    assert "no answer from http://127.0.0.1:8000" in text


def test_one_that_has_just_begun_is_a_page_as_well(tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c", rounds=0, finished=False)
    text = outline(build_saga_report(folder)).text
    assert "No round has been planned: nothing to show yet." in text
    (folder / "events.jsonl").unlink()
    assert "0 of at most 4 rounds finished." in outline(build_saga_report(folder)).text


def test_what_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    folder = write_campaign(tmp_path / "c")
    (folder / "rounds/01/population.parquet").write_bytes(b"PAR1 no more")
    (folder / "rounds/02/population.parquet").unlink()
    with (folder / "llm.jsonl").open("a") as file:
        file.write("no json\n")
    text = outline(build_saga_report(folder)).text
    assert text.count("01/population.parquet could not be read") == 1
    assert text.count("02/population.parquet is missing") == 1
    assert "llm.jsonl, line 3, is no question: left out." in text
    assert "Pareto set" in text


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"is no campaign: it holds no saga\.yaml"):
        build_saga_report(tmp_path)
    folder = write_campaign(tmp_path / "c", rounds=1, finished=False)
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join([*lines[:2], *lines[3:]]))
    with pytest.raises(RunDirectoryError, match=r"events.jsonl: line 3: not the event"):
        read_campaign(folder)


def test_the_line_of_a_writer_at_work_is_no_event_yet(finished: Path, tmp_path: Path) -> None:
    log = (finished / "events.jsonl").read_bytes()
    path = tmp_path / "events.jsonl"
    path.write_bytes(log[:-5])
    assert len(read_events(path)) == len(read_events(finished / "events.jsonl")) - 1
    assert [event["number"] for event in read_events(path, after=3)][:2] == [4, 5]


def test_the_front_is_of_scores_as_rounds_reward_them() -> None:
    import pandas as pd

    spec = {"kind": "candidate", "direction": "minimize"}
    density = {"objective": {"spec": {"name": "density", **spec}}, "low": 2.0, "high": 10.0}
    share = {
        "objective": {"spec": {"name": "share", **spec, "direction": "maximize"}},
        "low": 0.0,
        "high": 1.0,
    }
    found = pd.DataFrame(
        {
            "value_density": [1.0, 2.0, 6.0, 10.0, 4.0, np.nan],
            "value_share": [0.5, 0.5, 0.9, 0.9, 0.4, 1.0],
        }
    )
    scored = scores(found, [density, share])
    assert scored[:, 0].tolist()[:5] == [1.0, 1.0, 0.5, 0.0, 0.75]
    # Below 2 g/cm3 nothing more is to be had, so the first two are equals.
    assert on_front(scored).tolist() == [True, True, True, False, False, False]


def test_charts_hold_what_is_finite_and_nothing_else() -> None:
    assert rounds_chart({1: [np.nan], 2: []}, "Density") == ""
    one = rounds_chart({1: [3.0, np.nan, 5.0]}, "Density")
    assert "Median 4.00 in round 1, 4.00 in round 1." in one
    assert one.count("<circle") == 3  # two crystals and their median
    assert "band" not in one
    points = np.array([[1.0, 2.0], [np.nan, 1.0]])
    assert "1 of 1 crystals are on the front" in front_chart(
        points, [True, True], ("a", "b"), ["BN", "C"]
    )
    assert front_chart(points[1:], [True], ("a", "b"), ["C"]) == ""
