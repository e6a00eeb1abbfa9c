"""The noise processes against quadrature, Monte Carlo and their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.generators.diffusion.lattice import lattice_from_log_strain, log_strain
from ray_matdesign.generators.diffusion.noise import (
    cell_signal_and_noise,
    coordinate_sigma,
    mask_probability,
    score_scale,
    wrap,
    wrapped_normal_score,
)


def log_density(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """A wrapped normal summed over far more images than the implementation uses."""
    images = x.unsqueeze(-1) + torch.arange(-30, 31, dtype=x.dtype)
    return torch.logsumexp(-0.5 * (images / sigma).square(), dim=-1)


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.3, 0.7, 1.25])
def test_score_is_the_gradient_of_the_wrapped_log_density(sigma: float) -> None:
    x = torch.linspace(-0.499, 0.499, 101, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(log_density(x, sigma).sum(), x)
    score = wrapped_normal_score(x.detach(), torch.full_like(x.detach(), sigma))
    assert torch.allclose(score, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.3, 0.5])
def test_score_scale_is_the_root_mean_square_of_the_score(sigma: float) -> None:
    rng = torch.Generator().manual_seed(0)
    x = sigma * torch.randn(200_000, generator=rng, dtype=torch.float64)
    score = wrapped_normal_score(x, torch.full_like(x, sigma))
    scale = score_scale(torch.tensor([sigma], dtype=torch.float64))
    assert float(score.square().mean().sqrt() / scale) == pytest.approx(1.0, abs=0.02)


def test_narrow_wrapped_normal_scores_like_a_plain_one() -> None:
    sigma = torch.tensor([0.002], dtype=torch.float64)
    assert float(score_scale(sigma) * sigma) == pytest.approx(1.0, abs=1e-3)


@given(st.floats(-1e3, 1e3))
def test_wrapping_moves_by_whole_cells_into_half_a_cell(x: float) -> None:
    wrapped = float(wrap(torch.tensor(x, dtype=torch.float64)))
    assert -0.5 <= wrapped < 0.5
    assert (x - wrapped) == pytest.approx(round(x - wrapped), abs=1e-9)


def test_schedules_begin_clean_and_end_in_noise() -> None:
    ends = torch.tensor([0.0, 1.0])
    alpha, sigma = cell_signal_and_noise(ends)
    assert torch.allclose(alpha.square() + sigma.square(), torch.ones(2))
    assert float(alpha[0]) == 1.0
    assert float(alpha[1]) < 2e-3
    assert mask_probability(ends).tolist() == [0.0, 1.0]
    sigmas = coordinate_sigma(ends, torch.tensor([8, 8]))
    # A cube of eight atoms has atoms half as far apart, in fractional units, as one of one.
    assert sigmas.tolist() == pytest.approx([0.0025, 0.625])


lattices = st.tuples(
    st.tuples(*[st.floats(2.0, 12.0)] * 3), st.tuples(*[st.floats(60.0, 120.0)] * 3)
)


@given(lattices, st.integers(1, 20))
def test_cells_come_back_up_to_a_rotation(
    parameters: tuple[tuple[float, ...], tuple[float, ...]], n: int
) -> None:
    from ase.geometry import cellpar_to_cell

    cell = cellpar_to_cell([*parameters[0], *parameters[1]])
    if abs(np.linalg.det(cell)) < 1.0:
        return
    lattice = torch.from_numpy(cell).unsqueeze(0)
    atoms = torch.tensor([n])
    back = lattice_from_log_strain(log_strain(lattice, atoms), atoms)
    assert torch.allclose(back @ back.mT, lattice @ lattice.mT, rtol=1e-8, atol=1e-8)


def test_first_cell_coordinate_is_the_log_length_of_an_atom() -> None:
    # A cube of edge 6 Angstrom with 8 atoms: 27 cubic Angstrom an atom, (1/3) ln 27 = ln 3.
    strain = log_strain(6.0 * torch.eye(3, dtype=torch.float64).unsqueeze(0), torch.tensor([8]))
    assert strain[0].tolist() == pytest.approx([np.log(3.0), 0, 0, 0, 0, 0])


def test_a_rotated_cell_has_the_same_coordinates() -> None:
    rng = np.random.default_rng(1)
    cell = torch.from_numpy(rng.normal(size=(3, 3)) + 4.0 * np.eye(3))
    rotation = torch.linalg.qr(torch.from_numpy(rng.normal(size=(3, 3)))).Q
    atoms = torch.tensor([3])
    turned = log_strain((cell @ rotation).unsqueeze(0), atoms)
    assert torch.allclose(turned, log_strain(cell.unsqueeze(0), atoms))
