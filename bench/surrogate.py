"""Which surrogate finds the crystals worth an evaluation, played on labelled crystals.

    python bench/surrogate.py                # about five minutes
    python bench/surrogate.py --quick --no-record

In each of 20 rounds 64 labelled crystals come by, never seen before, and 16 may be evaluated, in
the first round any 16. All that is known afterwards is what the 16 told. Models are compared with
the strategy that is the default, strategies with the model that is. Needs the shared data beside
the repository, or in the folder RAY_MATDESIGN_DATA, and scikit-learn for the models that are not
ours.

Measures, averaged over rounds: mean reward of the 16 chosen and of the best 8 of them, which would
be trained on; share of the 6 best of the 64 that was chosen; Spearman's correlation of expected and
true rewards of the 64; share of their properties within the central 68 and 95 % of the draws;
seconds for learning, drawing and choosing.

Writes bench/results/surrogate.json and surrogate.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from record import RESULTS, write_results
from rewards import DATA
from scipy.stats import spearmanr

from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.config.surrogate import SurrogateSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.cif import parse_cif
from ray_matdesign.crystals.files import read_csv_rows
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rl.acquisition import choose_best, reward_draws
from ray_matdesign.rl.descriptors import blocks, describe
from ray_matdesign.rl.surrogate import NormalScores, Surrogate, fit_surrogate

Floats = NDArray[np.float64]

COME_BY, EVALUATED, KEPT, ROUNDS = 64, 16, 8, 20
TOP = 6
SIZE = COME_BY * ROUNDS
STOCK = SurrogateSettings()
STAGES = ((0, 63), (64, 159), (160, 304))
"""Numbers of labels between which figures are averaged."""
MEASURES = ("chosen", "kept", "recall", "rank", "in 68 %", "in 95 %", "seconds")
ELASTICITY = "labels/matcalc_mp-elasticity-2025.1.json.gz"


class Model(Protocol):
    """Anything that properties can be drawn from."""

    def draw(self, descriptors: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
        """See :meth:`Surrogate.draw`."""
        ...


@dataclass(frozen=True)
class Pool:
    """Labelled crystals and what is wanted of them.

    Attributes:
        described: Descriptors, shape ``(n, d)``.
        values: Properties, shape ``(n, n_properties)``.
        formulas: Of each crystal.
        objective: Its terms are the properties.
    """

    name: str
    described: Floats
    values: Floats
    formulas: Sequence[str]
    objective: ObjectiveSettings


class Trees:
    """Extremely randomised trees, each of them a draw."""

    TREES = 128

    def __init__(self, described: Floats, values: Floats) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self._forests = [
            ExtraTreesRegressor(self.TREES, max_features=0.33, random_state=0).fit(described, y)
            for y in values.T
        ]

    def draw(self, descriptors: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
        """Each tree's predictions, as many as there are, in random order."""
        told = [[tree.predict(descriptors) for tree in f.estimators_] for f in self._forests]
        return np.stack([np.array(t)[rng.permutation(len(t))[:n_draws]] for t in told], axis=2)


class Ridge:
    """Linear models of bootstrapped labels, with the residuals of those left out for noise."""

    MEMBERS, PENALTIES = 32, np.logspace(-1, 3, 9)

    def __init__(self, described: Floats, values: Floats) -> None:
        from sklearn.linear_model import RidgeCV

        rng = np.random.default_rng(0)
        self._scales = [NormalScores.of(y) for y in values.T]
        self._members, self._residuals = [], []
        for y, scale in zip(values.T, self._scales, strict=True):
            members, residuals, scores = [], [], scale.score(y)
            for _ in range(self.MEMBERS):
                drawn = rng.integers(len(y), size=len(y))
                out = np.setdiff1d(np.arange(len(y)), drawn)
                member = RidgeCV(self.PENALTIES).fit(described[drawn], scores[drawn])
                members.append(member)
                residuals.append(scores[out] - member.predict(described[out]))
            self._members.append(members)
            self._residuals.append(np.concatenate(residuals))

    def draw(self, descriptors: Floats, n_draws: int, rng: np.random.Generator) -> Floats:
        """A member's predictions and noise for each draw."""
        columns = []
        for scale, members, residuals in zip(
            self._scales, self._members, self._residuals, strict=True
        ):
            told = np.array([member.predict(descriptors) for member in members])
            drawn = told[rng.integers(len(members), size=n_draws)]
            columns.append(scale.value(drawn + rng.choice(residuals, drawn.shape)))
        return np.stack(columns, axis=2)


def ours(described: Floats, values: Floats) -> Surrogate:
    """The surrogate of the package."""
    fitted = fit_surrogate(
        described,
        values,
        tuple(blocks().values()),
        least_labels=1,
        most_labels=STOCK.most_labels,
    )
    assert fitted is not None
    return fitted


MODELS: dict[str, Any] = {"processes": ours, "trees": Trees, "ridge": Ridge}


def play(pool: Pool, model: str, strategy: str, seed: int) -> list[dict[str, float]]:
    """Plays the rounds; the measures of each, and the number of labels it began with.

    Args:
        pool: At least ``SIZE`` crystals.
        model: A key of ``MODELS``.
        strategy: Of the surrogate, or ``random``, or ``best`` for what hindsight would choose.
        seed: Of the order in which the crystals come by, and of the draws.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pool.values))[:SIZE]
    known: NDArray[np.int64] = np.array([], dtype=np.int64)
    rounds = []
    for number, here in enumerate(order.reshape(ROUNDS, COME_BY)):
        truth = reward_draws(pool.values[None, here], pool.objective)[0]
        figures = {"labels": float(len(known))}
        begin = time.perf_counter()
        if strategy == "best":
            chosen = np.argsort(-truth, kind="stable")[:EVALUATED]
        elif strategy == "random" or number == 0:
            chosen = rng.permutation(COME_BY)[:EVALUATED]
        else:
            fitted: Model = MODELS[model](pool.described[known], pool.values[known])
            drawn = fitted.draw(pool.described[here], STOCK.draws, rng)
            rewards = reward_draws(drawn, pool.objective)
            chosen = choose_best(
                rewards,
                [pool.formulas[i] for i in here],
                EVALUATED,
                STOCK.model_copy(update={"strategy": strategy}),
                rng,
                kept=KEPT,
            )
            figures["seconds"] = time.perf_counter() - begin
            if np.ptp(truth) > 0.0:
                figures["rank"] = float(spearmanr(rewards.mean(axis=0), truth).statistic)
            figures |= coverage(drawn, pool.values[here])
        figures["chosen"] = float(truth[chosen].mean())
        figures["kept"] = float(np.sort(truth[chosen])[-KEPT:].mean())
        best = np.argsort(-truth, kind="stable")[:TOP]
        figures["recall"] = float(np.isin(best, chosen).mean())
        if number > 0:
            rounds.append(figures)
        known = np.append(known, here[chosen])
    return rounds


def coverage(drawn: Floats, values: Floats) -> dict[str, float]:
    """How many values lie in the central 68 and 95 % of their draws."""
    shares = {}
    for percent in (68, 95):
        low, high = np.percentile(drawn, (50 - percent / 2, 50 + percent / 2), axis=0)
        shares[f"in {percent} %"] = float(((low <= values) & (values <= high)).mean())
    return shares


def target(scorer: str, goal: float, reach: float) -> dict[str, Any]:
    """A term that wants a property near a goal."""
    transform = {"kind": "target", "target": goal, "max_distance": reach}
    return {"scorer": scorer, "transform": transform}


def pools(data: Path, size: int) -> list[Pool]:
    """Band gaps and CHGNet's moments of stable crystals; moduli, and moduli with gaps."""
    rows = [row for row in read_csv_rows(data / "crystals_le20.csv.gz") if _usable(row)]
    rng = np.random.default_rng(0)
    some = [rows[i] for i in rng.permutation(len(rows))[:size]]
    specimens = [_specimen(row) for row in some]
    described, formulas = describe(specimens), [s.crystal.formula for s in specimens]
    gaps = np.array([[float(row["band_gap"])] for row in some])
    found = [
        Pool("band gap 3 eV", described, gaps, formulas, _objective(target("gap", 3.0, 2.0))),
        Pool(
            "magnetic density",
            described,
            _magnetic_densities(specimens),
            formulas,
            _objective({"scorer": "magnetism", "transform": _up(0.0, 0.25)}),
        ),
    ]
    with gzip.open(data / ELASTICITY) as file:
        moduli = {f"mp-{row['mp_id']}": row for row in json.load(file)}
    rows = [row for row in rows if row["material_id"] in moduli]
    specimens = [_specimen(row) for row in rows]
    described, formulas = describe(specimens), [s.crystal.formula for s in specimens]
    values = np.array(
        [
            (
                moduli[row["material_id"]]["bulk_modulus_vrh"],
                moduli[row["material_id"]]["shear_modulus_vrh"],
                float(row["band_gap"]),
            )
            for row in rows
        ]
    )
    bulk, shear = target("bulk", 300.0, 250.0), target("shear", 200.0, 160.0)
    both = _objective(
        {"scorer": "bulk", "transform": _up(20.0, 200.0)},
        target("gap", 3.0, 2.0),
        aggregation="min",
    )
    found += [
        Pool("bulk modulus 300 GPa", described, values[:, [0]], formulas, _objective(bulk)),
        Pool("shear modulus 200 GPa", described, values[:, [1]], formulas, _objective(shear)),
        Pool("stiff, with a gap", described, values[:, [0, 2]], formulas, both),
    ]
    return found


def _usable(row: dict[str, str]) -> bool:
    """Whether everything is known of it that is known of a survivor, and it would survive."""
    if not (row["band_gap"] and row["formation_energy_per_atom"] and row["e_above_hull"]):
        return False
    return float(row["e_above_hull"]) <= 0.1 and int(row["n_elements"]) > 1


def _specimen(row: dict[str, str]) -> Specimen:
    energy = float(row["formation_energy_per_atom"])
    # No descriptor looks at the total energy.
    return Specimen(parse_cif(row["cif"]), energy, energy, float(row["e_above_hull"]))


def _magnetic_densities(specimens: Sequence[Specimen]) -> Floats:
    """Moments per volume that CHGNet predicts, mu_B/A^3; NaN where it fails."""
    chgnet = load_potential("chgnet")
    found = []
    for start in range(0, len(specimens), 32):
        crystals = [specimen.crystal for specimen in specimens[start : start + 32]]
        for crystal, point in zip(crystals, chgnet.evaluate(crystals), strict=True):
            known = not isinstance(point, Failed) and point.magmoms_mu_b is not None
            found.append(np.abs(point.magmoms_mu_b).sum() / crystal.volume if known else np.nan)
    return np.array(found)[:, None]


def _up(low: float, high: float) -> dict[str, Any]:
    return {"kind": "ascending", "min": low, "max": high}


def _objective(*terms: dict[str, Any], aggregation: str = "mean") -> ObjectiveSettings:
    return ObjectiveSettings.model_validate({"terms": terms, "aggregation": aggregation})


def measured(rounds: Sequence[dict[str, float]], low: int, high: int) -> dict[str, float]:
    """Means of the measures over the rounds that began with so many labels."""
    some = [r for r in rounds if low <= r["labels"] <= high]
    found = {key: [r[key] for r in some if key in r] for key in MEASURES}
    return {key: float(np.mean(values)) for key, values in found.items() if values}


def contenders() -> list[tuple[str, str]]:
    """Models with the default strategy, and strategies with the default model."""
    default = STOCK.strategy
    found = [("", "random"), *((model, default) for model in MODELS)]
    others = [s for s in ("improvement", "greedy", "ucb", "thompson") if s != default]
    return [*found, *(("processes", other) for other in others), ("", "best")]


def table(results: dict[tuple[str, str, str], list[dict[str, float]]]) -> str:
    """Every contender's measures on every pool, by number of labels."""
    lines = []
    for name in dict.fromkeys(pool for pool, _, _ in results):
        lines += [
            f"## {name}\n",
            "| model | strategy | labels | " + " | ".join(MEASURES) + " |",
            "|---|---|---|" + "---:|" * len(MEASURES),
        ]
        for (pool, model, strategy), rounds in results.items():
            if pool != name:
                continue
            for low, high in (*STAGES, (0, STAGES[-1][1])):
                found = measured(rounds, low, high)
                cells = [f"{found[m]:.3f}" if m in found else "" for m in MEASURES]
                lines.append(f"| {model} | {strategy} | {low}-{high} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def figures_of(
    results: dict[tuple[str, str, str], list[dict[str, float]]],
) -> list[dict[str, Any]]:
    """The measures over all rounds in the format of the records, beside random choice."""
    figures = []
    for (pool, model, strategy), rounds in results.items():
        plain = measured(results[pool, "", "random"], 0, SIZE)
        for measure, value in measured(rounds, 0, SIZE).items():
            base = plain.get(measure) if strategy != "random" else None
            figures.append(
                {
                    "name": "; ".join(filter(None, (pool, model, strategy, measure))),
                    "value": round(value, 4),
                    "unit": "s" if measure == "seconds" else "1",
                    "baseline": None if base is None else round(base, 4),
                    "ratio": None if not base else round(value / base, 3),
                }
            )
    return figures


def main() -> None:
    """Plays every contender on every pool and shows the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=2, help="orders in which crystals come by")
    parser.add_argument("--quick", action="store_true", help="the first pool alone, once")
    parser.add_argument("--no-record", action="store_true", help="print, but write no results")
    options = parser.parse_args()
    results: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for pool in pools(options.data, SIZE)[: 1 if options.quick else None]:
        for model, strategy in contenders():
            seeds = range(1 if options.quick else options.repeats)
            results[pool.name, model, strategy] = [
                figures for seed in seeds for figures in play(pool, model, strategy, seed)
            ]
        part = {key: found for key, found in results.items() if key[0] == pool.name}
        print(table(part), flush=True)
    if not options.no_record:
        write_results("surrogate", figures_of(results))
        write_atomic(RESULTS / "surrogate.md", table(results))


if __name__ == "__main__":
    main()
