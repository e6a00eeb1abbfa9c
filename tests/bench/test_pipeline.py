"""What the benchmark of overlapping loops makes of three timings."""

from __future__ import annotations

import pytest
from pipeline import Timing, figures


def test_shares_of_the_ideal_are_of_the_work_shared_out_evenly():
    work = {"sample": 40.0, "assess": 30.0, "score": 10.0, "finetune": 20.0}
    alone = Timing(wall_s=104.0, work_s=work, waits_s=0.0, evaluations=50)
    in_turn = Timing(wall_s=80.0, work_s={}, waits_s=0.0, evaluations=50)
    overlapping = Timing(wall_s=60.0, work_s={}, waits_s=5.0, evaluations=48)
    rows = {row["name"]: row for row in figures(alone, in_turn, overlapping, cores=2)}
    # 100 s of work on two cores: 50 s for 50 evaluations.
    assert rows["ideal on 2 cores, against one process"]["value"] == pytest.approx(1.0)
    assert rows["share of the ideal, loops in turn"]["value"] == pytest.approx(50 / 80, abs=1e-3)
    # Fewer evaluations in the same time are not a gain.
    assert rows["share of the ideal, loops overlapping"]["value"] == pytest.approx(48 / 60)
    against = rows["Ray, loops overlapping, against in turn"]
    assert against["ratio"] == pytest.approx((80 / 50) / (60 / 48), abs=1e-3)
    assert rows["work: finetune"]["value"] == 20.0
