from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.config.schema import ObjectiveSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.objective import ScorerError, build_objective
from ray_matdesign.rewards.scorer import Bench, Specimen

BENCH = Bench(None, None)  # type: ignore[arg-type]

USER_PACKAGE = """
    from ray_matdesign.potentials.protocol import Failed
    from ray_matdesign.rewards.scorer import CostClass

    class Atoms:
        name, unit, source, cost = "atoms", "", "counting", CostClass.CHEAP

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
    assert failed.values == {"atoms": 1.0}
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
