"""The packaged predictors on crystals everybody knows, and their trainers on small tables."""

import numpy as np
import pytest
import torch

from ray_matdesign.crystals.convert import from_pymatgen
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.dataset import Dataset
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS
from ray_matdesign.potentials.chgnet import load_network
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors import train_band_gap, train_synthesizability
from ray_matdesign.rewards.predictors.artifact import PredictorError
from ray_matdesign.rewards.predictors.band_gap import BandGapModel, hurdle
from ray_matdesign.rewards.predictors.composition import element_table
from ray_matdesign.rewards.predictors.synthesizability import SynthesizabilityModel

FCC = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def cell(group: int, a: float, *atoms: tuple[str, float]) -> Crystal:
    from pymatgen.core import Lattice, Structure

    symbols, places = zip(*((symbol, [x, x, x]) for symbol, x in atoms), strict=True)
    conventional = Structure.from_spacegroup(group, Lattice.cubic(a), symbols, places)
    return from_pymatgen(conventional.get_primitive_structure())


def counts(**atoms: int) -> dict[int, int]:
    return {ATOMIC_NUMBERS[symbol]: n for symbol, n in atoms.items()}


@pytest.fixture(scope="module")
def gap_model():
    return BandGapModel.load()


def test_gaps_of_textbook_crystals_are_near_pbe(gap_model):
    # PBE gaps in eV as in the literature; the shared labels hold none of these crystals but MgO.
    expected = [
        (cell(216, 5.46, ("Al", 0.0), ("P", 0.25)), 1.6, 0.6),
        (cell(225, 4.21, ("Mg", 0.0), ("O", 0.5)), 4.6, 0.8),
        (cell(225, 4.03, ("Li", 0.0), ("F", 0.5)), 8.9, 1.5),
        (cell(216, 5.65, ("Ga", 0.0), ("As", 0.25)), 0.3, 0.6),
        (cell(225, 4.81, ("Ca", 0.0), ("O", 0.5)), 3.6, 0.8),
        (cell(225, 3.61, ("Cu", 0.0)), 0.0, 0.01),
        (cell(229, 3.16, ("W", 0.0)), 0.0, 0.01),
    ]
    for result, (_, gap, tolerance) in zip(
        gap_model.predict([crystal for crystal, _, _ in expected]), expected, strict=True
    ):
        assert result.gap_ev == pytest.approx(gap, abs=tolerance)
        assert result.spread_ev >= 0.0
        assert (result.nonmetal_probability >= 0.5) == (result.gap_ev > 0.0)


def test_a_crystal_without_fingerprint_fails_alone(gap_model):
    good = cell(225, 4.21, ("Mg", 0.0), ("O", 0.5))
    bad = Crystal(30.0 * np.eye(3), [[0.0] * 3], [12])
    first, failed, last = gap_model.values([good, bad, good])
    assert isinstance(failed, Failed)
    assert first == pytest.approx(last, abs=1e-3)
    assert all(isinstance(result, Failed) for result in gap_model.predict([bad, bad]))
    assert gap_model.predict([]) == []


def test_hurdle_of_zero_logits():
    probability, size = hurdle(torch.zeros(2))
    assert float(probability) == 0.5
    assert float(size) == pytest.approx(np.log(2.0))


def test_a_gap_model_is_trained_saved_and_read(tmp_path):
    """Metals and insulators told apart by their anions, from a few dozen crystals."""
    rng = np.random.default_rng(0)
    crystals, gaps = [], []
    for cation in ("Mg", "Ca", "Sr", "Ba", "Li", "Na", "K", "Zn", "Cd", "Be", "Al", "Sc", "Y"):
        for anion, gap in (("O", 4.0), ("F", 6.0), ("Pd", 0.0), ("Ag", 0.0)):
            a = 4.8 + 0.1 * rng.standard_normal()
            numbers = [ATOMIC_NUMBERS[cation], ATOMIC_NUMBERS[anion]]
            crystals.append(Crystal(0.5 * a * FCC, [[0.0] * 3, [0.5] * 3], numbers))
            gaps.append(gap)
    names = tuple(map(str, range(len(gaps))))
    data = Dataset(names, tuple(crystals), {"band_gap": np.array(gaps)})
    network = load_network(device=torch.device("cpu"), dtype=torch.float32)
    cache = tmp_path / "f.npz"
    described, vectors = train_band_gap.fingerprint_table(network, data, cache)
    _, again = train_band_gap.fingerprint_table(network, data, cache)
    np.testing.assert_array_equal(vectors, again)
    with pytest.raises(ValueError, match="other crystals"):
        train_band_gap.fingerprint_table(network, data.subset([0, 1]), cache)
    rows = [(((8, 1), (12, 1)), 4.0), (((9, 1), (11, 1)), 6.0), (((12, 1), (47, 1)), 0.0)] * 8
    prior = train_band_gap.train_prior(rows, element_table(), members=2, epochs=2, seed=0)
    model = train_band_gap.train(described, vectors, prior, network, members=2, epochs=60, seed=0)
    held = model.card["held back"]
    assert held["n"] > 2
    assert held["accuracy, metal or not"] > 0.9
    model.save(tmp_path / "m.safetensors")
    back = BandGapModel.load(tmp_path / "m.safetensors")
    np.testing.assert_allclose(back.values(crystals[:8]), model.values(crystals[:8]), atol=0.05)
    with pytest.raises(PredictorError, match="holds 'band_gap'"):
        SynthesizabilityModel.load(tmp_path / "m.safetensors")


def test_figures_of_a_perfect_and_of_a_blind_predictor():
    labels = np.array([0.0, 0.0, 1.0, 3.0])
    perfect = train_band_gap.figures(labels, labels, (labels > 0).astype(float))
    assert perfect["MAE, eV"] == 0.0
    assert perfect["AUC, metal or not"] == 1.0
    blind = train_band_gap.figures(labels, np.array([1.0, 0.0, 1.0, 1.1]), np.full(4, 0.5))
    assert blind["MAE of non-metals, eV"] == pytest.approx(0.95)
    assert blind["MAE of metals, eV"] == pytest.approx(0.5)
    assert blind["AUC, metal or not"] == 0.5


def test_synthesizability_tells_textbook_compounds_from_nonsense():
    model = SynthesizabilityModel.load()
    known = [
        counts(Sr=1, Ti=1, O=3),
        counts(Ce=1, O=2),
        counts(Cd=1, Te=1),
        counts(La=1, B=6),
        counts(Li=1, Nb=1, O=3),
        counts(Ni=1, Ti=1),
    ]
    nonsense = [
        counts(Mg=3, F=1),
        counts(Ca=1, F=4),
        counts(K=1, Mg=1, F=7),
        counts(Ca=1, Ti=1, O=7),
        counts(Ga=1, F=6),
        counts(Be=1, O=3),
    ]
    good, bad = model.votes(known).mean(axis=0), model.votes(nonsense).mean(axis=0)
    assert (good > 0.5).all()
    assert np.median(good) - np.median(bad) > 0.5
    assert good.min() > bad.max()


def test_votes_are_probabilities_of_every_network():
    model = SynthesizabilityModel.load()
    votes = model.votes([counts(Na=1, Cl=1), counts(Na=4, Cl=4), counts(U=1, O=2)])
    assert votes.shape == (model.ensemble.members, 3)
    assert ((votes >= 0.0) & (votes <= 1.0)).all()
    np.testing.assert_array_equal(votes[:, 0], votes[:, 1])
    assert model.votes([]).shape == (model.ensemble.members, 0)


def test_a_classifier_is_trained_on_tables(tmp_path):
    """Alkali halides are known, their intermetallics are not."""
    alkali, halogens = ("Li", "Na", "K", "Rb", "Cs"), ("F", "Cl", "Br", "I")
    known = [f"{a}{x}" for a in alkali for x in halogens]
    known += [f"{a}{b}{x}2" for a in alkali for b in alkali for x in halogens if a < b]
    metals = ("Pt", "Pd", "Au", "Ag", "Rh", "Ir", "Os", "Ru", "Re", "W")
    other = [f"{a}{n}{m}{k}" for a in alkali for m in metals for n in (1, 2) for k in (1, 3)]
    (tmp_path / "halides.csv").write_text("formula\n" + "\n".join(known))
    (tmp_path / "alloys.csv").write_text("formula\n" + "\n".join([*other, "NaCl"]))
    kinds = train_synthesizability.gather(
        [tmp_path / "halides.csv"], [tmp_path / "alloys.csv"], seed=0
    )
    assert set(kinds) == {"known", "alloys", "made up", "altered"}
    assert len(kinds["known"]) == 60
    assert len(kinds["alloys"]) == len(other)  # NaCl is known, and taken out
    formulas = [formula for kind in kinds.values() for formula in kind]
    assert len(set(formulas)) == len(formulas)
    model = train_synthesizability.train(kinds, members=2, epochs=60, seed=0)
    assert model.card["held back"]["alloys"]["AUC"] > 0.95
    model.save(tmp_path / "m.safetensors")
    back = SynthesizabilityModel.load(tmp_path / "m.safetensors")
    probe = [counts(K=1, Br=1), counts(K=1, Pt=3)]
    np.testing.assert_allclose(back.votes(probe), model.votes(probe), atol=2e-3)


def test_bags_hold_all_known_and_equal_parts_of_the_rest():
    rows = {
        "known": np.arange(100),
        "a": np.arange(100, 130),
        "b": np.arange(130, 500),
        "made up": np.arange(500, 600),
        "altered": np.arange(600, 700),
    }
    bagged = train_synthesizability.bags(rows, 3, np.random.default_rng(0))
    assert bagged.shape == (3, 200)
    for bag in bagged:
        parts = [int(np.isin(bag, members).sum()) for members in rows.values()]
        assert parts == [100, 25, 25, 25, 25]
    assert not np.array_equal(bagged[0], bagged[1])
