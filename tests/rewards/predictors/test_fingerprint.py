"""Fingerprints: invariance, and failures that cost only their own crystal."""

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.chgnet import ChgnetPotential, load_network
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors.fingerprint import FINGERPRINT_LENGTH, fingerprints

ROCKSALT = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
MGO = Crystal(4.21 * np.array(ROCKSALT), [[0.0] * 3, [0.5] * 3], [12, 8])
GAAS = Crystal(5.65 * np.array(ROCKSALT), [[0.0] * 3, [0.25] * 3], [31, 33])


@pytest.fixture(scope="module")
def network():
    return load_network(device=torch.device("cpu"), dtype=torch.float32)


def test_cell_order_and_origin_do_not_matter(network):
    doubled = Crystal(
        MGO.lattice * [[2.0], [1.0], [1.0]],
        [[0.0, 0.0, 0.0], [0.25, 0.5, 0.5], [0.5, 0.0, 0.0], [0.75, 0.5, 0.5]],
        [12, 8, 12, 8],
    )
    moved = MGO.with_cell(MGO.lattice, MGO.frac_coords + np.array([0.13, -0.4, 0.77])).permuted(
        [1, 0]
    )
    plain, large, other = fingerprints(network, [MGO, doubled, moved])
    assert plain.shape == (FINGERPRINT_LENGTH,)
    np.testing.assert_allclose(large, plain, atol=2e-4)
    np.testing.assert_allclose(other, plain, atol=2e-4)


def test_a_batch_is_its_members(network):
    together = fingerprints(network, [MGO, GAAS, MGO])
    alone = [fingerprints(network, [crystal])[0] for crystal in (MGO, GAAS, MGO)]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_what_it_reads_gives_the_moments_of_the_potential():
    """The features before the last block are what CHGNet's moments are a linear function of."""
    potential = ChgnetPotential()
    iron = Crystal(1.43 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), [[0.0] * 3], [26])
    (vector,) = fingerprints(potential.network, [iron])
    weight, bias = potential.network._magmom_head
    moment = abs(float(weight[0] @ torch.from_numpy(vector[:64]) + bias[0]))
    (point,) = potential.evaluate([iron])
    assert moment == pytest.approx(float(point.magmoms_mu_b[0]), abs=1e-4)


def test_bad_crystals_cost_only_themselves(network):
    gas = Crystal(30.0 * np.eye(3), [[0.0] * 3], [12])
    clash = Crystal(4.0 * np.eye(3), [[0.0] * 3, [0.02] * 3], [12, 8])
    polonium = Crystal(3.35 * np.eye(3), [[0.0] * 3], [84])
    flat = Crystal(np.diag([50.0, 50.0, 1e-4]), [[0.0] * 3], [12])
    found = fingerprints(network, [gas, MGO, clash, polonium, flat, GAAS])
    reasons = [r.reason if isinstance(r, Failed) else "" for r in found]
    assert "without a neighbour" in reasons[0]
    assert "apart" in reasons[2]
    assert reasons[3] == "unknown element: Po"
    assert reasons[4]
    np.testing.assert_allclose(found[1], fingerprints(network, [MGO])[0], atol=2e-4)
    assert not reasons[5]
