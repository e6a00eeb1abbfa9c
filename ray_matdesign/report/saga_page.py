"""The report of a campaign whose objectives evolve: one HTML file that loads nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from ray_matdesign.config.yaml_text import format_yaml
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.report import saga_crystals, saga_sections
from ray_matdesign.report.saga_data import CampaignStatus, SagaData, name_of, read_campaign
from ray_matdesign.report.wording import duration, share

_STATES = {
    CampaignStatus.RUNNING: "The campaign is going on.",
    CampaignStatus.STOPPED: "No process holds it on this machine: it was stopped or broke off, and "
    "can be continued with --resume.",
    CampaignStatus.FAILED: "It broke off, for the last reason under Failures, and can be continued "
    "with --resume.",
}


def build_saga_report(directory: Path, out: Path | None = None) -> Path:
    """Writes the report of a campaign: finished, going on, or broken off.

    Args:
        directory: Of the campaign; nothing else is read, and no network used.
        out: The file to write; ``report.html`` in the campaign's folder by default.

    Returns:
        The file written, atomically.

    Raises:
        RunDirectoryError: ``directory`` is no campaign.
        OSError: The file cannot be written.
    """
    data = read_campaign(directory)
    target = directory / "report.html" if out is None else out
    write_atomic(target, render(data))
    return target


def render(data: SagaData) -> str:
    """The page as a string."""
    name = escape(data.name)
    style = files("ray_matdesign.report").joinpath("page.css").read_text(encoding="utf-8")
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>{content}</section>'
        for anchor, title, content in _sections(data)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} – campaign</title><style>{style}</style></head><body>"
        f"{_header(data)}<main>{body}</main>{_footer(data)}</body></html>\n"
    )


def _sections(data: SagaData) -> list[tuple[str, str, str]]:
    """Anchor, title and content."""
    return [
        ("objectives", "Objectives", saga_sections.objectives(data)),
        ("populations", "Populations", saga_crystals.populations(data)),
        ("front", "Best crystals", saga_crystals.front(data)),
        ("held-out", "Held-out properties", saga_crystals.held_out(data)),
        ("rounds", "What was said and decided", saga_sections.rounds(data)),
        ("reviews", "Reviews", saga_sections.reviews(data)),
        ("costs", "Tokens and time", saga_sections.costs(data)),
        ("failures", "Failures", saga_sections.failures(data)),
        ("caveats", "How to read these numbers", _caveats(data)),
        ("settings", "Settings", _settings(data)),
    ]


def _header(data: SagaData) -> str:
    settings = data.settings
    facts = [
        f"Seed {settings.get('seed', 0)}",
        str(settings.get("level", "autopilot")),
        f"rounds made from {settings.get('base', {}).get('recipe', '?')}",
    ]
    if data.begun:
        facts.append(f"started {data.begun:%Y-%m-%d %H:%M} UTC")
    line = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return (
        '<header><p class="eyebrow">Campaign with evolving objectives</p>'
        f"<h1>{escape(data.name)}</h1>"
        f'<p class="objective">{escape(str(settings.get("goal", "")))}</p>'
        f'<p class="facts">{line}</p>{_state(data)}{_tiles(data)}</header>'
    )


def _state(data: SagaData) -> str:
    """What the reader must know about the state of the campaign; empty for a whole one."""
    lines = []
    if data.status is not CampaignStatus.FINISHED:
        over = sum(one.decision is not None for one in data.rounds)
        when = f" Last record: {data.updated:%Y-%m-%d %H:%M} UTC." if data.updated else ""
        lines.append(
            f"<b>{over} of at most {data.most_rounds} rounds finished.</b> "
            f"{_STATES[data.status]}{when}"
        )
    if data.pending:
        numbers = ", ".join(str(review.get("number")) for review in data.pending)
        lines.append(f"Waits for a decision on review {numbers}.")
    lines += [escape(notice) for notice in dict.fromkeys(data.notices)]
    if not lines:
        return ""
    return f'<div class="notice" role="note">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def _tiles(data: SagaData) -> str:
    agreed = [one for one in data.rounds if one.agreed]
    tiles = []
    if agreed:
        first, last = ({name_of(o) for o in one.objectives} for one in (agreed[0], agreed[-1]))
        tiles.append(("Objectives", _arrow(str(len(first)), str(len(last))),
                      f"{len(last - first)} of the last were not there at first"))  # fmt: skip
    worked = [one.optimized for one in data.rounds if one.optimized is not None]
    if worked:
        paid = sum(int(found.get("evaluated", 0)) for found in worked)
        sampled = sum(int(found.get("sampled", 0)) for found in worked)
        tiles.append(("Crystals evaluated", f"{paid:,}", f"of {sampled:,} sampled"))
    judged = data.of_kind("judged")
    success = [value for value in (judged or {}).get("success", ()) if value is not None]
    if success:
        tiles.append(("Pass what was held out", _arrow(share(success[0], 1), share(success[-1], 1)),
                      "of the first and last round’s crystals"))  # fmt: skip
    if data.asked:
        tokens = int(data.spending.get("tokens", 0))
        tiles.append(("Tokens", f"{tokens:,}", f"in {len(data.asked):,} questions"))
    seconds = sum(sum(one.seconds.values()) for one in data.rounds)
    if seconds:
        tiles.append(("Time at work", duration(seconds), f"in {len(data.rounds)} rounds"))
    cells = "".join(
        f'<div class="tile"><dt>{label}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>'
        for label, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>' if tiles else ""


def _arrow(before: str, after: str) -> str:
    return f'<span class="from">{before} →</span> <span class="to">{after}</span>'


def _caveats(data: SagaData) -> str:
    written = any(o.get("outcome") == "written" for o in data.by_name.values())
    sentences = [
        "<b>Objectives are proxies.</b> That a population improves in an objective that a model "
        "proposed says that it was met, not that it was worth having. The held-out properties are "
        "the only figures here that nothing in the campaign could aim at.",
        "<b>Sentences of planner and analyzer</b> are a language model’s. The figures they cite "
        "were counted by code and stand behind them in brackets; that a figure exists does not "
        "make the conclusion right.",
        "<b>Energies, moduli and moments</b> are a potential’s. Confirm crystals of interest with "
        "DFT.",
    ]
    if written:
        sentences.append(
            "<b>Written scorers</b> passed validation on crystals that are not of this campaign; "
            "one that is wrong within its examples’ tolerances passes as well."
        )
    return f'<ul class="caveats">{"".join(f"<li>{line}</li>" for line in sentences)}</ul>'


def _settings(data: SagaData) -> str:
    return (
        "<details><summary>The campaign</summary>"
        f"<pre>{escape(format_yaml(data.settings))}</pre></details>"
    )


def _footer(data: SagaData) -> str:
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<footer>Written {written} from the folder "
        f"<code>{escape(data.directory.resolve().name)}</code> alone. This page loads nothing from "
        "elsewhere; its charts are inside it.</footer>"
    )
