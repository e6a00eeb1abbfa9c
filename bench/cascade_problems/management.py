"""Management: finding things in databases, tables and files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from cascade_problems.crystals import PEROVSKITES, ROCKSALTS, cif, cubic, extxyz, from_cif
from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("management")


def _rows(rng: Random, count: int) -> list[list[Any]]:
    """Formula, structure type, band gap in eV, energy in eV an atom and a year."""
    formulas = rng.sample(sorted({**ROCKSALTS, **PEROVSKITES}), count)
    return [
        [
            formula,
            "perovskite" if formula in PEROVSKITES else "rocksalt",
            round(rng.uniform(0.2, 7.0), 2),
            round(rng.uniform(-8.0, -2.0), 3),
            rng.randint(1990, 2024),
        ]
        for formula in formulas
    ]


def _ase_rows(rng: Random) -> dict[str, Any]:
    return {"rows": _rows(rng, 12), "gap": round(rng.uniform(1.5, 4.5), 2)}


def _ase_file(rows: list[list[Any]], **_: Any) -> dict[str, str]:
    from ase import Atoms
    from ase.db import connect

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crystals.json"
        with connect(path, use_lock_file=False) as database:
            for formula, kind, gap, energy, year in rows:
                cell = cubic(kind, formula, {**ROCKSALTS, **PEROVSKITES}[formula])
                symbols = [site.specie.symbol for site in cell]
                atoms = Atoms(symbols, cell.cart_coords, cell=cell.lattice.matrix, pbc=True)
                database.write(
                    atoms, gap=gap, energy_per_atom=energy, kind=kind, year=year, name=formula
                )
        # ASE stamps rows with the time, which would make the question another one every time.
        content = json.loads(path.read_text())
    for row in content.values():
        if isinstance(row, dict):
            row.update(ctime=26.0, mtime=26.0, unique_id=f"{row['key_value_pairs']['name']:0>32}")
    return {"crystals.json": json.dumps(content)}


@BOOK.problem(
    "ase-database",
    functions="crystals.json is a database of ASE. With `ase.db.connect` and `select`, find the "
    "rows with more than 5 atoms and `gap` above {gap}, and list their `name`s by rising "
    "`energy_per_atom`.",
    goal="crystals.json is an ASE database. List the names (key `name`) of the crystals of more "
    "than 5 atoms in the cell whose band gap (key `gap`, in eV) is above {gap}, the one of "
    "lowest energy per atom (key `energy_per_atom`) first.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("ase", "pymatgen"),
    draw=_ase_rows,
    files=_ase_file,
)
def ase_database(rows: list[list[Any]], gap: float) -> list[str]:
    """Names by energy."""
    from ase.db import connect

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crystals.json"
        path.write_text(_ase_file(rows)["crystals.json"])
        found = list(connect(path).select(f"natoms>5,gap>{gap}"))
    return [str(row.name) for row in sorted(found, key=lambda row: float(row.energy_per_atom))]


def _sql_rows(rng: Random) -> dict[str, Any]:
    rows = _rows(rng, 14)
    years = sorted(row[4] for row in rows)
    return {"rows": rows, "year": years[rng.randint(2, 6)]}


def _sql_file(rows: list[list[Any]], **_: Any) -> dict[str, str]:
    lines = [
        "CREATE TABLE crystal (id INTEGER PRIMARY KEY, formula TEXT, year INTEGER);",
        "CREATE TABLE property (crystal INTEGER, kind TEXT, band_gap REAL, energy REAL);",
    ]
    for number, (formula, kind, gap, energy, year) in enumerate(rows, start=1):
        lines.append(f"INSERT INTO crystal VALUES ({number}, '{formula}', {year});")
        lines.append(f"INSERT INTO property VALUES ({number}, '{kind}', {gap}, {energy});")
    return {"crystals.sql": "\n".join(lines) + "\n"}


@BOOK.problem(
    "sql-average",
    functions="Load crystals.sql into an in-memory database with `sqlite3` (`executescript`), "
    "join its two tables, and compute the mean `band_gap` for each `kind` of the crystals of "
    "{year} or later: a dictionary by kind.",
    goal="crystals.sql is the dump of a database. How large is, on average, the band gap of the "
    "crystals of {year} or later, for each kind of crystal? Answer with a dictionary by kind.",
    answer_type="object",
    unit="eV",
    tolerance=Tolerance(absolute=1e-3),
    packages=(),
    draw=_sql_rows,
    files=_sql_file,
)
def sql_average(rows: list[list[Any]], year: int) -> dict[str, float]:
    """Mean gap by kind, in eV."""
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        database.executescript(_sql_file(rows)["crystals.sql"])
        found = database.execute(
            "SELECT kind, AVG(band_gap) FROM crystal JOIN property ON crystal.id = "
            "property.crystal WHERE year >= ? GROUP BY kind",
            (year,),
        ).fetchall()
    database.close()
    return {str(kind): float(mean) for kind, mean in found}


def _tables(rng: Random) -> dict[str, Any]:
    rows = _rows(rng, 12)
    measured = [[row[0], round(row[2] * rng.uniform(0.8, 1.6), 2)] for row in rng.sample(rows, 9)]
    return {"rows": rows, "measured": measured}


def _csv_files(rows: list[list[Any]], measured: list[list[Any]]) -> dict[str, str]:
    computed = ["formula,kind,gap", *(f"{row[0]},{row[1]},{row[2]}" for row in rows)]
    observed = ["formula,gap_measured", *(f"{formula},{gap}" for formula, gap in measured)]
    return {
        "computed.csv": "\n".join(computed) + "\n",
        "measured.csv": "\n".join(observed) + "\n",
    }


@BOOK.problem(
    "table-errors",
    functions="With pandas, merge computed.csv and measured.csv on `formula` and compute the mean "
    "absolute difference between `gap` and `gap_measured` for each `kind` (`groupby`): a "
    "dictionary by kind.",
    goal="computed.csv holds computed band gaps and measured.csv measured ones, both in eV. How "
    "large is the mean absolute error of the computed gaps for each kind of crystal, over the "
    "crystals that were measured? Answer with a dictionary by kind.",
    answer_type="object",
    unit="eV",
    tolerance=Tolerance(absolute=1e-3),
    packages=("pandas",),
    draw=_tables,
    files=_csv_files,
)
def table_errors(rows: list[list[Any]], measured: list[list[Any]]) -> dict[str, float]:
    """Mean absolute error by kind, in eV."""
    from io import StringIO

    import pandas as pd

    texts = _csv_files(rows, measured)
    tables = [pd.read_csv(StringIO(texts[name])) for name in ("computed.csv", "measured.csv")]
    both = tables[0].merge(tables[1], on="formula")
    errors = (both["gap"] - both["gap_measured"]).abs().groupby(both["kind"]).mean()
    return {str(kind): float(error) for kind, error in errors.items()}


def _archive(rng: Random) -> dict[str, Any]:
    chosen = rng.sample(sorted(ROCKSALTS), 6)
    return {"cells": [[f, round(ROCKSALTS[f] * rng.uniform(0.95, 1.05), 3)] for f in chosen]}


def _archive_file(cells: list[list[Any]]) -> dict[str, str]:
    crystals = [cubic("rocksalt", formula, a).as_dict() for formula, a in cells]
    return {"crystals.json": json.dumps(crystals)}


@BOOK.problem(
    "serialised-densities",
    functions="crystals.json is a list of serialised pymatgen structures. With monty's "
    "`MontyDecoder` (or `Structure.from_dict`), read them and list the reduced formulas of the "
    "three densest (`Structure.density`), the densest first.",
    goal="crystals.json is a list of crystals as pymatgen serialises them (MSON). Which three "
    "are the densest? Answer with a list of their reduced formulas, the densest first.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("pymatgen", "monty"),
    draw=_archive,
    files=_archive_file,
)
def serialised_densities(cells: list[list[Any]]) -> list[str]:
    """Formulas of the densest crystals."""
    from monty.json import MontyDecoder

    crystals = MontyDecoder().decode(_archive_file(cells)["crystals.json"])
    densest = sorted(crystals, key=lambda crystal: -float(crystal.density))[:3]
    return [str(crystal.composition.reduced_formula) for crystal in densest]


def _trajectory(rng: Random) -> dict[str, Any]:
    return {
        "element": rng.choice(("Cu", "Ag", "Au", "Pt", "Al")),
        "seed": rng.randrange(10**6),
        "frames": rng.randint(8, 14),
    }


def _trajectory_file(element: str, seed: int, frames: int) -> dict[str, str]:
    import numpy as np
    from ase.build import bulk
    from ase.calculators.singlepoint import SinglePointCalculator

    rng = np.random.default_rng(seed)
    images = []
    for _ in range(frames):
        atoms = bulk(element, cubic=True)
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        forces = rng.normal(scale=0.5, size=(4, 3)).round(4)
        atoms.calc = SinglePointCalculator(
            atoms, energy=round(float(rng.uniform(-15, -12)), 4), forces=forces
        )
        images.append(atoms)
    return {"trajectory.xyz": extxyz(images)}


@BOOK.problem(
    "trajectory-search",
    functions="With `ase.io.read('trajectory.xyz', index=':')`, find the frame in which the "
    "longest force vector (`get_forces`) is shortest: a dictionary with its index from 0 as "
    "`frame`, that force as `force` in eV/A, and its energy (`get_potential_energy`) as `energy` "
    "in eV.",
    goal="trajectory.xyz records a relaxation. In which frame is the largest force on an atom "
    "smallest? Answer with a dictionary: frame (counted from 0), force (the length of that largest "
    "force, in eV/A) and energy (of that frame, in eV).",
    answer_type="object",
    tolerance=Tolerance(absolute={"frame": 0, "force": 1e-3, "energy": 1e-3}),
    packages=("ase",),
    draw=_trajectory,
    files=_trajectory_file,
)
def trajectory_search(element: str, seed: int, frames: int) -> dict[str, Any]:
    """Frame, force and energy."""
    from io import StringIO

    import numpy as np
    from ase.io import read

    text = _trajectory_file(element, seed, frames)["trajectory.xyz"]
    images = read(StringIO(text), index=":", format="extxyz")
    largest = [float(np.linalg.norm(image.get_forces(), axis=1).max()) for image in images]
    frame = int(np.argmin(largest))
    energy = float(images[frame].get_potential_energy())
    return {"frame": frame, "force": largest[frame], "energy": energy}


def _folder(rng: Random) -> dict[str, Any]:
    table: Mapping[str, float] = {**ROCKSALTS, **PEROVSKITES}
    chosen = rng.sample(sorted(table), 7)
    return {"cells": [[formula, round(table[formula], 3)] for formula in chosen]}


def _folder_files(cells: list[list[Any]]) -> dict[str, str]:
    kinds = ("rocksalt", "perovskite")
    return {
        f"entry_{number}.cif": cif(cubic(kinds[formula in PEROVSKITES], formula, a))
        for number, (formula, a) in enumerate(cells, start=1)
    }


@BOOK.problem(
    "anion-census",
    functions="With pymatgen's `Structure.from_file`, read entry_1.cif to entry_7.cif and count, "
    "with `composition`, how many hold each element: a dictionary by symbol of the elements that "
    "more than one file holds.",
    goal="Which chemical elements occur in more than one of the files entry_1.cif to "
    "entry_7.cif, and in how many files each? Answer with a dictionary by symbol.",
    answer_type="object",
    tolerance=Tolerance(),
    packages=("pymatgen",),
    draw=_folder,
    files=_folder_files,
)
def anion_census(cells: list[list[Any]]) -> dict[str, int]:
    """Files by symbol."""
    texts = _folder_files(cells).values()
    held = [{str(element) for element in from_cif(text).composition} for text in texts]
    counts = {
        element: sum(element in each for each in held) for element in sorted(set().union(*held))
    }
    return {element: count for element, count in counts.items() if count > 1}
