"""The scorers on predictors: options, failures, and what other packages' models must refuse."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
import pytest

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.predictors import megnet
from ray_matdesign.rewards.predictors.alignn import AlignnModel
from ray_matdesign.rewards.predictors.artifact import PredictorError
from ray_matdesign.rewards.predictors.band_gap import BandGapModel
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen
from ray_matdesign.rewards.scorers import band_gap, synthesizability

NOTHING = Bench(None, None)  # type: ignore[arg-type]
ROCKSALT = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def specimen(a: float, *numbers: int) -> Specimen:
    places = [[0.0] * 3, [0.5] * 3][: len(numbers)]
    return Specimen(Crystal(a * ROCKSALT, places, numbers), 0.0, 0.0, 0.0)


def test_band_gap_of_magnesia_and_copper():
    scorer = band_gap.make(NOTHING)
    assert (scorer.name, scorer.unit, scorer.version) == ("band_gap", "eV", "1")
    magnesia, copper, americium = scorer.score(
        [specimen(4.21, 12, 8), specimen(3.61, 29), specimen(5.05, 95, 8)]
    )
    assert 3.8 < magnesia < 5.4  # 4.6 with PBE, 7.8 measured
    assert copper == 0.0
    assert americium == Failed("unknown element: Am")


def test_caution_takes_the_spread_off_the_gap():
    crystals = [specimen(4.21, 12, 8), specimen(4.3, 25, 8), specimen(5.05, 95, 8)]
    bench = Bench(None, None)  # type: ignore[arg-type]
    plain, cautious, timid = (band_gap.make(bench, caution=c) for c in (0.0, 1.5, 1000.0))
    found = BandGapModel.load().predict([s.crystal for s in crystals])
    assert plain.score(crystals) == [found[0].gap_ev, found[1].gap_ev, found[2]]
    lower = [max(0.0, gap.gap_ev - 1.5 * gap.spread_ev) for gap in found[:2]]
    assert cautious.score(crystals)[:2] == pytest.approx(lower)
    assert found[0].spread_ev > 0.0
    assert timid.score(crystals) == [0.0, 0.0, found[2]]
    assert cautious.source.endswith("less 1.5 times their spread")


def test_caution_needs_a_spread():
    with pytest.raises(ValueError, match="caution must not be negative, got -1"):
        band_gap.make(NOTHING, caution=-1.0)
    with pytest.raises(ValueError, match="caution needs the packaged model, alignn gives no"):
        band_gap.make(NOTHING, model="alignn", caution=1.0)


def test_synthesizability_is_cheap_and_names_elements_it_does_not_know():
    scorer = synthesizability.make(NOTHING)
    assert (scorer.name, scorer.cost) == ("synthesizability", CostClass.CHEAP)
    magnesia, americium, again = scorer.score(
        [specimen(4.21, 12, 8), specimen(5.05, 95, 8), specimen(4.9, 12, 8)]
    )
    assert 0.5 < magnesia <= 1.0
    assert americium == Failed("unknown element: Am")
    assert again == magnesia  # the structure does not count
    assert scorer.score([]) == []


def test_unknown_models_and_missing_weights_are_named():
    with pytest.raises(ValueError, match="model must be packaged, megnet, alignn, got 'cgcnn'"):
        band_gap.make(NOTHING, model="cgcnn")
    with pytest.raises(PredictorError, match=r"band_gap: no weights at nowhere\.safetensors"):
        band_gap.make(NOTHING, weights="nowhere.safetensors")
    with pytest.raises(PredictorError, match="synthesizability: no weights at"):
        synthesizability.make(NOTHING, weights="nowhere.safetensors")


@pytest.mark.skipif(find_spec("alignn") is not None, reason="alignn is installed")
def test_alignn_says_what_to_install():
    with pytest.raises(PredictorError, match=r"'alignn' is not installed"):
        AlignnModel("mp_gappbe_alignn")


@pytest.mark.parametrize(
    ("found", "reason"), [("4.1.2", "matgl 4.1.2 would load these weights wrong"), (None, "not")]
)
def test_megnet_refuses_every_matgl_but_one(monkeypatch, found, reason):
    def installed(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(megnet, "version", installed)
    with pytest.raises(PredictorError, match=reason):
        megnet.MegnetBandGap()


def _matgl() -> str:
    try:
        return version("matgl")
    except PackageNotFoundError:
        return ""


@pytest.mark.skipif(_matgl() != megnet.MATGL, reason=f"needs matgl {megnet.MATGL}")
def test_megnet_gap_of_magnesia_is_near_pbe():
    scorer = band_gap.make(NOTHING, model="megnet")
    assert scorer.score([specimen(4.21, 12, 8)])[0] == pytest.approx(4.6, abs=0.8)
