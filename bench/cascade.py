"""How many materials tasks agents solve by code, by how much help they get.

    python bench/cascade.py bench/cascade.yaml             # every mode, for hours
    python bench/cascade.py bench/cascade.yaml --smoke     # one problem of each category
    python bench/cascade.py bench/cascade.yaml --report    # tables of what there is
    python bench/cascade.py --baselines                    # who knows all, nothing, or by heart

A configuration holds the settings of ``BenchmarkSettings``; ``solver`` is the import path of the
factory. Each mode lies in build/bench/cascade/NAME/MODE, one line a finished attempt, and goes on
where it stopped when the command is given again. Writes bench/results/NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import JsonValue, ValidationError
from record import RESULTS, figure, write_results

from ray_matdesign.agents.benchmark.asking import plan_of, questions
from ray_matdesign.agents.benchmark.attempts import LocalLanes
from ray_matdesign.agents.benchmark.attribution import weeded
from ray_matdesign.agents.benchmark.baselines import fixed_answers, memorised, oracle, perturbed
from ray_matdesign.agents.benchmark.journal import Finished, Journal, read_run
from ray_matdesign.agents.benchmark.problem import PUBLIC, Item
from ray_matdesign.agents.benchmark.running import Key, run
from ray_matdesign.agents.benchmark.settings import BenchmarkSettings
from ray_matdesign.agents.benchmark.statistics import breakdown, gain
from ray_matdesign.agents.benchmark.suite import Suite, load_suite
from ray_matdesign.agents.benchmark.tables import figures, table
from ray_matdesign.agents.skills.library import Library
from ray_matdesign.config.problems import describe, dotted
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.distributed.lanes import lanes_for

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bench" / "cascade"
PRIVATE = 1


def read_settings(path: Path) -> BenchmarkSettings:
    """The settings of a YAML file.

    Raises:
        SystemExit: It is none; the message names the file and the key.
    """
    try:
        told = yaml.safe_load(path.read_text())
        return BenchmarkSettings.model_validate(told)
    except ValidationError as error:
        found = describe(error, BenchmarkSettings, told)
        raise SystemExit(f"{path}: {dotted(found[0][0])}: {found[0][1]}") from error
    except (OSError, yaml.YAMLError) as error:
        raise SystemExit(f"{path}: {' '.join(str(error).split())}") from error


def measure(settings: BenchmarkSettings, folder: Path, *, smoke: bool) -> None:
    """Runs every mode, one after the other, over the same questions."""
    items, key = questions(settings, print, each=1 if smoke else None), Key()
    total = len(items) * settings.repetitions
    for mode in settings.modes:
        journal = Journal(folder / mode, plan_of(settings, mode))
        done = len(journal.finished())

        def tell(finished: Finished, mode: str = mode) -> None:
            nonlocal done
            done += 1
            seconds = f"{finished.seconds:.1f} s"
            reason = f" {finished.reason}" if finished.reason else ""
            print(f"{mode} {done}/{total} {finished.task} {finished.outcome} {seconds}{reason}")

        with lanes_for(settings, mode) as lanes:
            run(
                items,
                lanes,
                journal,
                repetitions=settings.repetitions,
                seed=settings.seed,
                key=key,
                tell=tell,
            )


def weed(settings: BenchmarkSettings, folder: Path) -> None:
    """Retires skills that lower the rate of solved tasks, where both ways were measured."""
    library = settings.settings.get("skills")
    if library is None or not {"deep", "deep+skills"} <= set(settings.modes):
        return
    runs = [read_run(folder / mode) for mode in ("deep+skills", "deep")]
    for skill, reason in weeded(Library(Path(str(library))), *runs):
        print(f"retired: {skill}: {reason}")


def report(name: str, folder: Path, modes: Sequence[str]) -> None:
    """Writes the table and the figures of the modes that there are."""
    runs = {mode: read_run(folder / mode) for mode in modes if (folder / mode).is_dir()}
    groups = {mode: breakdown(finished) for mode, finished in runs.items() if finished}
    text = table(groups)
    rows = [row for mode in groups for row in figures(mode, groups[mode])]
    for before, after in zip(groups, list(groups)[1:], strict=False):
        difference, error = gain(runs[before], runs[after])
        text += f"\n{after} - {before}: {100 * difference:+.1f} ± {100 * error:.1f} points"
        rows.append(figure(f"{after} - {before}: success", difference, "share", error=error))
    print(text)
    write_atomic(RESULTS / f"{name}.md", text + "\n")
    print(write_results(name, rows))


def baselines(folder: Path) -> None:
    """Success of who knows all, nothing, nearly, or the public answers by heart."""
    key = Key()
    suite = load_suite("cascade_problems.suite:suite")
    assert isinstance(suite, Suite)
    suite = suite.installed()
    public, private = suite.items(PUBLIC), suite.items(PRIVATE)
    answers: dict[str, tuple[list[Item], dict[str, JsonValue]]] = {
        "oracle": (public, oracle(public, key)),
        "null": (public, {}),
        "perturbed": (public, perturbed(public, key)),
        "memorised": (private, memorised(public, private, key)),
    }
    for name, (items, known) in answers.items():
        lanes = LocalLanes(fixed_answers({"answers": known}), deadline_s=60.0, lanes=1)
        run(items, lanes, Journal(folder / name, {"baseline": name}), repetitions=1, key=key)
    groups = {name: breakdown(read_run(folder / name)) for name in answers}
    print(table(groups))
    shares = {name: summaries[0].success for name, summaries in groups.items()}
    rows = [
        figure(f"{name}: success", share.value, "share", error=share.error)
        for name, share in shares.items()
    ]
    print(write_results("cascade_baselines", rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, or reports what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", type=Path, help="YAML file of BenchmarkSettings")
    parser.add_argument("--smoke", action="store_true", help="one problem of each category")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--baselines", action="store_true", help="solvers that only know answers")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"folder of runs ({FOLDER.name})")
    chosen = parser.parse_args(arguments)
    if chosen.baselines:
        baselines(chosen.out / "baselines")
        return
    if chosen.config is None:
        parser.error("a configuration, or --baselines, is needed")
    settings = read_settings(chosen.config)
    name = chosen.config.stem + ("_smoke" if chosen.smoke else "")
    if not chosen.report:
        measure(settings, chosen.out / name, smoke=chosen.smoke)
        weed(settings, chosen.out / name)
    report(name, chosen.out / name, settings.modes)


if __name__ == "__main__":
    main()
