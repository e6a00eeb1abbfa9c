from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.config.schema import ObjectiveSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.cache import ScoreCache
from ray_matdesign.rewards.objective import ScorerError, build_objective
from ray_matdesign.rewards.scorer import Bench, Specimen

BENCH = Bench(None, None)  # type: ignore[arg-type]

USER_PACKAGE = """
    from ray_matdesign.potentials.protocol import Failed
    from ray_matdesign.rewards.scorer import CostClass

    class Atoms:
        name, unit, source, cost = "atoms", "", "counting", CostClass.CHEAP
        version = "1"

        def __init__(self, offset=0.0):
            self.offset = offset

        def score(self, specimens):
            return [len(s.crystal) + self.offset for s in specimens]

    class Moody(Atoms):
        name = "moody"

        def score(self, specimens):
            return [Failed("not today"), float("nan"), 1.0][: len(specimens)]

    class Forgetful(Atoms):
        def score(self, specimens):
            return [1.0]

    class Logged(Atoms):
        calls = []

        def __init__(self, name, cost):
            self.name, self.cost = name, CostClass(cost)

        def score(self, specimens):
            Logged.calls.append((self.name, [len(s.crystal) for s in specimens]))
            return super().score(specimens)

        offset = 0.0

    class Unversioned:
        name, unit, source, cost = "unversioned", "", "counting", CostClass.CHEAP

        def score(self, specimens):
            return [1.0 for _ in specimens]

    def cheap(bench):
        return Logged("cheap", "cheap")

    def mlip(bench):
        return Logged("mlip", "mlip")

    def dft(bench):
        return Logged("dft", "dft")

    def unversioned(bench):
        return Unversioned()

    def atoms(bench, offset=0.0):
        return Atoms(offset)

    def moody(bench):
        return Moody()

    def forgetful(bench):
        return Forgetful()
"""


@pytest.fixture
def user_package(tmp_path, monkeypatch):
    (tmp_path / "my_scorers.py").write_text(textwrap.dedent(USER_PACKAGE))
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_scorers"
    sys.modules.pop("my_scorers", None)


def term(scorer, low=0.0, high=10.0, **rest):
    return {"scorer": scorer, "transform": {"kind": "ascending", "min": low, "max": high}, **rest}


def objective(*terms, **rest):
    return build_objective(ObjectiveSettings.model_validate({"terms": terms, **rest}), BENCH)


def specimens(*sizes):
    return [
        Specimen(Crystal(np.eye(3) * 6.0, np.linspace(0, 0.9, n)[:, None] * np.ones(3), [29] * n),
                 0.0, 0.0, 0.0)
        for n in sizes
    ]  # fmt: skip


def test_a_users_own_scorer_is_found_by_import_path(user_package):
    (result,) = objective(term(f"{user_package}:atoms", options={"offset": 0.5})).evaluate(
        specimens(4)
    )
    assert result.values == {"atoms": 4.5}
    assert result.reward == pytest.approx(0.45)


def test_terms_are_combined_crystal_by_crystal(user_package):
    both = objective(term(f"{user_package}:atoms"), term("density", 0.0, 20.0), aggregation="min")
    few, many = both.evaluate(specimens(2, 8))
    # 63.546 amu of copper in 216 cubic Angstrom each.
    assert few.values["density"] == pytest.approx(2 * 63.546 / 216 * 1.66053906660)
    assert few.reward == pytest.approx(few.values["density"] / 20.0)
    assert many.reward == pytest.approx(many.values["density"] / 20.0)


def test_a_missing_value_is_a_missing_reward_and_never_a_zero(user_package):
    parts = objective(term(f"{user_package}:moody"), term(f"{user_package}:atoms"))
    failed, not_a_number, fine = parts.evaluate(specimens(1, 2, 3))
    assert failed.reward is None
    assert failed.failures == {"moody": "not today"}
    assert failed.values == failed.recalled == {}
    assert failed.computed == {"moody": "cheap"}  # the next scorer was spared
    assert not_a_number.reward is None
    assert not_a_number.failures == {"moody": "the value is not a finite number"}
    assert fine.reward == pytest.approx(0.5 * (0.1 + 0.3))


def test_a_scorer_that_loses_crystals_is_an_error(user_package):
    with pytest.raises(ScorerError, match="'atoms' returned 1 results for 2 crystals"):
        objective(term(f"{user_package}:forgetful")).evaluate(specimens(1, 2))


def test_no_crystals_make_no_evaluations():
    assert objective(term("density")).evaluate([]) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("densty", "did you mean density"),
        ("no_such_package:make", "there is no module 'no_such_package'"),
        ("math:no_such_factory", "math has no 'no_such_factory'"),
    ],
)
def test_a_scorer_that_does_not_exist_is_named_with_what_to_do(name, message):
    with pytest.raises(UnknownName, match=message):
        objective(term(name))


def test_two_scorers_of_one_name_are_refused(user_package):
    with pytest.raises(ScorerError, match="two scorers share a name"):
        objective(term(f"{user_package}:atoms"), term(f"{user_package}:forgetful"))


def calls():
    return sys.modules["my_scorers"].Logged.calls


def test_expensive_scorers_see_only_what_everything_cheaper_let_through(user_package):
    three = objective(
        term(f"{user_package}:dft"),
        term(f"{user_package}:mlip", min_score=0.4),
        filters=[{"scorer": f"{user_package}:cheap", "min": 2, "max": 6}],
    )
    one, three_atoms, five, eight = three.evaluate(specimens(1, 3, 5, 8))
    assert calls() == [("cheap", [1, 3, 5, 8]), ("mlip", [3, 5]), ("dft", [5])]
    assert one.rejection == "cheap 1 < min 2"
    assert eight.rejection == "cheap 8 > max 6"
    assert three_atoms.rejection == "mlip scores 0.3 < min_score 0.4"
    assert [e.reward for e in (one, three_atoms, eight)] == [None] * 3
    assert five.rejection == ""
    assert five.reward == pytest.approx(0.5)
    assert five.computed == {"cheap": "cheap", "mlip": "mlip", "dft": "dft"}
    assert three_atoms.computed == {"cheap": "cheap", "mlip": "mlip"}


def test_the_bounds_of_a_filter_are_let_through(user_package):
    bounded = objective(term("density"), filters=[{"scorer": f"{user_package}:cheap", "max": 4}])
    at, over = bounded.evaluate(specimens(4, 5))
    assert at.reward is not None
    assert over.reward is None


def test_a_filter_whose_property_cannot_be_had_lets_nothing_through(user_package):
    moody = {"scorer": f"{user_package}:moody", "max": 5}
    failed, nan, fine = objective(term(f"{user_package}:mlip"), filters=[moody]).evaluate(
        specimens(1, 2, 3)
    )
    assert failed.failures == {"moody": "not today"}
    assert failed.reward is nan.reward is None
    assert fine.reward == pytest.approx(0.3)
    assert calls() == [("mlip", [3])]


def test_a_property_that_is_both_filtered_and_rewarded_is_computed_once(user_package):
    name = f"{user_package}:mlip"
    both = objective(term(name), filters=[{"scorer": name, "min": 2}])
    few, many = both.evaluate(specimens(1, 5))
    assert few.rejection == "mlip 1 < min 2"
    assert many.reward == pytest.approx(0.5)
    assert calls() == [("mlip", [1, 5])]


def test_screening_asks_cheap_gates_alone_and_evaluation_does_not_ask_again(user_package):
    cheap, mlip = f"{user_package}:cheap", f"{user_package}:mlip"
    limits = [{"scorer": mlip, "min": 0}, {"scorer": cheap, "min": 2}]
    gated = objective(term("density"), term(f"{user_package}:dft"), filters=limits)
    screened = gated.screen(specimens(1, 5))
    assert [e.rejection for e in screened] == ["cheap 1 < min 2", ""]
    assert [dict(e.values) for e in screened] == [{"cheap": 1.0}, {"cheap": 5.0}]
    (evaluation,) = gated.evaluate(specimens(5), [screened[1].values])
    assert calls() == [("cheap", [1, 5]), ("mlip", [5]), ("dft", [5])]
    assert set(evaluation.computed) == {"density", "mlip", "dft"}
    assert set(evaluation.values) == {"cheap", "density", "mlip", "dft"}


def test_a_scorer_without_a_version_is_refused(user_package):
    with pytest.raises(ScorerError, match="my_scorers:unversioned' has no version; a"):
        objective(term(f"{user_package}:unversioned"))


def test_values_come_from_the_cache_but_for_cheap_scorers(user_package, tmp_path):
    def search(**rest):
        terms = (term(f"{user_package}:mlip"), term(f"{user_package}:atoms"))
        settings = ObjectiveSettings.model_validate({"terms": terms, **rest})
        return build_objective(settings, BENCH, ScoreCache(tmp_path / "cache", {}))

    first = search().evaluate(specimens(2, 4))
    second = search(aggregation="min").evaluate(specimens(4, 3, 2))
    assert calls() == [("mlip", [2, 4]), ("mlip", [3])]
    assert [e.values["mlip"] for e in second] == [4.0, 3.0, 2.0]
    assert [e.values for e in first] == [second[2].values, second[0].values]
    assert second[0].recalled == {"mlip": "mlip"}
    assert second[0].computed == {"atoms": "cheap"}
    assert second[1].recalled == {}
