"""Crystals that others have published, as the generators' benchmark wants them.

DiffCSP (Jiao et al., NeurIPS 2023) and CrystalFormer (Cao et al., arXiv:2403.15734), both trained
on MP-20: samples as their authors put them up (Apache-2.0). And real crystals that training holds
back.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np

from ray_matdesign.config.schema import TrainSettings
from ray_matdesign.crystals.cif import lattice_from_parameters
from ray_matdesign.crystals.crystal import Crystal, InvalidCrystal
from ray_matdesign.crystals.dataset import load_dataset, split_by_composition
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.files import read_csv_rows
from ray_matdesign.crystals.geometry import nearest_contacts
from ray_matdesign.generators.diffusion.sampler import SamplerOptions

DATA = Path(
    os.environ.get("RAY_MATDESIGN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
Samples = list[Crystal | None]
"""In the order drawn; ``None`` where the arrays are no crystal."""


def diffcsp(most: int) -> Samples:
    """The first samples of DiffCSP, at most 10,000."""
    import torch

    stored = torch.load(
        DATA / "peers" / "gen_DiffCSP_mp_20_10k.pt", map_location="cpu", weights_only=True
    )
    sizes = stored["num_atoms"].flatten().tolist()
    ends = np.cumsum(sizes)
    lengths, angles = stored["lengths"].view(-1, 3), stored["angles"].view(-1, 3)
    coords, types = stored["frac_coords"].view(-1, 3), stored["atom_types"].flatten()
    samples: Samples = []
    for row in range(min(most, len(sizes))):
        atoms = slice(int(ends[row] - sizes[row]), int(ends[row]))
        lattice = lattice_from_parameters(*lengths[row].tolist(), *angles[row].tolist())
        try:
            samples.append(Crystal(lattice, coords[atoms].numpy(), types[atoms].numpy()))
        except InvalidCrystal:
            samples.append(None)
    return samples


def diffcsp_in_contact(most: int) -> Samples:
    """DiffCSP's first samples that the embedded generator's bounds on contacts let through."""
    bounds = SamplerOptions()
    samples: Samples = []
    for crystal in diffcsp(10_000):
        if len(samples) == most:
            break
        if crystal is not None:
            contacts = nearest_contacts(crystal)
            if contacts.min() >= bounds.min_contact and contacts.max() <= bounds.max_contact:
                samples.append(crystal)
    return samples


def crystalformer(most: int) -> Samples:
    """The first samples of CrystalFormer, at most 999, kept as Python literals.

    Raises:
        ValueError: An entry is no such dictionary, or has a site of several elements.
    """
    samples: Samples = []
    for row in read_csv_rows(DATA / "peers" / "gen_CrystalFormer_mp_20.csv.gz"):
        if len(samples) == most:
            break
        structure = ast.literal_eval(row["cif"])
        sites = structure["sites"]
        if any(len(site["species"]) != 1 for site in sites):
            raise ValueError(f"CrystalFormer's sample {len(samples)} has a disordered site")
        try:
            samples.append(
                Crystal(
                    structure["lattice"]["matrix"],
                    [site["abc"] for site in sites],
                    [ATOMIC_NUMBERS[site["species"][0]["element"]] for site in sites],
                )
            )
        except InvalidCrystal:
            samples.append(None)
    return samples


def held_back(most: int) -> Samples:
    """Real crystals of formulas that training holds back, within 0.1 eV/atom of the hull."""
    dataset = load_dataset(DATA / "crystals_le20.csv.gz", ("e_above_hull",))
    settings = TrainSettings()
    _, rows = split_by_composition(
        dataset.crystals, validation_fraction=settings.validation_fraction, seed=settings.seed
    )
    limit = settings.max_e_above_hull_ev_per_atom
    near = [row for row in rows.tolist() if dataset.labels["e_above_hull"][row] <= limit]
    chosen = np.random.default_rng(0).permutation(near)[:most]
    return [dataset.crystals[row] for row in chosen.tolist()]


PUBLISHED = {
    "diffcsp": diffcsp,
    "diffcsp-in-contact": diffcsp_in_contact,
    "crystalformer": crystalformer,
    "held-back": held_back,
}
"""Sources by name: each takes how many crystals are wanted at most."""
