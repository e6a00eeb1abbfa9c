"""The run report: one HTML file that needs nothing but a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.report import sections
from ray_matdesign.report.gallery import gallery
from ray_matdesign.report.run_data import RunData, read_run
from ray_matdesign.report.summary import sun_hits, windows
from ray_matdesign.report.wording import duration, number, objective_sentence, share


def build_report(run_dir: Path, out: Path | None = None) -> Path:
    """Writes the report of a run: finished, going on, or broken off.

    Args:
        run_dir: A run directory; nothing else is read, and no network used.
        out: The file to write; ``report.html`` in the run directory by default.

    Returns:
        The file written, atomically.

    Raises:
        RunDirectoryError: ``run_dir`` holds no readable configuration.
        OSError: The file cannot be written.
    """
    run = read_run(run_dir)
    target = run_dir / "report.html" if out is None else out
    write_atomic(target, render(run))
    return target


def render(run: RunData) -> str:
    """The page as a string."""
    name = escape(run.config.name)
    style = files("ray_matdesign.report").joinpath("page.css").read_text(encoding="utf-8")
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>{content}</section>'
        for anchor, title, content in [*_results(run), *_background(run)]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # The page promises to load nothing from elsewhere; the browser holds it to that.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} – crystal design run</title><style>{style}</style></head><body>"
        f"{_header(run)}<main>{body}</main>{_footer(run)}</body></html>\n"
    )


def _results(run: RunData) -> list[tuple[str, str, str]]:
    """Anchor, title and content of what the run found; one line where it found nothing yet."""
    if not (run.metrics or len(run.candidates)):
        return [("results", "Results", sections.empty("No loop has finished: no results yet."))]
    return [
        ("learning", "What the policy learned", sections.learning(run)),
        ("best", "Best crystals", gallery(run)),
        ("stability", "Stable, unique, novel", sections.stability(run)),
        ("elements", "Elements", sections.elements(run)),
        ("training", "Training", sections.training(run)),
    ]


def _background(run: RunData) -> list[tuple[str, str, str]]:
    return [
        ("caveats", "How to read these numbers", sections.caveats(run)),
        ("provenance", "Provenance", sections.provenance(run)),
    ]


def _header(run: RunData) -> str:
    facts = [f"Seed {run.config.seed}"]
    packages = run.versions.get("packages")
    if isinstance(packages, dict) and "ray_matdesign" in packages:
        facts.append(f"ray_matdesign {packages['ray_matdesign']}")
    if run.objective.get("potential"):
        facts.append(f"potential {run.objective['potential']}")
    if run.versions.get("started"):
        facts.append(f"started {_moment(str(run.versions['started']))}")
    resumed = run.versions.get("resumed")
    if isinstance(resumed, list) and resumed:
        facts.append("resumed once" if len(resumed) == 1 else f"resumed {len(resumed)} times")
    line = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return (
        '<header><p class="eyebrow">Crystal design run</p>'
        f"<h1>{escape(run.config.name)}</h1>"
        f'<p class="objective">{objective_sentence(run.config, run.properties, run.limited)}</p>'
        f'<p class="facts">{line}</p>{_status(run)}{_tiles(run)}</header>'
    )


def _moment(stamp: str) -> str:
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return stamp


def _status(run: RunData) -> str:
    """What the reader must know about the state of the run; empty for a whole one."""
    lines = []
    done, wanted = len(run.metrics), run.config.rl.loops
    if not run.complete:
        when = f" Last record: {run.updated:%Y-%m-%d %H:%M UTC}." if run.updated else ""
        state = (
            "The run is going on."
            if run.running
            else "No process holds it on this machine: it was stopped or broke off, and "
            "can be continued with --resume."
        )
        told = f"{done} of {wanted} loops" if done else f"None of {wanted} loops"
        lines.append(f"<b>{told} finished.</b> {state}{when}")
    lines += [escape(notice) for notice in run.notices]
    if not lines:
        return ""
    return f'<div class="notice" role="note">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def _tiles(run: RunData) -> str:
    tiles = [*_change_tiles(run), *_outcome_tiles(run)]
    cells = "".join(
        f'<div class="tile"><dt>{label}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>'
        for label, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>' if tiles else ""


def _change_tiles(run: RunData) -> list[tuple[str, str, str]]:
    """First against last loops: each property, and the S.U.N. share."""
    pair = windows(run)
    if pair is None:
        return []
    tiles = []
    for prop in run.properties:
        before, after = (window.values(prop.name) for window in pair)
        if len(before) and len(after):
            factor = after.mean() / before.mean() if before.mean() > 0 else 0.0
            times = f"{factor:.2f} times the start; " if factor > 0 else ""
            tiles.append(
                (
                    f"Mean {escape(prop.in_text)}",
                    f'<span class="from">{number(float(before.mean()))} →</span> '
                    f'<span class="to">{number(float(after.mean()))}</span>'
                    f'<span class="unit">{escape(prop.suffix)}</span>',
                    f"{times}{pair[0].name} (n&nbsp;=&nbsp;{len(before)}), "
                    f"{pair[1].name} (n&nbsp;=&nbsp;{len(after)})",
                )
            )
    start, end = (share(len(w.sun), len(w.table)) for w in pair)
    note = f"of {len(pair[0].table):,} and {len(pair[1].table):,} sampled"
    value = f'<span class="from">{start} →</span> <span class="to">{end}</span>'
    return [*tiles, ("S.U.N. crystals", value, note)]


def _outcome_tiles(run: RunData) -> list[tuple[str, str, str]]:
    """What the run found and what it cost."""
    if not run.metrics:
        return []
    last = run.metrics[-1]
    threshold = run.config.objective.reward_threshold
    spent = last.get("evaluations_total")
    seconds = sum(float(record.get("wall_s") or 0.0) for record in run.metrics)
    table = run.candidates
    hits = table[table["reward"] > threshold]["formula"].nunique() if len(table) else 0
    found = len(sun_hits(run))
    return [
        (
            "High-reward formulas",
            f'<span class="to">{hits:,}</span>',
            f"distinct, reward above {threshold:g}; {found:,} S.U.N. crystals in all",
        ),
        (
            "Property evaluations",
            "–" if spent is None else f"{int(spent):,}",
            "paid for, failed ones included",
        ),
        (
            "Wall-clock time",
            duration(seconds),
            f"{duration(seconds / len(run.metrics))} a loop, {len(run.metrics):,} finished",
        ),
    ]


def _footer(run: RunData) -> str:
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<footer>Written {written} from the run directory "
        f"<code>{escape(run.directory.resolve().name)}</code> alone. This page loads nothing from "
        "elsewhere; its crystals and charts are inside it.</footer>"
    )
