"""Coincident areas against hand calculation and pymatgen's analyzer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.crystals.convert import to_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.symmetry import conventional_cell
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.rewards.scorers.mcia import (
    Net,
    coincident_area,
    faces,
    in_plane_vectors,
    make,
    superlattices,
)
from ray_matdesign.rewards.scorers.substrates import SUBSTRATES

FCC = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])


def area(film: Crystal, **options: object) -> float | Failed:
    return make(None, **options).score([Specimen(film, 0.0, 0.0, 0.0)])[0]  # type: ignore[arg-type]


def fluorite(cation: int, anion: int, a: float) -> Crystal:
    return Crystal(a * FCC, [[0] * 3, [0.25] * 3, [0.75] * 3], [cation, anion, anion])


def rock_salt(cation: int, anion: int, a: float) -> Crystal:
    return Crystal(a * FCC, [[0] * 3, [0.5] * 3], [cation, anion])


def perovskite(large: int, small: int, a: float) -> Crystal:
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Crystal(a * np.eye(3), coords, [large, small, 8, 8, 8])


def wurtzite(cation: int, anion: int, a: float, c: float) -> Crystal:
    lattice = [[a, 0, 0], [-a / 2, a * math.sqrt(3) / 2, 0], [0, 0, c]]
    coords = [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]]
    return Crystal(lattice, coords, [cation, cation, anion, anion])


def test_cube_on_cube_is_one_face_of_the_film() -> None:
    # CeO2 on Si(100): 5.411 on 5.431 Angstrom.
    assert area(fluorite(58, 8, 5.411)) == pytest.approx(5.411**2)


def test_a_perovskite_turns_by_45_degrees_on_silicon() -> None:
    # 3.905 sqrt(2) = 5.522 on 5.431 Angstrom.
    assert area(perovskite(38, 22, 3.905)) == pytest.approx(2 * 3.905**2)


def test_nitrides_sit_on_each_other() -> None:
    basal = math.sqrt(3) / 2 * 3.112**2
    assert area(wurtzite(13, 7, 3.112, 4.982), substrate="GaN") == pytest.approx(basal)


def test_a_film_too_different_gets_the_area_looked_up_to() -> None:
    # 4.00 on 5.43 Angstrom: 4 x 4 on 3 x 3 fit, below that nothing does.
    film = perovskite(56, 22, 4.07)
    assert area(film, max_area_ang2=400.0) > 130.0
    assert area(film, max_area_ang2=60.0) == 60.0


def test_any_cell_of_a_film_has_the_same_area() -> None:
    film = fluorite(58, 8, 5.411)
    skewed = np.array([[1, 0, 0], [1, 1, 0], [-2, 1, 1]])
    coords = film.frac_coords @ np.linalg.inv(skewed)
    other = film.with_cell(skewed @ film.lattice, coords)
    assert area(other) == pytest.approx(5.411**2, rel=1e-6)


@pytest.mark.filterwarnings("ignore")  # of pymatgen
@pytest.mark.parametrize(
    ("substrate", "film"),
    [
        ("Si", rock_salt(12, 8, 4.212)),
        ("Si", wurtzite(31, 7, 3.189, 5.185)),
        ("SrTiO3", perovskite(56, 22, 3.994)),
        ("Al2O3", wurtzite(30, 8, 3.25, 5.207)),
        ("MgO", Crystal(2.8665 * (0.5 - np.eye(3)), [[0] * 3], [26])),
        ("GaAs", Crystal([[4, 0, 0], [0.7, 5, 0], [0.3, -0.9, 6]], [[0] * 3, [0.3] * 3], [29, 8])),
    ],
)
def test_is_the_least_of_pymatgens_matches(substrate: str, film: Crystal) -> None:
    from pymatgen.analysis.interfaces.substrate_analyzer import SubstrateAnalyzer
    from pymatgen.core import Lattice, Structure

    ground = SUBSTRATES[substrate]
    bulk = Structure(Lattice(ground.lattice), ["Si"], [[0, 0, 0]])
    conventional = conventional_cell(film, 0.05)
    assert conventional is not None
    matches = SubstrateAnalyzer(film_max_miller=1, max_area=200.0).calculate(
        to_pymatgen(conventional), bulk, substrate_millers=[ground.miller]
    )
    least = min((match.match_area for match in matches), default=200.0)
    assert area(film, substrate=substrate, max_area_ang2=200.0) == pytest.approx(least, rel=1e-9)


@given(st.integers(1, 40))
def test_superlattices_are_as_many_as_divisors_add_up_to(n: int) -> None:
    net = Net(9.0, 16.5, 1.3)
    shapes = superlattices(net, n)
    assert shapes.shape[1] == sum(d for d in range(1, n + 1) if n % d == 0)
    short, long, angle = shapes
    np.testing.assert_allclose(short * long * np.sin(angle), n * net.area, rtol=1e-9)
    assert (short <= long * (1 + 1e-9)).all()
    # Reduced: the projection of the longer vector on the shorter is at most half of it.
    assert (long * np.cos(angle) <= short / 2 + 1e-9).all()


@given(
    st.lists(st.integers(-3, 3), min_size=4, max_size=4).filter(
        lambda m: m[0] * m[3] - m[1] * m[2] in (-1, 1)
    )
)
def test_shapes_do_not_depend_on_the_cell(m: list[int]) -> None:
    a, b = np.array([3.1, 0.0]), np.array([0.7, 4.4])
    other_a, other_b = m[0] * a + m[1] * b, m[2] * a + m[3] * b
    one = Net(a @ a, b @ b, a @ b)
    other = Net(other_a @ other_a, other_b @ other_b, other_a @ other_b)
    for n in (1, 6):
        np.testing.assert_allclose(
            np.sort(superlattices(one, n).round(9).T, axis=0),
            np.sort(superlattices(other, n).round(9).T, axis=0),
            atol=1e-8,
        )


@pytest.mark.parametrize("miller", [*faces(1), (2, 1, 0), (3, -2, 1), (2, 3, 3)])
def test_in_plane_vectors_span_the_plane(miller: tuple[int, int, int]) -> None:
    a, b = in_plane_vectors(miller)
    cross = np.cross(a, b)
    assert (cross == miller).all() or (cross == -np.array(miller)).all()


def test_faces_are_the_thirteen_of_index_one_and_no_multiples() -> None:
    assert len(faces(1)) == 13
    assert len(faces(2)) == 49
    assert all(math.gcd(*face) == 1 for face in faces(3))


def test_nothing_coincides_below_the_substrates_own_area() -> None:
    assert coincident_area(Net(9.0, 9.0, 0.0), Net(25.0, 25.0, 0.0), 30.0) is None


def test_every_substrate_matches_itself() -> None:
    for name, ground in SUBSTRATES.items():
        film = Crystal(ground.lattice, [[0, 0, 0]], [14])
        face = Net.of_face(ground.lattice, ground.miller).area
        found = area(film, substrate=name)
        assert isinstance(found, float)
        # Another face of the film may need less than its own.
        assert found <= face * (1 + 1e-9), name


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="no substrate 'Silicon'; there are Si, Ge"):
        make(None, substrate="Silicon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without a common divisor"):
        make(None, miller=[2, 0, 0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"above the substrate's 29\.5 A\^2"):
        make(None, max_area_ang2=20.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="film_max_miller"):
        make(None, film_max_miller=0)  # type: ignore[arg-type]


def test_says_what_its_numbers_are() -> None:
    scorer = make(None, substrate="GaN")  # type: ignore[arg-type]
    assert (scorer.name, scorer.unit, scorer.version) == ("mcia", "A^2", "1")
    assert "GaN(001)" in scorer.source
