"""Candidates as a table: one row each, with both crystals as codec bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.rl.candidate import Assessment, Candidate, Outcome

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("key", pa.string()),
    ("loop", pa.int32()),
    ("index", pa.int32()),
    ("policy_version", pa.int32()),
    ("formula", pa.string()),
    ("n_atoms", pa.int32()),
    ("outcome", pa.string()),
    ("reason", pa.string()),
    ("valid", pa.bool_()),
    ("stable", pa.bool_()),
    ("unique", pa.bool_()),
    ("novel", pa.bool_()),
    ("sun", pa.bool_()),
    ("energy_ev_per_atom", pa.float64()),
    ("formation_energy_ev_per_atom", pa.float64()),
    ("e_above_hull_ev_per_atom", pa.float64()),
    ("relax_steps", pa.int32()),
    ("relax_converged", pa.bool_()),
    ("displacement_ang", pa.float64()),
    ("evaluated", pa.bool_()),
    ("reward", pa.float64()),
    ("penalised_reward", pa.float64()),
    ("generated", pa.binary()),
    ("relaxed", pa.binary()),
)


def write_candidates(path: Path, candidates: Sequence[Candidate], scorers: Sequence[str]) -> None:
    """Writes candidates as parquet, atomically.

    Args:
        path: Of the file.
        candidates: One row each, in order. Columns that a candidate never reached are null.
        scorers: Names; each has a column ``value_<name>``, in the scorer's unit.
    """
    values = tuple((f"value_{name}", pa.float64()) for name in scorers)
    schema = pa.schema([*_COLUMNS[:-2], *values, *_COLUMNS[-2:]])
    rows = [_row(candidate, scorers) for candidate in candidates]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def _row(candidate: Candidate, scorers: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": candidate.key,
        "loop": candidate.loop,
        "index": candidate.index,
        "policy_version": candidate.policy_version,
        "formula": candidate.generated.formula,
        "n_atoms": len(candidate.generated),
        "outcome": candidate.outcome.value,
        "reason": candidate.reason,
        "valid": candidate.outcome is not Outcome.INVALID,
        "sun": candidate.sun,
        "evaluated": candidate.billed,
        "reward": candidate.reward,
        "penalised_reward": candidate.penalised_reward,
        "generated": encode_crystals([candidate.generated]),
    }
    row |= {f"value_{name}": candidate.values.get(name) for name in scorers}
    if candidate.assessment is not None:
        row |= _assessment_columns(candidate.assessment)
    if candidate.flags is not None:
        row |= asdict(candidate.flags)
    return row


def _assessment_columns(assessment: Assessment) -> dict[str, Any]:
    return {
        "energy_ev_per_atom": assessment.energy_ev_per_atom,
        "formation_energy_ev_per_atom": assessment.formation_energy_ev_per_atom,
        "e_above_hull_ev_per_atom": assessment.e_above_hull_ev_per_atom,
        "relax_steps": assessment.relax_steps,
        "relax_converged": assessment.converged,
        "displacement_ang": assessment.displacement_ang,
        "relaxed": encode_crystals([assessment.relaxed]),
    }
