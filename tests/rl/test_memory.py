from __future__ import annotations

import pytest

from ray_matdesign.rl.memory import Evaluated, LongTermMemory


def found(key: int, formula: str, reward: float | None, loop: int = 1) -> Evaluated:
    return Evaluated(str(key), loop, formula, formula, reward)


def memory(*records: Evaluated) -> LongTermMemory:
    held = LongTermMemory()
    held.append(records)
    return held


def test_failed_evaluations_are_billed_but_do_not_count_as_occurrences():
    held = memory(found(1, "MgO", 0.5), found(2, "MgO", None), found(3, "NaCl", 0.9))
    assert len(held) == 3
    assert held.occurrences() == {"MgO": 1, "NaCl": 1}
    assert held.diversity_ratio() == pytest.approx(2 / 3)


def test_a_key_is_billed_once():
    held = memory(found(1, "MgO", 0.5))
    held.append([found(1, "MgO", 0.5)])
    assert len(held) == 1


def test_hits_are_unique_formulas_above_the_threshold():
    held = memory(found(1, "MgO", 0.9), found(2, "MgO", 0.95), found(3, "NaCl", 0.8))
    assert held.unique_hits(0.8) == 1


def test_the_burden_appears_with_the_hundredth_unique_hit():
    held = memory(*(found(i, f"A{i}", 0.9 if i % 2 else 0.1) for i in range(198)))
    assert held.burden(0.8) is None
    held.append([found(199, "A199", 0.9)])
    assert held.burden(0.8) == pytest.approx(199 / 100)


def test_the_diversity_ratio_ends_after_three_thousand_evaluations():
    held = memory(*(found(i, f"A{i % 1500}", 0.1) for i in range(3000)))
    assert held.diversity_ratio() == pytest.approx(0.5)
    held.append([found(3000, "B", 0.1)])
    assert held.diversity_ratio() is None


def test_the_baseline_is_the_mean_of_the_last_three_loops():
    held = memory(*(found(loop, "A", loop / 10, loop) for loop in (1, 2, 3, 5)))
    assert held.baseline() == pytest.approx((0.2 + 0.3 + 0.5) / 3)
    assert LongTermMemory().baseline() is None


def test_a_saved_state_is_the_same_memory():
    held = memory(found(1, "MgO", 0.5), found(2, "NaCl", None, 2))
    restored = LongTermMemory()
    restored.load_state_dict(held.state_dict())
    assert restored.state_dict() == held.state_dict()
    assert restored.occurrences() == held.occurrences()
