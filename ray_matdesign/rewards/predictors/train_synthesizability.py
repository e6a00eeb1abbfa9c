"""Training of the synthesizability classifiers.

    python -m ray_matdesign.rewards.predictors.train_synthesizability OUT.safetensors \
        --known icsd.csv --known measured_gaps.csv --unlabelled materials_project.csv

Tables need a ``formula`` column. Known compounds are taken out of the unlabelled ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ray_matdesign.rewards.predictors.composition import composition_features, element_table
from ray_matdesign.rewards.predictors.ensemble import Ensemble, fit
from ray_matdesign.rewards.predictors.formulas import (
    Formula,
    altered,
    held_back,
    made_up,
    read_formulas,
)
from ray_matdesign.rewards.predictors.synthesizability import SynthesizabilityModel

HIDDEN = (160, 64)
DROPOUT = 0.1
HELD_BACK = 0.1
"""Share of the formulas of every kind that is tested on."""
MADE_UP, ALTERED = "made up", "altered"


def gather(
    known: Sequence[Path], unlabelled: Sequence[Path], *, seed: int
) -> dict[str, list[Formula]]:
    """Formulas of every kind, each ascending and none in two kinds.

    Args:
        known: Tables of compounds known from experiment.
        unlabelled: Tables of formulas of which nobody knows.
        seed: Of the formulas that are made up, about as many of either sort as are known.

    Returns:
        ``known``, one entry per unlabelled table under its file's name, ``made up`` and
        ``altered``.

    Raises:
        ValueError: A table that cannot be read.
    """
    labelled = set().union(*(read_formulas(path) for path in known))
    kinds = {"known": sorted(labelled)}
    taken = set(labelled)
    for path in unlabelled:
        fresh = read_formulas(path) - taken
        kinds[path.name.split(".")[0]] = sorted(fresh)
        taken |= fresh
    kinds[MADE_UP] = made_up(len(labelled), taken, seed=seed)
    taken.update(kinds[MADE_UP])
    kinds[ALTERED] = altered(len(labelled), kinds["known"], taken, seed=seed)
    return kinds


def bags(
    rows: Mapping[str, NDArray[np.int64]], members: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """What each network learns from: all known formulas and as many of the others.

    A quarter of these is made up, a quarter altered, and the tables share the other half alike.

    Args:
        rows: Positions of the formulas of each kind.
        members: Networks.
        rng: Draws, without replacement where there are enough.

    Returns:
        Positions, shape ``(members, about twice as many as are known)``.
    """
    tables = [kind for kind in rows if kind not in ("known", MADE_UP, ALTERED)]
    shares = {MADE_UP: 0.25, ALTERED: 0.25} | {kind: 0.5 / len(tables) for kind in tables}
    drawn = []
    for _ in range(members):
        parts = [rows["known"]]
        for kind, share in shares.items():
            n = round(share * len(rows["known"]))
            parts.append(rng.choice(rows[kind], n, replace=n > len(rows[kind])))
        drawn.append(np.concatenate(parts))
    return np.stack(drawn)


def train(
    kinds: Mapping[str, Sequence[Formula]], *, members: int, epochs: int, seed: int
) -> SynthesizabilityModel:
    """Trains the classifiers on what is not held back, and measures them on what is.

    Args:
        kinds: From :func:`gather`.
        members: Networks.
        epochs: Passes of each over its bag.
        seed: Of the split, the draws and the networks.
    """
    table = element_table()
    formulas = [formula for kind in kinds.values() for formula in kind]
    features = torch.from_numpy(composition_features([dict(f) for f in formulas], table))
    tested = np.array([held_back(formula, HELD_BACK, seed=seed) for formula in formulas])
    kind_of = np.repeat(list(kinds), [len(kind) for kind in kinds.values()])
    rows = {kind: np.flatnonzero((kind_of == kind) & ~tested) for kind in kinds}
    labels = torch.from_numpy((kind_of == "known").astype(np.float32))

    def loss(outputs: Tensor, batch: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            outputs[..., 0], labels[batch], reduction="none"
        ).mean(dim=1)

    torch.manual_seed(seed)
    ensemble = Ensemble(members, (features.shape[1], *HIDDEN, 1), DROPOUT)
    ensemble.standardise(features)
    bagged = torch.from_numpy(bags(rows, members, np.random.default_rng(seed)))
    fit(
        ensemble,
        features,
        bagged,
        loss,
        epochs=epochs,
        batch_size=512,
        lr=3e-3,
        weight_decay=0.02,
        seed=seed,
    )
    model = SynthesizabilityModel(table, ensemble, {})
    votes = model.votes([dict(formulas[i]) for i in np.flatnonzero(tested)]).mean(axis=0)
    card: dict[str, Any] = {
        "formulas": {kind: len(members_) for kind, members_ in kinds.items()},
        "held back": figures(votes, kind_of[tested]),
        "settings": {"members": members, "epochs": epochs, "seed": seed, "hidden": HIDDEN},
    }
    return SynthesizabilityModel(table, ensemble, card)


def figures(scores: NDArray[np.float32], kinds: NDArray[np.str_]) -> dict[str, dict[str, float]]:
    """Of each kind, the share above 0.5, and how well known ones are told from it.

    ``AUC`` is the probability that a known compound scores higher than one of the kind.
    """
    from scipy.stats import rankdata

    known = scores[kinds == "known"]
    found: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(kinds.tolist()):
        chosen = scores[kinds == kind]
        found[kind] = {"n": len(chosen), "share above 0.5": round(float((chosen > 0.5).mean()), 4)}
        if kind != "known":
            ranks = rankdata(np.concatenate([known, chosen]))[: len(known)]
            wins = ranks.sum() - len(known) * (len(known) + 1) / 2
            found[kind]["AUC"] = round(float(wins / (len(known) * len(chosen))), 4)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; see the module's description."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_matdesign.rewards.predictors.train_synthesizability",
        description="Trains synthesizability classifiers on tables with a 'formula' column.",
    )
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    parser.add_argument("--known", type=Path, action="append", required=True)
    parser.add_argument("--unlabelled", type=Path, action="append", required=True)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kinds = gather(given.known, given.unlabelled, seed=given.seed)
    model = train(kinds, members=given.members, epochs=given.epochs, seed=given.seed)
    model.save(given.out)
    for kind, values in model.card["held back"].items():
        print(f"{kind}: {values}")  # noqa: T201


if __name__ == "__main__":
    main()
