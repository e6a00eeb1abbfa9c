"""Generators next to each other, through one pipeline and in one run.

The embedded model, its conditional variant, a MatterGen in a folder, published samples and real
crystals: as generated, relaxed and judged by CHGNet, and the same crystals once more by SevenNet.
Shares mean something only next to each other.

    python bench/generators.py --n 256 --judge-n 64 --mattergen ../mattergen-small
    python bench/generators.py --steps-sweep 10,20,35,50,75,100,150 --n 64

What is done is kept in build/bench and not done again until a checkpoint, a generator's code or a
setting changes. Writes bench/results/generators.{json,md}, or generator_steps.{json,md,png}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import generator_table as table
import judging
import yaml
from published import DATA, PUBLISHED, Samples
from record import RESULTS, write_results

import ray_matdesign
from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals

PACKAGE = Path(ray_matdesign.__file__).parent
CACHE = Path(__file__).resolve().parents[1] / "build" / "bench"
WORKERS = 2
DRAWN_AT_ONCE = 64
COUNTED = 32
"""Crystals over which network calls are counted, at most: an eighth of those drawn suffices."""
TITLES = {
    "embedded": "embedded",
    "conditional": "embedded, conditional",
    "mattergen": "MatterGen, small",
    "diffcsp": "DiffCSP",
    "diffcsp-in-contact": "DiffCSP within our contacts",
    "crystalformer": "CrystalFormer",
    "held-back": "held-back crystals",
}
PUBLISHED_EVALUATIONS = {"diffcsp": 2000.0}


@dataclass(frozen=True)
class Row:
    """One generator, or one set of published samples.

    Attributes:
        title: Heading in tables.
        source: Key of :data:`published.PUBLISHED`, or empty.
        generator: What draws the crystals, unless they are published.
        condition: Property values to aim for.
        drawn: Crystals looked at as generated.
    """

    title: str
    drawn: int
    source: str = ""
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    condition: dict[str, float] = field(default_factory=dict)

    def key(self, seed: int) -> dict[str, Any]:
        """What its samples depend on."""
        if self.source:
            return {"source": self.source, "drawn": self.drawn}
        checkpoint = Path(self.generator.checkpoint)
        code = PACKAGE / "generators" / self.generator.name
        return {
            "generator": self.generator.model_dump(mode="json"),
            "weights": digest(checkpoint) if checkpoint.exists() else "",
            "code": digest(code if code.is_dir() else code.parent),
            "condition": self.condition,
            "drawn": self.drawn,
            "seed": seed,
        }


def digest(path: Path) -> str:
    """A hash of a file, or of all files in a folder but what is only read by people."""
    found = hashlib.blake2b(digest_size=12)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".md":
            found.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def relaxation_code(potential: str) -> list[str]:
    """Hashes of what decides where a crystal comes to rest."""
    folder = PACKAGE / "potentials"
    files = [folder / "relaxation.py", folder / "optimizers.py", *folder.glob(f"{potential}*.py")]
    return [digest(file) for file in sorted(files)]


def cached(what: str, key: Any, make: Callable[[], Any]) -> Any:
    """The JSON value made for this key before, or made now and kept."""
    name = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=12).hexdigest()
    path = CACHE / f"{what}-{name}.json"
    if path.is_file():
        return json.loads(path.read_text())
    made = make()
    CACHE.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(made))
    return made


def draw(arguments: tuple[GeneratorSettings, dict[str, float], int, int]) -> bytes:
    """Draws crystals in a worker process."""
    import torch

    from ray_matdesign.generators.registry import load_policy

    settings, condition, n, seed = arguments
    torch.set_num_threads(1)
    policy = load_policy(settings)
    return encode_crystals(policy.sample(n, seed=seed, condition=condition or None))


def count_evaluations(settings: GeneratorSettings, condition: dict[str, float], n: int) -> float:
    """Calls of the outermost network for one of ``n`` crystals, given-up ones included."""
    from torch.nn.modules import module

    from ray_matdesign.generators.registry import load_policy

    policy = load_policy(settings)
    depth = calls = 0

    def enter(_: Any, arguments: tuple[Any, ...]) -> None:
        nonlocal depth, calls
        if depth == 0:
            calls += len(arguments[1])  # the times, one for each crystal of the batch
        depth += 1

    def leave(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    hooks = [
        module.register_module_forward_pre_hook(enter),
        module.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        crystals = policy.sample(n, seed=0, condition=condition or None)
    finally:
        for hook in hooks:
            hook.remove()
    return calls / len(crystals)


def draw_all(row: Row, seed: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """The row's crystals, how long 1,000 take, and the network calls for one."""
    list(pool.map(draw, [(row.generator, row.condition, 1, 0)] * WORKERS))  # imports, weights
    batch = min(DRAWN_AT_ONCE, -(-row.drawn // WORKERS))
    jobs = [
        (row.generator, row.condition, min(batch, row.drawn - k), seed * 1_000_000 + k)
        for k in range(0, row.drawn, batch)
    ]
    start = time.perf_counter()
    parts = list(pool.map(draw, jobs))
    seconds = time.perf_counter() - start
    crystals = [crystal for part in parts for crystal in decode_crystals(part)]
    return {
        "crystals": encode_crystals(crystals).hex(),
        "seconds": 1000.0 * seconds / row.drawn,
        "evaluations": count_evaluations(
            row.generator, row.condition, max(1, min(COUNTED, row.drawn // 8))
        ),
    }


def measure(row: Row, arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Everything about one row."""
    key = row.key(arguments.seed)
    measured: dict[str, Any] = {"title": row.title}
    if row.source:
        samples: Samples = PUBLISHED[row.source](row.drawn)
        measured["evaluations"] = PUBLISHED_EVALUATIONS.get(row.source)
    else:
        drawn = cached("drawn", key, lambda: draw_all(row, arguments.seed, pool))
        crystals = decode_crystals(bytes.fromhex(drawn["crystals"]))
        samples = [*crystals, *[None] * (row.drawn - len(crystals))]
        measured |= {name: drawn[name] for name in ("seconds", "evaluations")}
    measured["drawn"] = len(samples)
    against = digest(PACKAGE / "stability")
    measured["generated"] = cached(
        "generated", [key, against], lambda: judging.as_generated(samples, pool)
    )
    before = samples
    for potential, most in (("chgnet", arguments.n), ("sevennet", arguments.judge_n)):
        before = before[:most]
        if not before:
            break
        limits = judging.RELAXATION.model_dump(mode="json")
        how = [key, potential, most, arguments.n, limits, relaxation_code(potential)]
        outcomes = cached("relaxed", how, partial(judging.relax_all, potential, before, pool))
        measured[f"judged by {potential}"] = len(before)
        measured[potential] = cached(
            "verdict",
            [how, against],
            partial(judging.verdict, outcomes, samples[: len(outcomes)]),
        )
        before = judging.relaxed_samples(outcomes)
    return measured


def settings_of(
    name: str, checkpoint: str, options: list[str], kind: str = "diffusion"
) -> GeneratorSettings:
    """Generator settings from ``KEY=VALUE`` options, values as in YAML.

    Raises:
        SystemExit: An option without ``=``.
    """
    chosen = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise SystemExit(f"{name}: option {option!r} is not KEY=VALUE")
        chosen[key] = yaml.safe_load(value)
    return GeneratorSettings(name=kind, checkpoint=checkpoint, options=chosen)


def rows_of(arguments: argparse.Namespace) -> list[Row]:
    """The rows asked for; those that cannot be had are named on the terminal."""
    rows = {}
    embedded = settings_of("--option", arguments.checkpoint, arguments.option)
    rows["embedded"] = Row(TITLES["embedded"], arguments.drawn, generator=embedded)
    if arguments.conditional:
        generator = settings_of("--option", arguments.conditional, arguments.option)
        wanted = settings_of("--condition", "", arguments.condition).options
        title = f"{TITLES['conditional']} ({', '.join(arguments.condition)})"
        rows["conditional"] = Row(title, arguments.drawn, generator=generator, condition=wanted)
    if arguments.mattergen:
        options = arguments.mattergen_option
        generator = settings_of("--mattergen-option", arguments.mattergen, options, "mattergen")
        n = min(arguments.mattergen_n, arguments.n)
        rows["mattergen"] = Row(TITLES["mattergen"], n, generator=generator)
    if DATA.is_dir():
        for source in PUBLISHED:
            chosen = source in ("held-back", "diffcsp-in-contact")
            most = arguments.n if chosen else arguments.published
            rows[source] = Row(TITLES[source], max(most, arguments.n), source=source)
    for name in arguments.rows:
        if name not in rows:
            print(f"row {name!r} left out: no checkpoint, folder or shared data given for it")
    return [row for name, row in rows.items() if name in arguments.rows]


def sweep_rows(arguments: argparse.Namespace) -> list[Row]:
    """The embedded model with each number of steps."""
    rows = []
    for steps in arguments.steps_sweep:
        options = [*arguments.option, f"{arguments.steps_option}={steps}"]
        generator = settings_of("--option", arguments.checkpoint, options)
        rows.append(Row(f"{steps} steps", arguments.n, generator=generator))
    return rows


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument

    def words(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(word) for word in words(text)]

    add("--rows", type=words, default=list(TITLES), help=f"of {','.join(TITLES)}")
    add("--n", type=int, default=256, help="crystals relaxed and judged by CHGNet, each row")
    add("--judge-n", type=int, default=64, help="of these, judged by SevenNet too; 0 for none")
    add("--drawn", type=int, default=1024, help="crystals drawn, looked at as generated")
    add("--published", type=int, default=10_000, help="published samples, likewise")
    add("--checkpoint", default="packaged", help="of the embedded model")
    add("--option", action="append", default=[], metavar="KEY=VALUE", help="of its sampler")
    add("--conditional", metavar="CHECKPOINT", help="embedded model trained with conditions")
    add("--condition", action="append", default=[], metavar="NAME=VALUE", help="what to aim for")
    add("--mattergen", metavar="DIR", help="MatterGen in its official layout")
    add("--mattergen-n", type=int, default=64, help="crystals of its row; it is slow on a CPU")
    add("--mattergen-option", action="append", default=[], metavar="KEY=VALUE")
    add("--steps-sweep", type=numbers, metavar="N,N,...", help="quality against steps, by CHGNet")
    add("--steps-option", default="steps", help="the sampler option that sets them")
    add("--seed", type=int, default=0)
    add("--no-record", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    arguments.drawn = max(arguments.drawn, arguments.n)
    if unknown := sorted(set(arguments.rows) - set(TITLES)):
        parser.error(f"--rows: no row {', '.join(unknown)}; there are {', '.join(TITLES)}")
    if arguments.conditional and not arguments.condition:
        parser.error("--conditional needs --condition NAME=VALUE")
    return arguments


def main() -> None:
    """Runs the benchmark."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # inherited by the workers
    arguments = parse_arguments()
    sweep = bool(arguments.steps_sweep)
    if sweep:
        arguments.judge_n = 0
    rows = sweep_rows(arguments) if sweep else rows_of(arguments)
    measured = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for row in rows:
            start = time.perf_counter()
            measured.append(measure(row, arguments, pool))
            print(f"{row.title}: {time.perf_counter() - start:.0f} s")
    columns = table.known_columns(measured)
    table.print_table(measured, columns)
    if arguments.no_record:
        return
    name = "generator_steps" if sweep else "generators"
    baseline = measured[-1]["title"] if sweep else TITLES["diffcsp"]
    write_results(name, table.figures(measured, baseline, columns))
    notes = table.EXPLANATION.format(workers=WORKERS)
    write_atomic(RESULTS / f"{name}.md", f"{table.markdown(measured, columns)}\n{notes}")
    if sweep:
        table.plot_steps(measured, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
