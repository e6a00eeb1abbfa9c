"""Reinforcement learning in its faithful and its better mode, at equal settings.

    python bench/rl.py                                            # everything, for hours
    python bench/rl.py --only density --modes matinvent,guided --seeds 0,1,2 --loops 30
    python bench/rl.py --report                                   # tables of what there is
    python bench/rl.py --rival                                    # against conditional generation

bench/rl.yaml says what is run. Each run lies in build/bench/rl/TASK/MODE/SEED, a run directory like
any other; interrupted, it goes on where it stopped when the command is given again, and what is
complete is not repeated, here or wherever bench/results/rl_runs has come along: it keeps what was
read of each complete run. Writes bench/results/rl.{json,md} and rl_curves.png.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path
from types import FrameType

from rl_plan import BASELINE, PRIOR, ROOT, Call, Job, Plan, config_of, load_plan

from ray_matdesign.crystals.atomic import write_atomic

LOOPS = 30


def jobs_of(plan: Plan, options: argparse.Namespace) -> list[Job]:
    """The jobs asked for: priors, then seed by seed, so that what is compared ends together."""

    def job(task: str, mode: str, seed: int) -> Job:
        return Job(
            task=task,
            mode=mode,
            seed=seed,
            loops=options.loops,
            final=options.final,
            judged=options.judged,
            root=options.root,
            extra=tuple(options.set),
        )

    priors = [job(task, PRIOR, 0) for task in options.only]
    runs = [
        job(task, mode, seed)
        for seed in options.seeds
        for task in options.only
        for mode in options.modes
    ]
    for one in runs:
        config_of(plan, one)  # a setting that does not exist is better found now than in an hour
    return [*priors, *runs]


def run_all(calls: Sequence[Call], workers: int) -> list[str]:
    """Makes named calls, a few at a time, each in a fresh process.

    Returns:
        A line on each that failed. The others go on.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the workers, which share the cores
    failures = []
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
        names: dict[Future[None], str] = {
            pool.submit(call, *arguments): name for name, call, arguments in calls
        }
        try:
            for done, future in enumerate(as_completed(names), start=1):
                error = future.exception()
                verdict = "done" if error is None else f"failed: {error}"
                print(f"[{done} of {len(names)}] {names[future]}: {verdict}", flush=True)
                if error is not None:
                    failures.append(f"{names[future]}: {type(error).__name__}: {error}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():  # loses nothing that was paid for
                worker.terminate()
            raise SystemExit("stopped; the same command goes on from here") from None
    return failures


def interrupt(number: int, frame: FrameType | None) -> None:
    """Makes SIGTERM end the benchmark as Ctrl-C does, workers included."""
    raise KeyboardInterrupt


def report(plan: Plan, jobs: Sequence[Job], *, record: bool) -> None:
    """Tables, figures on record and curves of the complete jobs; names the others."""
    import rl_table as shown
    from record import RESULTS, write_results
    from rl_archive import available
    from rl_summary import summarise

    found = {job: available(plan, job) for job in jobs}
    complete = [kept for kept in found.values() if not isinstance(kept, str)]
    lines = [f"{job.name}: {line}" for job, line in found.items() if isinstance(line, str)]
    summaries = summarise(plan, [kept.reading for kept in complete])
    text = shown.markdown(plan, summaries, lines, Counter(kept.commit for kept in complete))
    print(text)
    if not record or not complete:
        return
    write_results("rl", shown.figures(plan, summaries))
    write_atomic(RESULTS / "rl.md", text)
    shown.plot(plan, summaries, RESULTS / "rl_curves.png")


def parse_arguments(plan: Plan) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument

    def words(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(word) for word in words(text)]

    add("--only", type=words, default=list(plan.tasks), metavar="TASK,...", help="default: all")
    modes = [BASELINE, "guided"]
    add("--modes", type=words, default=modes, metavar="MODE,...", help=",".join(plan.modes))
    add("--seeds", type=numbers, default=[0, 1, 2], metavar="N,...")
    add("--loops", type=int, default=LOOPS)
    add("--final", type=int, default=128, help="crystals drawn from the final policy")
    add("--judged", type=int, default=64, help="survivors among them, at most, judged twice")
    add("--workers", type=int, default=2, help="runs at a time")
    add("--root", type=Path, default=ROOT, help="folder of the runs")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="for a quick look")
    add("--report", action="store_true", help="run nothing")
    add("--rival", action="store_true", help="against conditional generation instead")
    add("--no-record", action="store_true", help="print, but write no results")
    options = parser.parse_args()
    for what, asked, known in (
        ("--only", options.only, plan.tasks),
        ("--modes", options.modes, plan.modes),
    ):
        if unknown := sorted(set(asked) - set(known)):
            parser.error(f"{what}: no {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def main() -> None:
    """Runs what is missing, then reports."""
    signal.signal(signal.SIGTERM, interrupt)
    plan = load_plan()
    options = parse_arguments(plan)
    if options.rival:
        import rl_rival

        calls = rl_rival.calls_of(plan, options)
    else:
        from rl_archive import ARCHIVE, complete, recall

        jobs = jobs_of(plan, options)
        archive = None if options.no_record else ARCHIVE
        calls = [
            (job.name, complete, (plan, job, archive)) for job in jobs if not recall(plan, job)
        ]
    failures = [] if options.report else run_all(calls, options.workers)
    if options.rival:
        rl_rival.report(plan, options, record=not options.no_record)
    else:
        report(plan, jobs, record=not options.no_record)
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
