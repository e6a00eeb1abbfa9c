"""Energies on the MP2020 scale: the one place where corrections are applied.

Uncorrected PBE and PBE+U energies of oxides, halides, chalcogenides and nitrides are not
comparable with those of the elements. The Materials Project adds fitted constants per anion, and
per transition metal treated with a Hubbard U (Wang et al., Sci. Rep. 11, 15496 (2021)), here as
pymatgen implements them.
"""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import Any

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import EnergyScale

_MAX_CACHED_FORMULAS = 4096


def to_mp2020(crystal: Crystal, energy_ev_per_atom: float, scale: EnergyScale) -> float:
    """An energy as it is to be compared with the elemental energies, eV/atom.

    Args:
        crystal: What the energy is of. Oxides, peroxides, superoxides and ozonides, and sulfides
            and sulfates, are told apart by its distances.
        energy_ev_per_atom: A potential's.
        scale: That potential's.
    """
    if scale is EnergyScale.MP_UNCORRECTED:
        return energy_ev_per_atom + mp2020_correction(crystal)
    return energy_ev_per_atom


def mp2020_correction(crystal: Crystal) -> float:
    """What the MP2020 scheme adds to the energy of a PBE or PBE+U calculation, eV/atom.

    The calculation is taken to have used the Materials Project's settings: a Hubbard U on the
    transition metals of oxides and fluorides, as in ``MPRelaxSet``.
    """
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    if len(crystal.elements) == 1:
        return 0.0
    scheme = _scheme()
    structure = to_pymatgen(crystal)
    composition = structure.composition
    most_electronegative = max(composition.elements, key=lambda element: element.X).symbol
    settings = scheme.u_settings.get(most_electronegative, {})
    hubbards = {e.symbol: settings[e.symbol] for e in composition.elements if e.symbol in settings}
    entry = ComputedStructureEntry(
        structure,
        0.0,
        parameters={"run_type": "GGA+U" if hubbards else "GGA", "hubbards": hubbards},
        data={"oxidation_states": _oxidation_states(composition.reduced_formula)},
    )
    with warnings.catch_warnings():
        # Where no oxidation states fit, the scheme falls back on electronegativity and says so.
        warnings.filterwarnings("ignore", message="Failed to guess oxidation states")
        scheme.process_entry(entry, on_error="raise")
    return float(entry.correction) / len(crystal)


@cache
def _scheme() -> Any:
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    return MaterialsProject2020Compatibility(check_potcar=False)


@lru_cache(maxsize=_MAX_CACHED_FORMULAS)
def _oxidation_states(formula: str) -> dict[str, float]:
    """The likeliest oxidation states, empty where none add up; a guess can take a second."""
    from pymatgen.core import Composition

    try:
        guesses = Composition(formula).oxi_state_guesses(max_sites=-20)
    except ValueError:  # more than 20 atoms in the reduced formula
        return {}
    return dict(guesses[0]) if guesses else {}
