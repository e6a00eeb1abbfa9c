"""Does the genetic generator find the hardest crystals of a small space, and sooner than chance?

The space is that of ``superhard_space.py``, scored beforehand, so that a search of any seed takes a
second. A search is given so many evaluations: crystals relaxed and placed against the hull, whether
or not they are then stable enough to have their hardness computed. What counts are the ten hardest
crystals within 0.2 eV/atom of the hull; diamond itself is 0.16 above it. Two entries of the space
that relax to one crystal count as one.

    python bench/superhard.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from record import figure, write_results
from superhard_space import ELEMENTS, TYPES, Key, read_table, space

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.config.schema import ConstraintSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.prototypes import STRUCTURE_TYPES
from ray_matdesign.generators.genetic.generator import GeneticGenerator
from ray_matdesign.generators.genetic.genomes import genomes_of

MAX_E_ABOVE_HULL_EV_PER_ATOM = 0.2
BEST, ENOUGH = 10, 8
FULL_SCORE_GPA = 30.0
BUDGETS = (100, 200, 400)
LOOP = 20
"""Crystals evaluated before the population learns of them."""
Answer = tuple[frozenset[int], int]
"""Elements and space group of a crystal at rest."""


class Space:
    """The scored space.

    Raises:
        SystemExit: It is not complete.
    """

    def __init__(self) -> None:
        self.rows = read_table()
        if len(self.rows) < len(space()):
            raise SystemExit("results/superhard_space.jsonl is not complete: superhard_space.py")
        hardness: dict[Answer, float] = {}
        for key in self.rows:
            if (reward := self.hardness(key)) is not None:
                answer = self.answer(key)
                hardness[answer] = max(reward, hardness.get(answer, 0.0))
        self.best = sorted(hardness, key=lambda a: -hardness[a])[:BEST]
        carbon, boron, nitrogen = (ATOMIC_NUMBERS[symbol] for symbol in ("C", "B", "N"))
        self.known = {(frozenset({carbon}), 227), (frozenset({boron, nitrogen}), 216)}

    def hardness(self, key: Key) -> float | None:
        """GPa; ``None`` for what fails or is too far above the hull."""
        row = self.rows[key]
        stable = row.get("e_above_hull_ev_per_atom", np.inf) <= MAX_E_ABOVE_HULL_EV_PER_ATOM
        return float(row["hardness_gpa"]) if stable and "hardness_gpa" in row else None

    def answer(self, key: Key) -> Answer:
        """What the crystal relaxed to."""
        return key[1], int(self.rows[key].get("space_group", 0))


def key_of(crystals: Sequence[Crystal]) -> list[Key]:
    """The entries of the space that generated crystals are."""
    genomes = genomes_of(crystals)
    names = [list(STRUCTURE_TYPES)[kind] for kind in genomes.kinds.tolist()]
    return [(name, frozenset(c.numbers.tolist())) for name, c in zip(names, crystals, strict=True)]


def genetic(scored: Space, seed: int) -> list[Key]:
    """Entries in the order in which the generator asks for them, to the end of the space."""
    settings = GeneticSettings(prototypes=TYPES, smact=False, min_elements=1)
    generator = GeneticGenerator(settings, ConstraintSettings(allowed_elements=ELEMENTS))
    asked: list[Key] = []
    for loop in range(len(scored.rows)):
        crystals = generator.sample(LOOP, seed=1000 * seed + loop)
        if not crystals:
            break
        keys = key_of(crystals)
        asked += keys
        values = [scored.hardness(key) for key in keys]
        learnt = [(c, v) for c, v in zip(crystals, values, strict=True) if v is not None]
        rewards = [min(1.0, value / FULL_SCORE_GPA) for _, value in learnt]
        generator.learn([crystal for crystal, _ in learnt], rewards, crystals)
    return asked


def chance(scored: Space, seed: int) -> list[Key]:
    """Entries in random order, none twice."""
    keys = list(scored.rows)
    return [keys[place] for place in np.random.default_rng(seed).permutation(len(keys))]


def found(scored: Space, asked: Sequence[Key]) -> int:
    """How many of the best are among these."""
    return len({scored.answer(key) for key in asked} & set(scored.best))


def needed(scored: Space, asked: Sequence[Key]) -> int:
    """Evaluations after which enough of the best are found; all of them and one if never."""
    counts = (found(scored, asked[:n]) for n in range(len(asked) + 1))
    return next((n for n, count in enumerate(counts) if count >= ENOUGH), len(asked) + 1)


def top_five_hold(scored: Space, asked: Sequence[Key]) -> bool:
    """Whether diamond or cubic boron nitride is among the five hardest of these."""
    rated = {scored.answer(k): v for k in asked if (v := scored.hardness(k)) is not None}
    return bool(scored.known & set(sorted(rated, key=lambda a: -rated[a])[:5]))


def rate(n: int) -> float:
    """Crystals a second, bred from a population of random ones of all types and elements."""
    generator = GeneticGenerator(GeneticSettings())
    crystals = generator.sample(n, seed=0)
    generator.learn(crystals, np.linspace(1.0, 0.0, n).tolist(), crystals)
    start = time.perf_counter()
    drawn = generator.sample(n, seed=1)
    return len(drawn) / (time.perf_counter() - start)


def main() -> None:
    """Runs all searches and writes ``results/superhard.json``; the baseline is random search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    scored = Space()
    bred = [genetic(scored, seed) for seed in seeds]
    drawn = [chance(scored, seed) for seed in seeds]
    figures = []
    for budget in BUDGETS:
        ours, theirs = (
            float(np.mean([found(scored, asked[:budget]) / BEST for asked in searches]))
            for searches in (bred, drawn)
        )
        figures.append(figure(f"share of top 10 after {budget} evaluations", ours, "", theirs))
        ours, theirs = (
            float(np.mean([top_five_hold(scored, asked[:budget]) for asked in searches]))
            for searches in (bred, drawn)
        )
        name = f"runs with diamond or c-BN in their top 5 after {budget} evaluations"
        figures.append(figure(name, ours, "", theirs))
    ours, theirs = (
        float(np.median([needed(scored, asked) for asked in searches]))
        for searches in (bred, drawn)
    )
    figures.append(figure("evaluations to 8 of the top 10, median", ours, "", theirs))
    worst = float(max(needed(scored, asked) for asked in bred))
    figures.append(figure("evaluations to 8 of the top 10, worst run", worst, ""))
    figures.append(figure("children bred", rate(2000), "1/s"))
    print(write_results("superhard", figures))


if __name__ == "__main__":
    main()
