"""The cache of values: never another crystal's, never half of one, whatever is killed."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.cache import CacheError, ScoreCache, specimen_key
from ray_matdesign.rewards.scorer import Specimen


def specimen(crystal: Crystal, energy: float = -3.0, formation: float = -1.0) -> Specimen:
    return Specimen(crystal, energy, formation, 0.02)


def rutile(a: float = 4.594, c: float = 2.959, u: float = 0.305) -> Crystal:
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [u, u, 0], [-u, -u, 0]]
    places += [[0.5 + u, 0.5 - u, 0.5], [0.5 - u, 0.5 + u, 0.5]]
    return Crystal(np.diag([a, a, c]), places, [22, 22, 8, 8, 8, 8])


def close_packed(stacking: str) -> Crystal:
    """Layers of one metal; stacking variants have the same neighbours."""
    offsets = {"A": (0, 0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    n, a = len(stacking), 2.5
    cell = [[a, 0, 0], [-a / 2, a * math.sqrt(3) / 2, 0], [0, 0, n * a * math.sqrt(2 / 3)]]
    places = [(*offsets[layer], k / n) for k, layer in enumerate(stacking)]
    return Crystal(cell, places, [27] * n)


@st.composite
def crystals(draw):
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lattice = np.diag(rng.uniform(3, 9, 3)) + rng.uniform(-1, 1, (3, 3))
    return Crystal(lattice, rng.uniform(-0.5, 1.5, (n, 3)), rng.integers(1, 90, n))


def shelf(folder, version="1", options=None, instruments=None):
    cache = ScoreCache(folder, instruments or {"potential": {"name": "chgnet"}})
    return cache.shelf("bulk_modulus", version, "package.module:make", options or {})


@given(crystals(), st.randoms())
def test_order_orientation_and_whole_cells_do_not_make_another_crystal(crystal, random):
    order = list(range(len(crystal)))
    random.shuffle(order)
    turned, _ = np.linalg.qr(np.random.default_rng(random.randrange(2**32)).normal(size=(3, 3)))
    shifts = np.array([[random.randrange(-2, 3) for _ in range(3)] for _ in order])
    # On the grid itself, so that rounding cannot fall either way.
    grid = np.round(crystal.frac_coords, 4)
    here = Crystal(crystal.lattice, grid, crystal.numbers)
    there = Crystal(here.lattice @ turned, grid + shifts, crystal.numbers).permuted(order)
    unit = here.lattice / here.lengths[:, None]
    rounded = np.concatenate([here.lengths / 1e-3, (unit @ unit.T).ravel() / 1e-4])
    assume(np.abs(rounded % 1 - 0.5).min() > 1e-6)
    assert specimen_key(specimen(here)) == specimen_key(specimen(there))


@given(crystals(), st.integers(0, 2), st.sampled_from([-1.0, 1.0]))
def test_a_crystal_that_differs_anywhere_is_another(crystal, axis, sign):
    key = specimen_key(specimen(crystal))
    atoms = crystal.frac_coords.copy()
    atoms[-1, axis] += sign * 3e-4
    numbers = crystal.numbers.copy()
    numbers[0] += 1
    stretched = crystal.lattice.copy()
    stretched[axis] *= 1.001
    others = [
        Crystal(crystal.lattice, atoms, crystal.numbers),
        Crystal(crystal.lattice, crystal.frac_coords, numbers),
        Crystal(stretched, crystal.frac_coords, crystal.numbers),
    ]
    assert key not in {specimen_key(specimen(other)) for other in others}


def test_stacking_variants_are_kept_apart():
    variants = [close_packed(s) for s in ("ABACBC", "ABCACB", "ABABAB", "ABCABC", "ABCBAC")]
    assert len({specimen_key(specimen(c)) for c in variants}) == 5


def test_energies_that_a_scorer_may_use_are_part_of_the_key():
    keys = {
        specimen_key(specimen(rutile(), -3.0, -1.0)),
        specimen_key(specimen(rutile(), -3.0, -1.001)),
        specimen_key(specimen(rutile(), -3.001, -1.0)),
        specimen_key(specimen(rutile(), math.nan, math.nan)),
    }
    assert len(keys) == 4


def test_a_value_is_found_by_another_process_and_exactly(tmp_path):
    first = shelf(tmp_path)
    crystals_ = [specimen(rutile()), specimen(rutile(a=4.6))]
    assert first.recall(crystals_) == [None, None]
    first.keep(crystals_, [0.1 + 0.2, Failed("deadline passed")])
    assert shelf(tmp_path).recall(crystals_) == [0.1 + 0.2, None]


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2"},
        {"options": {"points": 9}},
        {"instruments": {"potential": {"name": "sevennet"}}},
    ],
)
def test_another_version_option_or_potential_has_values_of_its_own(tmp_path, other):
    shelf(tmp_path).keep([specimen(rutile())], [210.0])
    assert shelf(tmp_path, **other).recall([specimen(rutile())]) == [None]
    assert shelf(tmp_path).recall([specimen(rutile())]) == [210.0]


def test_the_folder_says_what_its_values_depend_on(tmp_path):
    shelf(tmp_path, options={"points": 9}).keep([specimen(rutile())], [210.0])
    (about,) = tmp_path.glob("bulk_modulus-1-*/scorer.json")
    facts = json.loads(about.read_text())
    assert facts["options"] == {"points": 9}
    assert facts["instruments"] == {"potential": {"name": "chgnet"}}
    (entry,) = about.parent.glob("*/*.json")
    assert json.loads(entry.read_text()) == {"formula": "TiO2", "value": 210.0}


@pytest.mark.parametrize("damage", [b"", b'{"formula": "TiO2", "val', b"\x00" * 40, b"[]", b"{}"])
def test_a_damaged_entry_is_computed_again_and_told(tmp_path, caplog, damage):
    shelf(tmp_path).keep([specimen(rutile())], [210.0])
    (entry,) = tmp_path.glob("bulk_modulus-1-*/*/*.json")
    entry.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert shelf(tmp_path).recall([specimen(rutile())]) == [None]
    assert str(entry) in caplog.text
    shelf(tmp_path).keep([specimen(rutile())], [211.0])
    assert shelf(tmp_path).recall([specimen(rutile())]) == [211.0]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"cache .*file/cache: Not a directory"):
        ScoreCache(tmp_path / "file" / "cache", {})


def test_a_cache_that_fills_up_costs_no_value(tmp_path, caplog):
    full = shelf(tmp_path)
    for folder in range(256):  # where entries would go
        path = next(iter(tmp_path.glob("bulk_modulus-1-*")), None) or full._folder
        path.mkdir(exist_ok=True)
        (path / f"{folder:02x}").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        full.keep([specimen(rutile())], [210.0])
    assert "cannot be written" in caplog.text
    assert full.recall([specimen(rutile())]) == [None]


def copper(i: int) -> Specimen:
    return Specimen(Crystal(np.eye(3) * (4 + 0.01 * i), [[0, 0, 0]], [29]), 0.0, 0.0, 0.0)


def write_and_check(folder, seed: int, rounds: int) -> None:
    held = ScoreCache(folder, {}).shelf("slow", "1", "m:f", {})
    rng = np.random.default_rng(seed)
    for i in rng.integers(200, size=rounds):
        assert held.recall([copper(i)])[0] in (None, i + 0.125)
        held.keep([copper(i)], [i + 0.125])


def test_writers_killed_at_work_never_leave_a_torn_or_foreign_value(tmp_path):
    fork = multiprocessing.get_context("fork")

    def start(seed: int, rounds: int) -> multiprocessing.Process:
        process = fork.Process(target=write_and_check, args=(tmp_path, seed, rounds))
        process.start()
        return process

    survivors = [start(seed, 60) for seed in (1, 2)]
    for seed in range(3, 9):
        doomed = start(seed, 10**6)
        time.sleep(0.05)
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.join()
        assert doomed.exitcode == -signal.SIGKILL
    for process in survivors:
        process.join()
        assert process.exitcode == 0
    entries = list(tmp_path.glob("slow-1-*/*/[0-9a-f]*.json"))
    assert len(entries) > 50
    assert {json.loads(entry.read_text())["formula"] for entry in entries} == {"Cu"}
    held = ScoreCache(tmp_path, {}).shelf("slow", "1", "m:f", {})
    found = held.recall([copper(i) for i in range(200)])
    assert sum(value is not None for value in found) == len(entries)
    assert all(value in (None, i + 0.125) for i, value in enumerate(found))
