"""Design within a composition, a chemical system or a list of elements, under learning."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.run import start_run
from ray_matdesign.rl.workers import roles_of

SMALL = (
    "rl.loops=2", "rl.samples=4", "rl.evaluations=4", "rl.timesteps=4", "rl.accumulate=2",
    "rl.epochs=1", "rl.lr=1e-3", "generator.options={steps: 12}", "relaxation.max_steps=5",
    "stability.require=[]", "prefilter.smact=false", "execution.backend=local",
)  # fmt: skip


@pytest.mark.parametrize(
    ("constraint", "allowed"),
    [
        ("generator.constraints={composition: SrTiO3}", lambda f: f == "SrTiO3"),
        ("generator.constraints={chemical_system: [Mg, O]}", lambda f: {"Mg", "O"} == elements(f)),
        (
            "generator.constraints={allowed_elements: [Na, K, Cl, Br]}",
            lambda f: elements(f) <= {"Na", "K", "Cl", "Br"},
        ),
    ],
    ids=["composition", "system", "elements"],
)
@pytest.mark.parametrize("algorithm", ["matinvent", "guided"])
def test_constraints_hold_while_the_policy_learns(algorithm, constraint, allowed, tmp_path: Path):
    config = load_run_config("density", [*SMALL, constraint, f"rl.algorithm={algorithm}"])
    start_run(config, tmp_path / "run", LocalExecutor(roles_of(config)))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert [row["policy_version"] for row in rows] == [1, 2]  # it did learn
    tables = sorted((tmp_path / "run" / "candidates").glob("*.parquet"))
    formulas = {f for table in tables for f in pq.read_table(table)["formula"].to_pylist()}
    assert formulas
    assert all(map(allowed, formulas)), formulas


def elements(formula: str) -> set[str]:
    from pymatgen.core import Composition

    return {element.symbol for element in Composition(formula).elements}
