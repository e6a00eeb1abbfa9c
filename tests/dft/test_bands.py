import numpy as np
import pytest

from ray_matdesign.dft.bands import Gap, TooFewBands, band_gap

K = np.linspace(0.0, 1.0, 11)


def cosine_bands(gap: float, k: np.ndarray) -> np.ndarray:
    """Two tight-binding bands with edges at k = 0 (valence) and k = 1 (conduction)."""
    valence = -1.0 + np.cos(np.pi * k)
    conduction = gap + 1.0 + np.cos(np.pi * k)
    return np.stack([valence, conduction], axis=-1)[None]


def test_an_indirect_gap_is_smaller_than_the_direct_one() -> None:
    gap = band_gap(cosine_bands(0.7, K), fermi_ev=0.3)
    assert gap.fundamental_ev == pytest.approx(0.7)
    assert gap.direct_ev == pytest.approx(2.7)


def test_free_electrons_have_no_gap() -> None:
    levels = np.sort(np.stack([K**2, (2.0 - K) ** 2], axis=-1), axis=-1)[None]
    assert band_gap(levels, fermi_ev=0.5) == Gap(0.0, 0.0)


def test_overlapping_full_and_empty_bands_have_no_gap() -> None:
    levels = cosine_bands(-0.5, np.array([0.5]))
    lines = cosine_bands(-0.5, K)
    assert band_gap(levels, fermi_ev=-0.1, lines=lines) == Gap(0.0, 0.0)


@pytest.mark.parametrize("fermi", [-0.99, -0.3, 0.4])
def test_the_gap_does_not_depend_on_where_in_it_the_fermi_level_lies(fermi: float) -> None:
    # The mesh misses both edges: along the lines, bands lie on the wrong side of the Fermi level.
    mesh = cosine_bands(0.5, np.array([0.5]))
    assert band_gap(mesh, fermi, cosine_bands(0.5, K)).fundamental_ev == pytest.approx(0.5)


def test_a_half_metal_is_a_metal() -> None:
    up = np.sort(np.stack([K**2, (2.0 - K) ** 2], axis=-1), axis=-1)
    down = cosine_bands(2.0, K)[0]
    assert band_gap(np.stack([up, down]), fermi_ev=0.5) == Gap(0.0, 0.0)


def test_the_edges_may_belong_to_different_spins() -> None:
    up, down = cosine_bands(2.0, K)[0], cosine_bands(1.6, K)[0]
    gap = band_gap(np.stack([up + 0.3, down]), fermi_ev=1.0)
    assert gap.fundamental_ev == pytest.approx(1.3)
    assert gap.direct_ev == pytest.approx(3.6)


def test_without_an_empty_band_there_is_no_gap_to_tell() -> None:
    with pytest.raises(TooFewBands, match="all 2 bands"):
        band_gap(cosine_bands(0.7, K), fermi_ev=10.0)
    with pytest.raises(TooFewBands, match="no band"):
        band_gap(cosine_bands(0.7, K), fermi_ev=-10.0)
