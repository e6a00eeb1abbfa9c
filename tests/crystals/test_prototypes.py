"""Structure types against space groups, coordination numbers and lattice constants of textbooks."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.crystals.geometry import nearest_distances
from ray_matdesign.crystals.prototypes import MAX_SITES, STRUCTURE_TYPES, Prototype, prototypes

# Elements by site; atoms of the primitive cell; its measured volume in cubic Angstrom; neighbours
# of the first site's atoms in the ideal structure.
# Wyckoff letters of the sites in their order, as the International Tables have them.
TEXTBOOK = {
    "diamond": ("C", 2, 3.567**3 / 4, 4, "a"),
    "lonsdaleite": ("C", 4, 2.52**2 * 4.12 * 0.866, 4, "f"),
    "rock_salt": ("Na Cl", 2, 5.640**3 / 4, 6, "ab"),
    "caesium_chloride": ("Cs Cl", 2, 4.123**3, 8, "ab"),
    "zinc_blende": ("Zn S", 2, 5.409**3 / 4, 4, "ac"),
    "wurtzite": ("Zn O", 4, 47.6, 4, "bb"),
    "nickel_arsenide": ("Ni As", 4, 57.0, 6, "ac"),
    "copper_gold": ("Cu Au", 2, 2.80**2 * 3.67, 8, "ad"),
    "tungsten_carbide": ("W C", 2, 2.906**2 * 2.837 * 0.866, 6, "ad"),
    "fluorite": ("Ca F", 3, 5.463**3 / 4, 8, "ac"),
    "rutile": ("Ti O", 6, 62.4, 6, "af"),
    "cadmium_iodide": ("Cd I", 3, 4.24**2 * 6.84 * 0.866, 6, "ad"),
    "laves_c15": ("Mg Cu", 6, 7.03**3 / 4, 12, "ad"),
    "aluminium_diboride": ("Al B", 3, 3.005**2 * 3.257 * 0.866, 12, "ad"),
    "rhenium_diboride": ("Re B", 6, 2.900**2 * 7.478 * 0.866, 8, "cf"),
    "pyrite": ("Fe S", 12, 5.418**3, 6, "ac"),
    "molybdenum_disilicide": ("Mo Si", 3, 3.20**2 * 7.85 / 2, 10, "ae"),
    "gold_copper_3": ("Au Cu", 4, 3.75**3, 12, "ac"),
    "corundum": ("Al O", 10, 4.76**2 * 12.99 * 0.866 / 3, 6, "ce"),
    "calcium_copper_5": ("Ca Cu Cu", 6, 5.08**2 * 4.09 * 0.866, 6, "acg"),
    "calcium_hexaboride": ("Ca B", 7, 4.152**3, 24, "af"),
    "half_heusler": ("Ti Ni Sn", 3, 5.92**3 / 4, 4, "acb"),
    "full_heusler": ("Mn Al Cu", 4, 5.95**3 / 4, 8, "abc"),
    "delafossite": ("Cu Al O", 4, 2.857**2 * 16.94 * 0.866 / 3, 2, "abc"),
    "layered_rock_salt": ("Co Li O", 4, 2.816**2 * 14.05 * 0.866 / 3, 6, "abc"),
    "chalcopyrite": ("Cu Fe S", 8, 5.29**2 * 10.42 / 2, 4, "abd"),
    "thorium_chromium_silicide": ("Ba Fe As", 5, 3.963**2 * 13.017 / 2, 8, "ade"),
    "perovskite": ("Sr Ti O", 5, 3.905**3, 12, "abc"),
    "spinel": ("Mg Al O", 14, 8.08**3 / 4, 4, "ade"),
}


def filled(prototype: Prototype):
    symbols = TEXTBOOK[prototype.name][0].split()
    return prototype.filled([ATOMIC_NUMBERS[symbol] for symbol in symbols])


by_name = pytest.mark.parametrize("prototype", prototypes(), ids=lambda p: p.name)


@by_name
def test_the_space_group_is_that_of_the_table(prototype: Prototype) -> None:
    crystal = filled(prototype)
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    assert found.number == STRUCTURE_TYPES[prototype.name].spacegroup


@by_name
def test_each_site_is_on_its_wyckoff_position(prototype: Prototype) -> None:
    # Told apart by markers, even where the textbook's compound has one element on two sites.
    cell = (prototype.cell.lattice, prototype.cell.frac_coords, prototype.cell.numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    letters = [
        found.wyckoffs[np.flatnonzero(prototype.cell.numbers == site + 1)[0]]
        for site in range(len(prototype.stoichiometry))
    ]
    assert "".join(letters) == TEXTBOOK[prototype.name][4]


@by_name
def test_the_cell_is_primitive(prototype: Prototype) -> None:
    crystal = filled(prototype)
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    assert len(spglib.find_primitive(cell)[2]) == len(crystal) == TEXTBOOK[prototype.name][1]


@by_name
def test_the_first_site_has_the_neighbours_of_the_textbook(prototype: Prototype) -> None:
    crystal, expected = filled(prototype), TEXTBOOK[prototype.name][3]
    distances, _ = nearest_distances(crystal, 25)
    of_first = distances[prototype.cell.numbers == 1]
    gap = of_first[:, expected] / of_first[:, expected - 1]
    # A shell of so many, and a distance to the next; in wurtzite and corundum a shell is not of one
    # length.
    assert (gap > 1.03).all()
    assert (of_first[:, expected - 1] / of_first[:, 0] < 1.15).all()


def test_volumes_are_guessed_to_a_sixth() -> None:
    ratios = np.array([filled(p).volume / TEXTBOOK[p.name][2] for p in prototypes()])
    assert np.abs(ratios - 1.0).max() < 0.3
    assert np.abs(ratios - 1.0).mean() < 1 / 6


def test_one_element_may_sit_on_several_sites() -> None:
    spinel = next(p for p in prototypes() if p.name == "spinel")
    iron, oxygen = ATOMIC_NUMBERS["Fe"], ATOMIC_NUMBERS["O"]
    assert spinel.filled([iron, iron, oxygen]).formula == "Fe3O4"


def test_as_many_elements_as_sites_are_needed() -> None:
    with pytest.raises(ValueError, match="diamond has 1 sites, got 2 elements"):
        prototypes()[0].filled([11, 17])
    assert max(len(p.stoichiometry) for p in prototypes()) == MAX_SITES
