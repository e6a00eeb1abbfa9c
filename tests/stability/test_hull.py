import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.stability.hull import CompositionHull, MissingElements

LITHIUM, OXYGEN, PHOSPHORUS, IRON = 3, 8, 15, 26
TABLE = [
    ({LITHIUM: 2, OXYGEN: 1}, -2.07),
    ({LITHIUM: 2, OXYGEN: 2}, -1.66),
    ({IRON: 1, OXYGEN: 1}, -1.41),
    ({IRON: 2, OXYGEN: 3}, -1.71),
    ({IRON: 3, OXYGEN: 4}, -1.67),
    ({PHOSPHORUS: 2, OXYGEN: 5}, -2.27),
    ({LITHIUM: 3, PHOSPHORUS: 1, OXYGEN: 4}, -2.78),
    ({IRON: 1, PHOSPHORUS: 1, OXYGEN: 4}, -2.17),
    ({LITHIUM: 1, IRON: 1, OXYGEN: 2}, -1.86),
    ({IRON: 1, PHOSPHORUS: 1}, -0.62),
    ({LITHIUM: 1, IRON: 1}, 0.30),
]
"""Rounded formation energies, eV/atom; the last one is unstable."""


def table_hull(table):
    return CompositionHull([c for c, _ in table], [e for _, e in table])


def pymatgen_e_above_hull(table, elements, counts, energy):
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition, Element

    def entry(composition, per_atom):
        amounts = Composition({Element.from_Z(z): n for z, n in composition.items()})
        return PDEntry(amounts, per_atom * amounts.num_atoms)

    entries = [entry({z: 1}, 0.0) for z in elements] + [entry(c, e) for c, e in table]
    return PhaseDiagram(entries).get_e_above_hull(entry(counts, energy), allow_negative=True)


def test_two_elements_by_hand():
    hull = table_hull([({11: 1, 17: 1}, -2.0), ({11: 1, 17: 3}, -0.5)])
    assert hull.energy({11: 1}) == 0.0
    assert hull.energy({11: 2, 17: 2}) == pytest.approx(-2.0)
    # Three quarters chlorine: half NaCl, half Cl by atoms; NaCl3 itself lies above that line.
    assert hull.energy({11: 1, 17: 3}) == pytest.approx(-1.0)
    assert hull.decomposition({11: 1, 17: 3}) == pytest.approx({"NaCl": 0.5, "Cl": 0.5})
    assert hull.e_above_hull({11: 1, 17: 3}, -0.5) == pytest.approx(0.5)
    assert hull.e_above_hull({11: 1, 17: 1}, -2.3) == pytest.approx(-0.3), "below is negative"


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(0, 8)] * 4).filter(any), st.floats(-3, 1))
def test_agrees_with_pymatgen(amounts, energy):
    counts = {z: n for z, n in zip((LITHIUM, OXYGEN, PHOSPHORUS, IRON), amounts, strict=True) if n}
    expected = pymatgen_e_above_hull(TABLE, (LITHIUM, OXYGEN, PHOSPHORUS, IRON), counts, energy)
    assert table_hull(TABLE).e_above_hull(counts, energy) == pytest.approx(expected, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_agrees_with_a_general_solver_on_random_tables(seed):
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    elements = list(range(1, 7))
    amounts = rng.integers(0, 4, size=(60, 6))
    amounts = amounts[amounts.sum(axis=1) > 0]
    table = [
        ({z: int(n) for z, n in zip(elements, row, strict=True) if n}, float(e))
        for row, e in zip(amounts, np.round(rng.normal(-1, 1, len(amounts)), 1), strict=True)
    ]
    table = [(c, e) for c, e in table if len(c) > 1]
    target = rng.integers(1, 5, 6)
    rows = np.array([[c.get(z, 0) / sum(c.values()) for z in elements] for c, _ in table])
    solution = linprog(
        [0.0] * 6 + [e for _, e in table],
        A_eq=np.vstack([np.eye(6), rows]).T,
        b_eq=target / target.sum(),
    )
    counts = dict(zip(elements, target.tolist(), strict=True))
    assert table_hull(table).energy(counts) == pytest.approx(solution.fun, abs=1e-8)


def test_no_compound_of_the_hull_lies_below_it():
    hull = table_hull(TABLE)
    assert all(hull.e_above_hull(c, e) >= -1e-10 for c, e in TABLE)


def test_unknown_elements_are_named():
    with pytest.raises(MissingElements, match="Eu, Pu"):
        table_hull(TABLE).energy({63: 1, 94: 1, OXYGEN: 3})


def test_bad_tables_are_refused():
    with pytest.raises(ValueError, match="energies of shape"):
        CompositionHull([{3: 1, 8: 1}], [1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        CompositionHull([{3: 1, 8: 1}], [np.nan])


def test_a_batch_of_64_takes_well_under_a_second(packaged):
    rng = np.random.default_rng(0)
    elements = sorted(packaged.hull.elements)
    batch = [
        {int(z): int(rng.integers(1, 6)) for z in rng.choice(elements, 4, replace=False)}
        for _ in range(64)
    ]
    start = time.process_time()
    for counts in batch:
        packaged.hull.energy(counts)
    assert time.process_time() - start < 0.5
