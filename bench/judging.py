"""What the generators' benchmark measures: crystals as generated, relaxed, and against the hull.

Everything here takes plain bytes and gives plain numbers, so that it can run in a worker process
and be written to a cache.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import cache
from typing import Any

import numpy as np
from published import Samples

from ray_matdesign.config.schema import PrefilterSettings, RelaxationSettings, StabilitySettings
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.matching import unique_mask
from ray_matdesign.crystals.validity import check, smact_valid
from ray_matdesign.potentials.protocol import EnergyScale, Potential, Relaxed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rl.workers import displacement, relaxer_for
from ray_matdesign.stability.reference import ReferenceSet
from ray_matdesign.stability.sun import sun_flags

CHUNK = 8
RELAXATION = RelaxationSettings()
DEADLINE_S_PER_CRYSTAL = 1800.0
"""Slow, not lost: the machine may be shared, and the step cap already bounds the work."""
Share = dict[str, float]
"""``{value, error}``: a mean or share and its standard error."""


def share(hits: int, of: int) -> Share:
    """A share and its binomial standard error."""
    value = hits / of
    return {"value": value, "error": float(np.sqrt(value * (1.0 - value) / of))}


def mean(values: Sequence[float]) -> Share:
    """A mean and its standard error; not a number where there is nothing."""
    if not values:
        return {"value": float("nan"), "error": float("nan")}
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return {"value": float(np.mean(values)), "error": spread / float(np.sqrt(len(values)))}


def median(values: Sequence[float]) -> Share:
    """A median, and the standard error it has for a normal distribution times 1.2533."""
    if not values:
        return mean(values)
    return {"value": float(np.median(values)), "error": 1.2533 * mean(values)["error"]}


def as_generated(samples: Samples, pool: Executor) -> dict[str, Share]:
    """Validity, uniqueness and novelty of the crystals as they were drawn, all shares of all."""
    asked = len(samples)
    crystals = [crystal for crystal in samples if crystal is not None]
    valid = [c for c in crystals if check(c, PrefilterSettings(smact=False)) is None]
    novel = sum(n for n in pool.map(count_novel, list(_chunks(valid, 100))))
    return {
        "structural validity": share(len(valid), asked),
        "SMACT validity": share(sum(smact_valid(c.counts) for c in crystals), asked),
        "unique": share(sum(unique_mask(valid)), asked),
        "novel": share(novel, asked),
    }


def count_novel(encoded: bytes) -> int:
    """How many of the crystals match no known one."""
    return sum(_reference().novel_mask(decode_crystals(encoded)))


def relax_all(potential: str, samples: Samples, pool: Executor) -> list[dict[str, Any] | None]:
    """Relaxes what is structurally valid and of elements the reference covers.

    Returns:
        For each sample ``{crystal, energy, scale, steps}``, the crystal encoded in hexadecimal,
        energy in eV/atom; ``None`` where it was not to be relaxed or failed.
    """
    rows = [
        row
        for row, crystal in enumerate(samples)
        if crystal is not None
        and check(crystal, PrefilterSettings(smact=False)) is None
        and not _reference().missing_elements(crystal)
    ]
    outcomes: list[dict[str, Any] | None] = [None] * len(samples)
    judged = [crystal for row in rows if (crystal := samples[row]) is not None]
    chunks = list(_chunks(judged, CHUNK))
    relaxed = (one for part in pool.map(relax, [potential] * len(chunks), chunks) for one in part)
    for row, outcome in zip(rows, relaxed, strict=True):
        outcomes[row] = outcome
    return outcomes


def relax(potential: str, encoded: bytes) -> list[dict[str, Any] | None]:
    """Relaxes one chunk in a worker process."""
    crystals = decode_crystals(encoded)
    limits = RELAXATION.model_copy(update={"deadline_s": DEADLINE_S_PER_CRYSTAL * len(crystals)})
    relaxer = relaxer_for(_potential(potential), limits)
    results = relaxer.relax(
        crystals, fmax_ev_per_ang=RELAXATION.fmax_ev_per_ang, max_steps=RELAXATION.max_steps
    )
    return [
        {
            "crystal": encode_crystals([result.crystal]).hex(),
            "energy": result.energy_ev_per_atom,
            "scale": _potential(potential).energy_scale.value,
            "steps": result.steps,
        }
        if isinstance(result, Relaxed)
        else None
        for result in results
    ]


def relaxed_samples(outcomes: Sequence[dict[str, Any] | None]) -> Samples:
    """The crystals at rest of :func:`relax_all`."""
    return [
        None if outcome is None else decode_crystals(bytes.fromhex(outcome["crystal"]))[0]
        for outcome in outcomes
    ]


def verdict(outcomes: Sequence[dict[str, Any] | None], starts: Samples) -> dict[str, Share]:
    """Stability, S.U.N. and the way to rest.

    Args:
        outcomes: Of :func:`relax_all`; shares are of all of them.
        starts: The crystals as generated, from which distances are measured.
    """
    asked = len(outcomes)
    rested = [outcome for outcome in outcomes if outcome is not None]
    pairs = [
        (start, end)
        for start, end in zip(starts, relaxed_samples(outcomes), strict=True)
        if start is not None and end is not None
    ]
    final = [end for _, end in pairs]
    reference = _reference()
    above = []
    for crystal, outcome in zip(final, rested, strict=True):
        scale = EnergyScale(outcome["scale"])
        formation = reference.formation_energy(crystal, outcome["energy"], scale)
        above.append(reference.e_above_hull(crystal, formation))
    flags = sun_flags(final, above, reference, StabilitySettings())
    smact = [smact_valid(crystal.counts) for crystal in final]
    moves = [displacement(start, end) for start, end in pairs]
    matches = [matched_rmsd(start, end) for start, end in pairs]
    return {
        "relaxed": share(len(final), asked),
        "stable": share(sum(f.stable for f in flags), asked),
        "S.U.N.": share(sum(f.sun for f in flags), asked),
        "S.U.N. and SMACT": share(
            sum(f.sun and s for f, s in zip(flags, smact, strict=True)), asked
        ),
        "E_hull, mean": mean(above),
        "E_hull, median": median(above),
        "displacement": mean(moves),
        "RMSD of matched": mean([m for m in matches if m is not None]),
        "matched to relaxed": share(sum(m is not None for m in matches), asked),
        "steps": mean([float(outcome["steps"]) for outcome in rested]),
    }


def matched_rmsd(before: Crystal, after: Crystal) -> float | None:
    """Root mean square distance of matched sites over the mean atomic spacing, or no match.

    The measure and the tolerances of crystal structure prediction (Xie et al., ICLR 2022): the
    cells are scaled to one volume, and the best mapping of sites is taken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pymatgen, on cells of extreme shape
        found = _csp_matcher().get_rms_dist(to_pymatgen(before), to_pymatgen(after))
    return None if found is None else float(found[0])


def _chunks(crystals: Sequence[Crystal], size: int) -> Iterator[bytes]:
    for start in range(0, len(crystals), size):
        yield encode_crystals(crystals[start : start + size])


@cache
def _reference() -> ReferenceSet:
    return ReferenceSet.load("packaged")


@cache
def _potential(name: str) -> Potential:
    import torch

    torch.set_num_threads(1)
    return load_potential(name)


@cache
def _csp_matcher() -> Any:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10.0)
