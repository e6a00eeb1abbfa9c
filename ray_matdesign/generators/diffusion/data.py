"""Training crystals as tensors, ready once and for all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import split_by_composition
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.generators.diffusion.batch import CrystalBatch, ScaffoldBatch, collate
from ray_matdesign.generators.diffusion.known import KnownCrystals
from ray_matdesign.generators.diffusion.scaffolds import ScaffoldLibrary, collect_scaffolds
from ray_matdesign.generators.diffusion.symmetry import SymmetricCrystal, symmetrise

PREPARED_NAME = "prepared.safetensors"
PREPARING_SETTINGS = (
    *("max_atoms", "max_e_above_hull_ev_per_atom", "excluded_elements"),
    *("validation_fraction", "seed"),
)
"""Settings that decide what a training set holds."""
_VALIDATION_CRYSTALS = 500
_CRYSTALS_WORTH_A_PROCESS = 200
"""About as many are treated while a process starts."""


class PreparedSetError(ValueError):
    """A file of prepared crystals that is damaged, or that holds others than those asked for."""


@dataclass(frozen=True)
class LabelledCrystals:
    """Crystals in memory as one padded batch, with the properties to condition on.

    Attributes:
        crystals: The batch.
        labels: Shape ``(crystals, conditions)``; NaN where unknown.
    """

    crystals: CrystalBatch
    labels: Tensor

    def __len__(self) -> int:
        return len(self.crystals)


@dataclass(frozen=True)
class TrainingSet:
    """What a training run reads.

    Attributes:
        train: To learn from.
        validation: Held back, by formula.
        scaffolds: Scaffolds of the training crystals.
        conditions: Names of the labels' columns.
        origin: Where the crystals are from, JSON values: the settings they were chosen by, and what
            the caller knows of their source.
    """

    train: LabelledCrystals
    validation: LabelledCrystals
    scaffolds: ScaffoldLibrary
    conditions: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Tells one set of training crystals and labels from another."""
        batch = self.train.crystals
        digest = hashlib.blake2b(digest_size=16)
        for tensor in (batch.strain, batch.free, batch.types, self.train.labels):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def known(self) -> KnownCrystals:
        """The crystals of both sides."""
        return KnownCrystals.of([self.train.crystals, self.validation.crystals])

    def check_settings(self, settings: TrainSettings, where: Path) -> None:
        """Checks that the crystals were chosen by these settings.

        Args:
            settings: Those asked for.
            where: File the set is from, for the message.

        Raises:
            PreparedSetError: They were not; names the setting.
        """
        then, now = self.origin["settings"], chosen_by(settings)
        for name in PREPARING_SETTINGS:
            if then[name] != now[name]:
                raise PreparedSetError(
                    f"{where} was prepared with {name}={then[name]}, not {now[name]}: prepare the "
                    f"crystals anew in another folder, or ask for the same"
                )

    def save(self, path: Path) -> None:
        """Writes everything into one safetensors file, atomically."""
        tensors = {}
        for side in ("train", "validation"):
            part: LabelledCrystals = getattr(self, side)
            batch = part.crystals
            tensors[f"{side}.labels"] = part.labels
            for name in ("strain", "free", "types"):
                tensors[f"{side}.{name}"] = getattr(batch, name)
            for part_of in fields(ScaffoldBatch):
                tensors[f"{side}.scaffold.{part_of.name}"] = getattr(batch.scaffold, part_of.name)
        notes = {
            "library": json.dumps(self.scaffolds.to_json(), separators=(",", ":")),
            "conditions": json.dumps(self.conditions),
            "origin": json.dumps(dict(self.origin)),
        }
        write_atomic(path, save({k: v.contiguous() for k, v in tensors.items()}, notes))

    @staticmethod
    def load(path: Path) -> TrainingSet:
        """Inverse of :meth:`save`.

        Raises:
            PreparedSetError: The file is damaged, or no such set.
        """
        try:
            with safe_open(path, framework="pt") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
                notes = stored.metadata() or {}
        except SafetensorError as error:
            raise PreparedSetError(f"{path} is damaged: {error}") from error
        if missing := [key for key in ("library", "conditions", "origin") if key not in notes]:
            raise PreparedSetError(f"{path} is no set of prepared crystals: no {missing[0]} in it")

        def side(name: str) -> LabelledCrystals:
            scaffold = ScaffoldBatch(
                **{f.name: tensors[f"{name}.scaffold.{f.name}"] for f in fields(ScaffoldBatch)}
            )
            state = (tensors[f"{name}.{part}"] for part in ("strain", "free", "types"))
            return LabelledCrystals(CrystalBatch(scaffold, *state), tensors[f"{name}.labels"])

        return TrainingSet(
            train=side("train"),
            validation=side("validation"),
            scaffolds=ScaffoldLibrary.from_json(json.loads(notes["library"])),
            conditions=tuple(json.loads(notes["conditions"])),
            origin=json.loads(notes["origin"]),
        )


def chosen_by(settings: TrainSettings) -> dict[str, Any]:
    """The settings that decide what a training set holds, as JSON values."""
    values = settings.model_dump(mode="json")
    return {name: values[name] for name in PREPARING_SETTINGS}


def prepare(
    crystals: Sequence[Crystal],
    settings: TrainSettings,
    labels: Mapping[str, NDArray[np.float64]] | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingSet:
    """Picks the crystals that qualify, finds their symmetry, and holds some formulas back.

    Args:
        crystals: Any; those of excluded elements or too many atoms are left out.
        settings: Hyper-parameters.
        labels: Properties to condition on, each of shape ``(len(crystals),)``; NaN where unknown.
        origin: What is known of their source, JSON values; written into the set.
        processes: How many look for symmetry, at most; finding it takes some 10 ms a crystal.
        progress: Called as crystals are done, with their number and how many there are.

    Raises:
        ValueError: One side would be empty, or a property is known of no crystal or infinite.
    """
    excluded = {ATOMIC_NUMBERS[symbol] for symbol in settings.excluded_elements}
    chosen = [
        k
        for k, crystal in enumerate(crystals)
        if len(crystal) <= settings.max_atoms and not (crystal.elements & excluded)
    ]
    train, held_back = split_by_composition(
        [crystals[k] for k in chosen],
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
    )
    if len(train) < settings.batch_size or not len(held_back):
        raise ValueError(
            f"training needs at least {settings.batch_size} crystals and one to validate on, "
            f"got {len(train)} and {len(held_back)} of {len(chosen)} that qualify"
        )
    names = tuple(labels or ())
    columns = np.full((len(crystals), len(names)), np.nan, dtype=np.float32)
    for k, name in enumerate(names):
        columns[:, k] = (labels or {})[name]
    sides = [[chosen[k] for k in rows] for rows in (train, held_back[:_VALIDATION_CRYSTALS])]
    _check_labels(columns[sides[0]], names)
    found = list(_symmetric([crystals[k] for side in sides for k in side], processes, progress))
    learnt, validation = found[: len(train)], found[len(train) :]
    return TrainingSet(
        train=LabelledCrystals(collate(learnt), torch.from_numpy(columns[sides[0]])),
        validation=LabelledCrystals(collate(validation), torch.from_numpy(columns[sides[1]])),
        scaffolds=collect_scaffolds(crystal.scaffold for crystal in learnt),
        conditions=names,
        origin={**(origin or {}), "settings": chosen_by(settings)},
    )


def _check_labels(columns: NDArray[np.float32], names: Sequence[str]) -> None:
    for name, values in zip(names, columns.T, strict=True):
        if np.isnan(values).all():
            raise ValueError(f"condition {name}: no crystal to train on has a value")
        if np.isinf(values).any():
            raise ValueError(f"condition {name}: a crystal has an infinite value")


def _symmetric(
    crystals: Sequence[Crystal], processes: int, progress: Callable[[int, int], None]
) -> Iterator[SymmetricCrystal]:
    """The symmetry of each crystal, found in several processes where that pays."""
    processes = min(processes, math.ceil(len(crystals) / _CRYSTALS_WORTH_A_PROCESS))
    if processes == 1:
        for done, crystal in enumerate(crystals, start=1):
            yield symmetrise(crystal)
            progress(done, len(crystals))
        return
    # A forked process would inherit torch's locks, held by threads it does not have.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, found in enumerate(pool.map(symmetrise, crystals, chunksize=32), start=1):
            yield found
            progress(done, len(crystals))
