"""The offline suite itself: its size, its references, and what they are checked against."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ray_matdesign
from ray_matdesign.agents.benchmark.baselines import memorised, perturbed
from ray_matdesign.agents.benchmark.problem import CATEGORIES, Item, Problem
from ray_matdesign.agents.benchmark.running import Key
from ray_matdesign.agents.benchmark.suite import Suite
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.tiers import TRUSTED_FIRST, probe

PRIVATE = 20261123


@pytest.fixture(scope="module")
def installed(offline_suite: Suite) -> Suite:
    return offline_suite.installed().only(lambda problem: not problem.slow)


def named(suite: Suite, name: str) -> Problem:
    return next(problem for problem in suite.problems if problem.id == name)


def right(item: Item, answer: Any, key: Key) -> bool:
    return item.judge(answer, key.reference(item)).right


def test_it_has_sixty_problems_of_six_kinds_in_two_wordings(offline_suite: Suite) -> None:
    items = offline_suite.items()
    counts = Counter(problem.category for problem in offline_suite.problems)
    assert len(offline_suite.problems) >= 60
    assert len(items) == 2 * len(offline_suite.problems)
    assert counts.keys() == set(CATEGORIES)
    assert min(counts.values()) >= 6
    assert len({item.task.question for item in items}) == len(items)


def test_packages_are_named_where_functions_are(offline_suite: Suite) -> None:
    for item in offline_suite.items():
        if item.level == 0:
            assert "`" in item.task.question, item.task.id
        assert len(item.task.prompt()) < 2000


def test_files_are_the_same_every_time_and_small(installed: Suite) -> None:
    for problem in installed.problems:
        first, again = problem.item(0, PRIVATE).task, problem.item(1, PRIVATE).task
        assert first.files == again.files, problem.id
        assert sum(map(len, first.files.values())) < 100_000


@pytest.mark.timeout(900)
def test_references_know_all_and_moved_or_memorised_answers_fail(
    installed: Suite, key: Key
) -> None:
    public, private = installed.items(), installed.items(PRIVATE)
    for items in (public, private):
        assert [item.task.id for item in items if not right(item, key.reference(item), key)] == []
        moved = perturbed(items, key)
        assert [item.task.id for item in items if right(item, moved[item.task.id], key)] == []
        assert not any(right(item, None, key) for item in items)
    learnt = memorised(public, private, key)
    lucky = {item.problem for item in private if right(item, learnt[item.task.id], key)}
    assert len(lucky) <= 0.05 * len(installed.problems), lucky


def test_references_are_plain_json_and_pure(installed: Suite, key: Key) -> None:
    for problem in installed.problems:
        answer = key.reference(problem.item(0))
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer, problem.id
    for name in ("trajectory-search", "ase-database", "molecular-dynamics", "structure-matching"):
        problem = named(installed, name)
        assert problem.answer() == key.reference(problem.item(0))


def test_code_in_a_sandbox_finds_no_reference() -> None:
    import cascade_problems

    folder = Path(cascade_problems.__file__).parent
    assert Path(ray_matdesign.__file__).parent not in folder.parents
    tiers = [tier for tier in TRUSTED_FIRST if not probe(tier).problem]
    if not tiers:
        pytest.skip("no sandbox works here")
    code = (
        f"import os\ntry:\n    os.listdir({str(folder)!r})\nexcept OSError:\n    print('hidden')\n"
    )
    code += "try:\n    import cascade_problems\nexcept ImportError:\n    print('unknown')\n"
    for tier in tiers:
        with Box(tier) as box:
            assert box.run(Job.of(code)).stdout == "hidden\nunknown\n"


def solved(suite: Suite, name: str, **parameters: Any) -> Any:
    return named(suite, name).solve(**parameters)


def test_electrostatics_agree_with_madelung_constant(offline_suite: Suite) -> None:
    # Four ion pairs a cell; Madelung's constant of rocksalt is 1.747565, e^2/4 pi eps0 14.39965.
    found = solved(
        offline_suite, "ewald-energy", prototype="rocksalt", formula="MgO", a=4.21, cation="Mg"
    )
    assert found == pytest.approx(-4 * 1.747565 * 4 * 14.39965 / (4.21 / 2), rel=1e-4)


def test_angles_agree_with_bragg(offline_suite: Suite) -> None:
    found = solved(
        offline_suite, "xrd-angles", prototype="rocksalt", formula="MgO", a=4.21, radiation="CuKa"
    )
    planes = np.sqrt([3.0, 4.0, 8.0, 11.0])
    bragg = 2 * np.degrees(np.arcsin(1.54184 * planes / (2 * 4.21)))
    assert found == pytest.approx(list(bragg), abs=0.01)


def test_averages_agree_with_voigt_and_reuss(offline_suite: Suite) -> None:
    c11, c12, c44 = 250.0, 110.0, 90.0
    voigt = (c11 - c12 + 3 * c44) / 5
    reuss = 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
    found = solved(offline_suite, "elastic-averages", c11=c11, c12=c12, c44=c44)
    bulk, shear = (c11 + 2 * c12) / 3, (voigt + reuss) / 2
    assert found["bulk"] == pytest.approx(bulk)
    assert found["shear"] == pytest.approx(shear)
    assert found["poisson"] == pytest.approx((3 * bulk - 2 * shear) / (6 * bulk + 2 * shear))


def test_voltages_agree_with_insertion_electrodes(offline_suite: Suite) -> None:
    from pymatgen.apps.battery.insertion_battery import InsertionElectrode
    from pymatgen.core import Structure
    from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

    told = {"ion": "Li", "host": "CoO2", "units": 1, "metal": -1.9, "empty": -20.0, "full": -25.9}
    cell = np.eye(3) * 4
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cells = [(["Co", "O", "O"], -20.0), (["Co", "O", "O", "Li"], -25.9)]
    entries = [
        ComputedStructureEntry(Structure(cell, species, sites[: len(species)]), energy)
        for species, energy in cells
    ]
    electrode = InsertionElectrode.from_entries(entries, ComputedEntry("Li", -1.9))
    expected = electrode.get_average_voltage()
    assert solved(offline_suite, "average-voltage", **told) == pytest.approx(expected)


def test_equilibria_agree_with_arithmetic(offline_suite: Suite) -> None:
    elements = {"Ca": -2.0, "Al": -3.0, "O": -5.0}
    # On the line from CaO to Al2O3, CaAl2O4 is 0.05 eV an atom above the tie (2 and 5 atoms of 7).
    formation = {"CaO": -3.0, "Al2O3": -3.4, "CaAl2O4": -(2 * 3.0 + 5 * 3.4) / 7 + 0.05}
    told = {"target": "CaAl2O4", "elements": elements, "formation": formation}
    assert solved(offline_suite, "hull-distance", **told) == pytest.approx(0.05, abs=1e-4)
    found = solved(offline_suite, "decomposition", **told)
    assert found == pytest.approx({"CaO": 2 / 7, "Al2O3": 5 / 7})


def test_planes_and_orderings_agree_with_counts_by_hand(offline_suite: Suite) -> None:
    # Up to 2 in a cubic crystal: 100, 110, 111, 210, 211, 221.
    assert solved(offline_suite, "distinct-planes", formula="MgO", a=4.21, highest=2) == 6
    # Necklaces of 8 beads, 2 or 3 of another colour, up to rotation and reflection.
    told = {"prototype": "CsCl", "formula": "CsCl", "a": 4.12, "repeats": [8, 1, 1]}
    assert solved(offline_suite, "distinct-orderings", metal="Cs", guest="Rb", **told) == [4, 5]


def test_clusters_agree_with_published_minima(offline_suite: Suite) -> None:
    # Wales and Doye, J. Phys. Chem. A 101, 5111 (1997), in units of the depth.
    for count, depth in ((3, -3.0), (4, -6.0), (7, -16.505384), (13, -44.326801)):
        found = solved(offline_suite, "cluster-energy", epsilon=0.02, sigma=3.1, count=count)
        assert found == pytest.approx(0.02 * depth, rel=1e-4)


def test_crystals_are_the_prototypes_they_are_called() -> None:
    from cascade_problems.crystals import cubic, layered, layered_oxide, rutile, wurtzite
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    crystals = {
        225: cubic("rocksalt", "MgO", 4.2), 216: cubic("zincblende", "ZnS", 5.4),
        227: cubic("diamond", "Si", 5.4), 221: cubic("perovskite", "SrTiO3", 3.9),
        186: wurtzite("ZnO", 3.2, 5.2), 136: rutile("TiO2", 4.6, 2.96),
        194: layered("MoS2", 3.16, 12.3), 166: layered_oxide("Co", 2.82, 14.05),
    }  # fmt: skip
    for number, crystal in crystals.items():
        assert SpacegroupAnalyzer(crystal).get_space_group_number() == number
    assert crystals[166].composition.formula == "Li1 Co1 O2"
    assert cubic("fluorite", "CaF2", 5.46).composition.reduced_formula == "CaF2"


def test_heat_capacity_tends_to_the_classical_limit(offline_suite: Suite) -> None:
    found = solved(offline_suite, "heat-capacity", element="Au", a=4.06, kelvin=2000)
    assert found == pytest.approx(3 * 8.31446, rel=2e-3)


def test_pressures_are_derivatives_of_energies(offline_suite: Suite) -> None:
    pytest.importorskip("chgnet")
    from cascade_problems.crystals import cif, cubic
    from cascade_problems.models import _predict

    edges = (4.095, 4.10, 4.105)
    energies = [8 * float(_predict(cif(cubic("rocksalt", "MgO", a)))["e"]) for a in edges]
    slope = (energies[0] - energies[2]) / (edges[2] ** 3 - edges[0] ** 3) * 160.21766
    told = {"kind": "rocksalt", "formula": "MgO", "a": 4.10, "seed": 1}
    # The atoms are 0.05 Angstrom off their places, which costs some pressure.
    assert slope > 10
    assert solved(offline_suite, "chgnet-pressure", **told) == pytest.approx(slope, rel=0.2)
