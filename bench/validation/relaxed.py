"""Crystals relaxed and scored as a run does it, in the workers of a process pool."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.schema import RelaxationSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.scorer import Bench, Scorer, Specimen
from ray_matdesign.rl.workers import relaxer_for

RELAXATION = RelaxationSettings()


def score_relaxed(
    factory: str, crystals: Sequence[Crystal], pool: ProcessPoolExecutor, **options: str
) -> list[float | Failed]:
    """Relaxes and scores each crystal, one at a time in each worker; same order and length.

    Args:
        factory: Import path of the scorer's ``make``; it may use the bench's potential alone.
        crystals: Unrelaxed.
        pool: Of single-threaded workers.
        **options: Of the scorer.
    """
    return list(pool.map(partial(_score, factory, tuple(options.items())), crystals))


@cache
def _potential() -> Potential:
    return load_potential("chgnet")


@cache
def _scorer(factory: str, options: tuple[tuple[str, str], ...]) -> Scorer:
    bench = Bench(_potential(), None)  # type: ignore[arg-type]
    scorer: Scorer = load_object(factory, {}, what="scorer")(bench, **dict(options))
    return scorer


def _score(factory: str, options: tuple[tuple[str, str], ...], crystal: Crystal) -> float | Failed:
    relaxer = relaxer_for(_potential(), RELAXATION)
    (outcome,) = relaxer.relax(
        [crystal], fmax_ev_per_ang=RELAXATION.fmax_ev_per_ang, max_steps=RELAXATION.max_steps
    )
    if isinstance(outcome, Failed):
        return outcome
    specimen = Specimen(outcome.crystal, outcome.energy_ev_per_atom, 0.0, 0.0)
    return _scorer(factory, options).score([specimen])[0]
