"""A round's population: the crystals it hands on, with all that is known of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ray_matdesign.agents.saga.inner import transform_of
from ray_matdesign.agents.saga.protocol import Implemented
from ray_matdesign.config.objective import ObjectiveSettings
from ray_matdesign.crystals.atomic import write_atomic
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.objective import reward_of
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rewards.transforms import apply
from ray_matdesign.rl.front import non_dominated

POPULATION_NAME = "population.parquet"


@dataclass(frozen=True)
class Member:
    """A crystal of a population.

    Attributes:
        id: Of its first round, such as ``01-00003-0007-1a2b``.
        round: In which it was found.
        loop: Of that round's run.
        generated: As it was made.
        relaxed: At rest.
        energy_ev_per_atom: At rest.
        formation_energy_ev_per_atom: Against the reference's elements.
        e_above_hull_ev_per_atom: Against the reference's hull.
        reward: By the objectives of the population's round; ``None`` if a value is missing.
        values: By objective, in its unit; what could not be had is missing.
    """

    id: str
    round: int
    loop: int
    generated: Crystal
    relaxed: Crystal
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float
    e_above_hull_ev_per_atom: float
    reward: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def specimen(self) -> Specimen:
        """What scorers get to see."""
        return Specimen(
            self.relaxed,
            self.energy_ev_per_atom,
            self.formation_energy_ev_per_atom,
            self.e_above_hull_ev_per_atom,
        )

    def with_values(self, values: Mapping[str, float], reward: float | None) -> Member:
        """The same crystal, judged anew."""
        return replace(self, values=dict(values), reward=reward)


def rank(members: Sequence[Member]) -> list[Member]:
    """Best reward first; ties by id, members without a reward last."""
    return sorted(members, key=lambda m: (m.reward is None, -(m.reward or 0.0), m.id))


def scores(members: Sequence[Member], objectives: Sequence[Implemented]) -> np.ndarray[Any, Any]:
    """Scores in [0, 1] by candidate objective, shape ``(members, objectives)``; NaN for none."""
    table = np.full((len(members), len(objectives)), np.nan)
    for column, objective in enumerate(objectives):
        ramp = transform_of(objective)
        for row, member in enumerate(members):
            if objective.name in member.values:
                table[row, column] = apply(ramp, member.values[objective.name])
    return table


def reward(
    values: Mapping[str, float], settings: ObjectiveSettings, objectives: Sequence[Implemented]
) -> float | None:
    """Reward of a crystal from its values, as a run would have it.

    Args:
        values: By objective.
        settings: Of the run.
        objectives: Of candidates, in the order of the run's terms.
    """
    return reward_of(settings, [values.get(one.name) for one in objectives])


def on_front(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which rows no other surpasses in every column; one with a missing score never."""
    whole = np.flatnonzero(~np.isnan(table).any(axis=1)) if table.size else np.zeros(0, dtype=int)
    found = np.zeros(len(table), dtype=bool)
    found[whole[non_dominated(table[whole])]] = True
    return found


def write_population(path: Path, members: Sequence[Member], names: Sequence[str]) -> str:
    """Writes a table, atomically: a row each in the order given, a column for each value.

    Args:
        path: Of the parquet file.
        members: Any number.
        names: Of the values; each has a column ``value_<name>``.

    Returns:
        Sha256 of the content.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = pa.float64()
    columns = [
        *(("id", pa.string()), ("round", pa.int32()), ("loop", pa.int32())),
        *(("formula", pa.string()), ("reward", number), ("energy_ev_per_atom", number)),
        ("formation_energy_ev_per_atom", number),
        ("e_above_hull_ev_per_atom", number),
        *((f"value_{name}", number) for name in names),
        *(("generated", pa.binary()), ("relaxed", pa.binary())),
    ]
    rows = [_row(member, names) for member in members]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pa.schema(columns)), buffer, compression="zstd"
    )
    write_atomic(path, buffer.getvalue())
    return _digest(rows)


def read_population(path: Path) -> list[Member]:
    """Reads what :func:`write_population` wrote.

    Raises:
        OSError: There is no such file.
    """
    import pyarrow.parquet as pq

    members = []
    for row in pq.read_table(path).to_pylist():
        values = {
            name.removeprefix("value_"): value
            for name, value in row.items()
            if name.startswith("value_") and value is not None
        }
        (generated,), (relaxed,) = (decode_crystals(row[k]) for k in ("generated", "relaxed"))
        members.append(
            Member(
                id=row["id"],
                round=row["round"],
                loop=row["loop"],
                generated=generated,
                relaxed=relaxed,
                energy_ev_per_atom=row["energy_ev_per_atom"],
                formation_energy_ev_per_atom=row["formation_energy_ev_per_atom"],
                e_above_hull_ev_per_atom=row["e_above_hull_ev_per_atom"],
                reward=row["reward"],
                values=values,
            )
        )
    return members


def _row(member: Member, names: Sequence[str]) -> dict[str, Any]:
    return {
        "id": member.id,
        "round": member.round,
        "loop": member.loop,
        "formula": member.relaxed.formula,
        "reward": member.reward,
        "energy_ev_per_atom": member.energy_ev_per_atom,
        "formation_energy_ev_per_atom": member.formation_energy_ev_per_atom,
        "e_above_hull_ev_per_atom": member.e_above_hull_ev_per_atom,
        **{f"value_{name}": member.values.get(name) for name in names},
        "generated": encode_crystals([member.generated]),
        "relaxed": encode_crystals([member.relaxed]),
    }


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    plain = [
        {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
        for row in rows
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
