"""A generator and a potential small enough for tests, found by import path as a user's would be.

The generator (``toy:load``) chooses which fcc metals sit on four sites and how large the cell is;
it obeys the policy protocol with two tensors for weights. The potential (``toy:solid``) is a closed
form, a thousand times as fast as EMT. A loop with them takes a fraction of a second.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_matdesign.config.schema import GeneratorSettings, RunConfig
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.protocol import EVERY
from ray_matdesign.potentials.protocol import EnergyScale, Failed, Potential, SinglePoint
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.stability.build import build_reference

METALS = (13, 28, 29, 46, 47, 78, 79)
"""Al, Ni, Cu, Pd, Ag, Pt, Au."""

VOLUMES_ANG3 = dict(zip(METALS, (16.6, 10.9, 11.8, 14.7, 17.1, 15.1, 17.0), strict=True))
"""Volume of an atom in the pure metal."""

SITES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


class ToyPolicy:
    """Independent choice of a metal on each site; a log-normal lattice parameter."""

    def __init__(self) -> None:
        self.version = 0
        self.logits = torch.nn.Parameter(torch.zeros(len(METALS)))
        self.log_a = torch.nn.Parameter(torch.tensor(0.02))

    def sample(
        self, n: int, *, seed: int, condition: Mapping[str, float] | None = None
    ) -> list[Crystal]:
        rng = np.random.default_rng(seed)
        probabilities = torch.softmax(self.logits.detach().double(), 0).numpy()
        types = rng.choice(METALS, size=(n, len(SITES)), p=probabilities / probabilities.sum())
        sizes = np.exp(self.log_a.item() + 0.02 * rng.standard_normal(n))
        return [_fcc(z, size) for z, size in zip(types, sizes, strict=True)]

    def encode(self, crystals: Sequence[Crystal]) -> tuple[torch.Tensor, torch.Tensor]:
        types = torch.tensor([[METALS.index(int(z)) for z in c.numbers] for c in crystals])
        log_a = torch.tensor([_log_size(c) for c in crystals])
        return types, log_a

    def denoising_losses(
        self,
        batch: tuple[torch.Tensor, torch.Tensor],
        times: torch.Tensor,
        prior: ToyPolicy,
        rng: torch.Generator,
        rows: slice = EVERY,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        types, log_a = batch
        masked = torch.rand(types.shape, generator=rng) < times[:, None]
        surprise = -torch.log_softmax(self.logits, 0)[types]
        stretched = log_a + 0.02 * times * torch.randn(log_a.shape, generator=rng)
        denoise = (surprise * masked).sum(1) + (self.log_a - stretched) ** 2
        away = ((self.logits - prior.logits.detach()) ** 2).mean()
        away = away + (self.log_a - prior.log_a.detach()) ** 2
        return denoise[rows], away.expand(len(types))[rows]

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return iter((self.logits, self.log_a))

    def weights(self) -> dict[str, NDArray[np.generic]]:
        return {
            "logits": self.logits.detach().numpy().copy(),
            "log_a": self.log_a.detach().numpy().copy(),
        }

    def load_weights(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        with torch.no_grad():
            self.logits.copy_(torch.from_numpy(np.array(weights["logits"])))
            self.log_a.copy_(torch.from_numpy(np.array(weights["log_a"])))
        self.version = version


class ToySolid:
    """Murnaghan's equation about Vegard's volume; aluminium mixes badly, the others well."""

    name = "toy-solid"
    elements = frozenset(METALS)
    energy_scale = EnergyScale.OWN

    def evaluate(self, crystals: Sequence[Crystal]) -> list[SinglePoint | Failed]:
        return [self._point(crystal) for crystal in crystals]

    def _point(self, crystal: Crystal) -> SinglePoint:
        modulus, b = 0.2, 4.0  # eV/A^3 (32 GPa), and its pressure derivative
        ratio = _vegard_volume(crystal.numbers) / crystal.volume
        energy = modulus * crystal.volume / b * (ratio**b / (b - 1) + 1) / len(crystal)
        energy -= modulus * _vegard_volume(crystal.numbers) / (b - 1) / len(crystal)
        shares = np.array([np.mean(crystal.numbers == z) for z in METALS])
        energy += 0.6 * shares[0] * (1 - shares[0]) - 0.05 * (1 - (shares**2).sum())
        stress = -np.eye(3) * modulus / b * (ratio**b - 1.0)
        return SinglePoint(energy - 3.0, np.zeros((len(crystal), 3)), stress)


class CountedDensity:
    """Density that notes every paid evaluation in a file, for counting them across processes.

    It refuses one formula, and it kills its process, once, where the log has as many lines as the
    file ``<log>.kill`` says.
    """

    name, unit, source, version = "density", "g/cm3", "relaxed cell", "1"

    def __init__(self, log: str, refuse: str, cost: CostClass) -> None:
        self.cost = cost
        self._log = log
        self._refuse = refuse

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        self._perhaps_die()
        with open(self._log, "a") as file:
            for specimen in specimens:
                file.write(f"{specimen.crystal.formula} {specimen.crystal.volume:.9f}\n")
            file.flush()
            os.fsync(file.fileno())
        return [
            Failed(f"{self._refuse} is refused")
            if s.crystal.formula == self._refuse
            else s.crystal.density
            for s in specimens
        ]

    def _perhaps_die(self) -> None:
        order = Path(f"{self._log}.kill")
        log = Path(self._log)
        paid = len(log.read_text().splitlines()) if log.exists() else 0
        if order.exists() and paid >= int(order.read_text()):
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class Spread:
    """Mean squared distance of the atoms from the middle of the cell, Angstrom^2."""

    name, unit, source, version = "spread", "Angstrom^2", "relaxed cell", "1"
    cost = CostClass.MLIP

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        return [
            float(np.square((s.crystal.frac_coords - 0.5) @ s.crystal.lattice).sum(1).mean())
            for s in specimens
        ]


def _vegard_volume(numbers: NDArray[np.int64]) -> float:
    return float(sum(VOLUMES_ANG3[int(z)] for z in numbers))


def _log_size(crystal: Crystal) -> float:
    return float(np.log(crystal.volume / _vegard_volume(crystal.numbers)) / 3)


def _fcc(numbers: NDArray[np.int64], size: float) -> Crystal:
    return Crystal(np.eye(3) * _vegard_volume(numbers) ** (1 / 3) * size, SITES, numbers)


def solid() -> ToySolid:
    return ToySolid()


def write_reference(folder: Path, potential: Potential, metals: Sequence[int] = METALS) -> None:
    """A reference set of pure metals, on the potential's own energy scale."""
    crystals = [_fcc(np.full(4, z), 1.0) for z in metals]
    points = potential.evaluate(crystals)
    energies = {
        z: point.energy_ev_per_atom
        for z, point in zip(metals, points, strict=True)
        if isinstance(point, SinglePoint)
    }
    known = [(crystal.formula, crystal) for crystal in crystals]
    build_reference(known, [], energies, folder)


def config(reference: Path, **changes: Any) -> RunConfig:
    """A small density campaign; ``changes`` replace dotted settings, ``{"rl.loops": 3}``."""
    settings: dict[str, Any] = {
        "name": "toy",
        "generator": {"name": "toy:load", "batch_size": 8},
        "potential": {"name": "toy:solid"},
        "relaxation": {"batch_size": 4, "fmax_ev_per_ang": 0.2},
        "prefilter": {"smact": False},
        "stability": {"reference": str(reference)},
        "objective": {
            "terms": [
                {
                    "scorer": "density",
                    "transform": {"kind": "target", "target": 18.0, "max_distance": 10.0},
                }
            ]
        },
        "rl": {
            "loops": 4, "samples": 16, "evaluations": 8, "timesteps": 20, "accumulate": 5,
            "epochs": 2, "lr": 0.05,
        },
    }  # fmt: skip
    for key, value in changes.items():
        *path, last = key.split(".")
        place = settings
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return RunConfig.model_validate(settings)


def load(settings: GeneratorSettings) -> ToyPolicy:
    return ToyPolicy()


def counted_density(
    bench: Bench, log: str, refuse: str = "", cost: str = "cheap"
) -> CountedDensity:
    return CountedDensity(log, refuse, CostClass(cost))


def spread(bench: Bench) -> Spread:
    return Spread()
