"""Training of the band-gap predictor.

    python -m ray_matdesign.rewards.predictors.train_band_gap crystals.csv.gz OUT.safetensors \
        --compositions mp_gap.csv

The first table needs columns ``cif`` and ``band_gap`` (eV), the second ``formula`` and ``band_gap``
or ``target``; its formulas that are in the first are left out, so that what the first ensemble says
of a crystal is never something it remembers. Without ``--compositions`` the packaged first ensemble
is taken.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.dataset import Dataset, load_dataset, split_by_composition
from ray_matdesign.potentials.chgnet import load_network
from ray_matdesign.potentials.chgnet_network import ChgnetNetwork
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.band_gap import BandGapModel, crystal_features, hurdle
from ray_matdesign.rewards.predictors.composition import composition_features, element_table
from ray_matdesign.rewards.predictors.ensemble import Ensemble, fit
from ray_matdesign.rewards.predictors.fingerprint import fingerprints
from ray_matdesign.rewards.predictors.formulas import Formula, formula_of, read_labelled_formulas

PRIOR_HIDDEN = (192, 96)
HIDDEN = (128, 64)
DROPOUT = 0.1
HELD_BACK = 0.1
"""Share of the formulas that is tested on."""
SPLIT_SEED = 0
"""Fixed, so that models compare and validations know what was held back."""


def labelled_crystals(path: Path) -> Dataset:
    """Crystals with a band gap.

    Raises:
        CrystalFileError: The file is damaged or has no ``cif`` column.
        ValueError: No ``band_gap`` column, or something in it that is no number.
    """
    data = load_dataset(path, ["band_gap"])
    return data.subset(np.flatnonzero(np.isfinite(data.labels["band_gap"])))


def fingerprint_table(
    network: ChgnetNetwork, data: Dataset, cache: Path | None
) -> tuple[Dataset, NDArray[np.float32]]:
    """Fingerprints of all crystals that have one.

    Args:
        network: CHGNet.
        data: The crystals.
        cache: Where to keep the fingerprints, ``.npz``, or to find them from an earlier call.

    Returns:
        The crystals described, and their vectors, shape ``(n, FINGERPRINT_LENGTH)``.

    Raises:
        ValueError: The cache is of other crystals.
    """
    if cache is not None and cache.is_file():
        with np.load(cache, allow_pickle=False) as kept:
            if kept["names"].tolist() != list(data.names):
                raise ValueError(f"{cache} holds fingerprints of other crystals: remove it")
            vectors, described = kept["vectors"], kept["described"]
        return data.subset(described), vectors
    # Crystals of like size together waste least.
    order = np.argsort([len(crystal) for crystal in data.crystals], kind="stable")
    found = fingerprints(network, [data.crystals[k] for k in order])
    by_position = dict(zip(order.tolist(), found, strict=True))
    described = np.array([k for k in range(len(data)) if not isinstance(by_position[k], Failed)])
    vectors = np.stack([by_position[k] for k in described.tolist()])
    if cache is not None:
        content = io.BytesIO()
        np.savez(content, names=np.array(data.names), vectors=vectors, described=described)
        write_atomic(cache, content.getvalue())
    return data.subset(described), vectors


def train_prior(
    compositions: Sequence[tuple[Formula, float]],
    table: NDArray[np.float32],
    *,
    members: int,
    epochs: int,
    seed: int,
) -> Ensemble:
    """Trains the ensemble over compositions.

    Args:
        compositions: Formulas with band gaps, eV; polymorphs may repeat one.
        table: Properties of the elements.
        members: Networks.
        epochs: Passes over the formulas.
        seed: Of the networks.
    """
    features = composition_features([dict(formula) for formula, _ in compositions], table)
    labels = torch.tensor([gap for _, gap in compositions], dtype=torch.float32)
    return _trained(
        torch.from_numpy(features),
        labels,
        torch.arange(len(labels)),
        PRIOR_HIDDEN,
        members=members,
        epochs=epochs,
        seed=seed,
    )


def train(
    data: Dataset,
    vectors: NDArray[np.float32],
    prior: Ensemble,
    network: ChgnetNetwork,
    *,
    members: int,
    epochs: int,
    seed: int,
) -> BandGapModel:
    """Trains the ensemble over crystals on what is not held back, and measures it on what is.

    Args:
        data: Crystals with band gaps.
        vectors: Their fingerprints.
        prior: The ensemble over compositions.
        network: CHGNet.
        members: Networks.
        epochs: Passes over the crystals.
        seed: Of the networks.
    """
    table = element_table()
    features = crystal_features(data.crystals, vectors, table, prior)
    labels = torch.tensor(data.labels["band_gap"], dtype=torch.float32)
    learnt, tested = split_by_composition(
        data.crystals, validation_fraction=HELD_BACK, seed=SPLIT_SEED
    )
    ensemble = _trained(
        features,
        labels,
        torch.from_numpy(learnt),
        HIDDEN,
        members=members,
        epochs=epochs,
        seed=seed,
    )
    model = BandGapModel(table, prior, ensemble, network, {})
    found = model.judge(features[tested])
    card: dict[str, Any] = {
        "crystals": len(data),
        "held back": figures(
            labels[tested].numpy(),
            np.array([gap.gap_ev for gap in found]),
            np.array([gap.nonmetal_probability for gap in found]),
        ),
        "settings": {"members": members, "epochs": epochs, "seed": seed, "hidden": HIDDEN},
    }
    return BandGapModel(table, prior, ensemble, network, card)


def figures(
    labels: NDArray[np.floating[Any]],
    gaps_ev: NDArray[np.float64],
    probabilities: NDArray[np.float64],
) -> dict[str, float]:
    """Errors over crystals, all of shape ``(n,)``; gaps in eV.

    ``AUC`` is the probability that a crystal with a gap is given a higher probability of one than
    a crystal without.
    """
    from scipy.stats import rankdata, spearmanr

    errors, open_ = np.abs(gaps_ev - labels), labels > 0.0
    n_open = int(open_.sum())
    wins = rankdata(probabilities)[open_].sum() - n_open * (n_open + 1) / 2
    found = {
        "n": len(labels),
        "non-metals": n_open,
        "MAE, eV": errors.mean(),
        "MAE of non-metals, eV": errors[open_].mean(),
        "MAE of metals, eV": errors[~open_].mean(),
        "AUC, metal or not": wins / (n_open * (len(labels) - n_open)),
        "accuracy, metal or not": ((probabilities >= 0.5) == open_).mean(),
        "Spearman": spearmanr(gaps_ev, labels).statistic,
        "Spearman of non-metals": spearmanr(gaps_ev[open_], labels[open_]).statistic,
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _trained(
    features: Tensor,
    labels: Tensor,
    rows: Tensor,
    hidden: Sequence[int],
    *,
    members: int,
    epochs: int,
    seed: int,
) -> Ensemble:
    torch.manual_seed(seed)
    ensemble = Ensemble(members, (features.shape[1], *hidden, 2), DROPOUT)
    ensemble.standardise(features[rows])
    fit(
        ensemble,
        features,
        rows.repeat(members, 1),
        _hurdle_loss(labels),
        epochs=epochs,
        batch_size=512,
        lr=2e-3,
        weight_decay=0.03,
        seed=seed,
    )
    return ensemble


def _hurdle_loss(labels: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Is there a gap; how large is it if there is one; and how wrong is the product."""

    def loss(outputs: Tensor, rows: Tensor) -> Tensor:
        gaps = labels[rows]
        probabilities, sizes = hurdle(outputs)
        there = (gaps > 0.0).float()
        whether = functional.binary_cross_entropy_with_logits(
            outputs[..., 0], there, reduction="none"
        )
        size = there * (sizes - gaps).abs()
        return (whether + size + (probabilities * sizes - gaps).abs()).mean(dim=1)

    return loss


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; see the module's description."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_matdesign.rewards.predictors.train_band_gap",
        description="Trains the band-gap predictor on a table of crystals.",
    )
    parser.add_argument("crystals", type=Path, help="CSV with columns 'cif' and 'band_gap' (eV)")
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    parser.add_argument("--compositions", type=Path, help="CSV with 'formula' and 'band_gap'")
    parser.add_argument("--fingerprints", type=Path, help="keeps them for another training, .npz")
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = load_network(device=torch.device("cpu"), dtype=torch.float32)
    data, vectors = fingerprint_table(
        network, labelled_crystals(given.crystals), given.fingerprints
    )
    if given.compositions is None:
        prior = BandGapModel.load().prior
    else:
        held = {formula_of(crystal.counts) for crystal in data.crystals}
        rows = [row for row in read_labelled_formulas(given.compositions) if row[0] not in held]
        prior = train_prior(rows, element_table(), members=3, epochs=12, seed=given.seed)
    model = train(
        data, vectors, prior, network, members=given.members, epochs=given.epochs, seed=given.seed
    )
    model.save(given.out)
    for name, value in model.card["held back"].items():
        print(f"{name}: {value}")  # noqa: T201


if __name__ == "__main__":
    main()
