from __future__ import annotations

import numpy as np
import pytest

from ray_matdesign.agents.laboratory.balancing import atoms_of, molar_mass
from ray_matdesign.agents.laboratory.kinetics import AMORPHOUS, GASES, STEPS
from ray_matdesign.agents.laboratory.phases import PHASES, structure, within
from ray_matdesign.agents.laboratory.precursors import FORBIDDEN_TOGETHER, PRECURSORS


@pytest.mark.parametrize("name", PHASES)
def test_cells_hold_what_their_formulas_say_and_no_atoms_on_top_of_each_other(name: str) -> None:
    cell = structure(name)
    atoms = {str(e): n for e, n in cell.composition.get_el_amt_dict().items()}
    wanted = {symbol: float(n) for symbol, n in atoms_of(PHASES[name].composition).items()}
    ratios = [atoms[symbol] / n for symbol, n in wanted.items()]
    assert atoms.keys() == wanted.keys()
    assert np.ptp(ratios) < 1e-6
    distances = cell.distance_matrix + 10.0 * np.eye(len(cell))
    assert distances.min() > (0.9 if "H" in atoms else 1.2)


# g/cm3, from the cells of the literature
@pytest.mark.parametrize(
    ("name", "density"),
    [("BaTiO3", 6.02), ("TiO2", 4.25), ("LiCoO2", 5.06), ("LiFePO4", 3.60), ("Fe2O3", 5.26)],
)
def test_densities_are_the_known_ones(name: str, density: float) -> None:
    assert float(structure(name).density) == pytest.approx(density, rel=0.005)


def test_phases_within_elements_hold_no_others() -> None:
    names = {phase.name for phase in within({"Ti", "O"})}
    assert names == {"TiO2", "TiO2-anatase"}


def formula(phase: str) -> str:
    if phase in PHASES:
        return PHASES[phase].composition
    return PRECURSORS[phase].composition if phase in PRECURSORS else phase.removesuffix("-vapour")


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_hidden_reactions_keep_every_atom(step: object) -> None:
    total: dict[str, float] = {}
    taken = {"O2": step.taken_up}
    for sign, side in ((-1.0, step.consumed), (-1.0, taken), (1.0, step.produced)):
        for phase, n in side.items():
            for symbol, count in atoms_of(formula(phase)).items():
                total[symbol] = total.get(symbol, 0.0) + sign * n * float(count)
    assert max(map(abs, total.values())) < 1e-9


def test_everything_that_reacts_is_known() -> None:
    for step in STEPS:
        for phase in (*step.consumed, *step.produced):
            assert phase in PHASES or phase in PRECURSORS or phase in GASES | AMORPHOUS


def test_precursors_are_consistent() -> None:
    for name, one in PRECURSORS.items():
        assert name == one.name
        assert molar_mass(one.composition) > 0.0
        if one.oxygen_mol:
            assert "oxidiser" in one.hazards
    assert all(1 <= len(pair) <= 2 for pair in FORBIDDEN_TOGETHER)
