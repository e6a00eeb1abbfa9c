from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.rl.executor import BatchFailed, Role
from ray_matdesign.rl.local import LocalExecutor


class Adder:
    def __init__(self, settings):
        self.offset = settings["offset"]
        self.loaded = []

    def load(self, weights, version):
        self.loaded.append((float(weights["w"][0]), version))

    def add(self, payload):
        if payload["x"] < 0:
            raise ValueError(f"cannot add\n {payload['x']}")
        return {"y": payload["x"] + self.offset, "loaded": list(self.loaded)}


@pytest.fixture
def executor():
    module = types.ModuleType("adder_module")
    module.make = Adder
    sys.modules["adder_module"] = module
    yield LocalExecutor([Role("adder", "adder_module:make", {"offset": 10})])
    del sys.modules["adder_module"]


def test_results_come_with_the_index_of_their_batch(executor):
    results = dict(executor.map("adder", "add", [{"x": 1}, {"x": 2}]))
    assert {i: r["y"] for i, r in results.items()} == {0: 11, 1: 12}


def test_a_batch_that_raises_is_a_value_in_one_line_and_the_others_go_on(executor):
    results = dict(executor.map("adder", "add", [{"x": 1}, {"x": -2}, {"x": 3}]))
    assert results[1] == BatchFailed("ValueError: cannot add -2")
    assert results[2]["y"] == 13


def test_published_weights_are_loaded_once_before_the_next_batch(executor):
    executor.publish("adder", {"w": np.array([1.0])}, 1)
    executor.publish("adder", {"w": np.array([2.0])}, 2)
    (_, first), (_, second) = executor.map("adder", "add", [{"x": 1}, {"x": 2}])
    assert first["loaded"] == second["loaded"] == [(2.0, 2)]


def test_a_worker_built_anew_gets_the_weights_again(executor):
    executor.publish("adder", {"w": np.array([3.0])}, 5)
    list(executor.map("adder", "add", [{"x": 1}]))
    executor.close()
    ((_, result),) = executor.map("adder", "add", [{"x": 1}])
    assert result["loaded"] == [(3.0, 5)]


def test_a_factory_that_does_not_exist_is_an_error_at_once():
    executor = LocalExecutor([Role("reward", "no_such_module:make")])
    with pytest.raises(UnknownName, match="no_such_module"):
        list(executor.map("reward", "score", []))


def test_other_weights_of_the_same_version_are_loaded_and_the_same_are_not(executor):
    weights = {"w": np.array([1.0])}
    for published in (weights, weights, {"w": np.array([2.0])}):
        executor.publish("adder", published, 1)
        ((_, result),) = executor.map("adder", "add", [{"x": 1}])
    assert result["loaded"] == [(1.0, 1), (2.0, 1)]


def test_each_map_runs_with_the_weights_published_when_it_was_asked_for(executor):
    executor.publish("adder", {"w": np.array([1.0])}, 1)
    earlier = executor.map("adder", "add", [{"x": 1}] * 2)
    executor.publish("adder", {"w": np.array([2.0])}, 2)
    later = executor.map("adder", "add", [{"x": 1}] * 2)
    in_turn = [next(earlier), next(later), next(earlier), next(later)]
    assert in_turn[-1][1]["loaded"] == [(1.0, 1), (2.0, 2), (1.0, 1), (2.0, 2)]


def test_time_at_work_is_booked_by_verb(executor):
    assert executor.busy_s() == {}
    list(executor.map("adder", "add", [{"x": 1}, {"x": -2}]))
    assert executor.busy_s()["add"] > 0.0
