"""``bench/saga_scale.py`` with a potential that takes no time, and one worker in this process."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from saga_scale import Scored, compared, config_of, registered, role_of, score

from ray_matdesign.agents.objectives.samples import sample
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rewards.scorers.elasticity import vickers_hardness
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.stability.reference import ReferenceSet


def test_what_is_scored_is_kept_and_is_chens_hardness(tmp_path: Path) -> None:
    config = config_of(registered(tmp_path), "emt", 1, tmp_path / "cache")
    crystals = [sample("Cu"), sample("Al")]
    with closing(LocalExecutor([role_of(config)])) as executor:
        first, again = score(executor, crystals), score(executor, crystals)
    bench = Bench(load_potential("emt"), ReferenceSet.load("packaged"))
    packaged = vickers_hardness(bench).score([Specimen(c, 0.0, 0.0, 0.0) for c in crystals])
    assert first.values == pytest.approx(packaged)
    assert (first.hits, first.share) == (0, 0.0)
    assert again.values == first.values
    assert again.share == 1.0


def test_figures_fall_short_where_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = Scored((1.0, None, 3.0), 0, 3.0), Scored((1.0, None, 3.0), 0, 2.0)
    half, all_kept = Scored((1.0, None, 3.0), 1, 1.0), Scored((1.0, None, 3.0), 2, 1.0)
    rows = {row["name"]: row for row in compared({1: slow, 2: fast}, {1: all_kept, 2: half})}
    assert rows["B8 speed-up, 2 replicas"]["value"] == pytest.approx(1.5)
    assert rows["B8 identical scores"]["value"] == 1.0
    assert rows["B8 cache hits, repeated"]["value"] == 0.5
    assert rows["B8 crystals without a value"]["value"] == 1.0
    other = Scored((1.0, None, 3.5), 0, 2.0)
    rows = {row["name"]: row for row in compared({1: slow, 2: other}, {1: all_kept})}
    assert rows["B8 identical scores"]["value"] == 0.0
