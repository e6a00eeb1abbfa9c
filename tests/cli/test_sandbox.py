"""``ray-matdesign sandbox check``."""

import csv
import io

import pytest

from ray_matdesign.agents.sandbox.box import SandboxUnavailable
from ray_matdesign.agents.sandbox.tiers import best_tier

pytestmark = pytest.mark.timeout(600)


def test_walls_of_this_machine_are_attacked_and_reported(command) -> None:
    try:
        tier = best_tier()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    outcome = command(
        "sandbox", "check", "--tier", tier, "--attack", "exits_at_once", "--attack", "files_read"
    )
    assert outcome.status == 0, outcome.err
    assert outcome.err.splitlines()[0].startswith(f"{tier}: ")
    assert outcome.err.endswith(f"2 attacks on {tier}: all held\n")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [(r["attack"], r["ended"], r["result"]) for r in rows] == [
        ("exits_at_once", "exited 7", "held"),
        ("files_read", "exited 0", "held"),
    ]


def test_names_that_do_not_exist_are_told(command) -> None:
    outcome = command("sandbox", "check", "--attack", "phishing")
    assert (outcome.status, outcome.out) == (2, "")
    assert "phishing: no such attack" in outcome.err
    assert (
        "moat: not one of bubblewrap, landlock" in command("sandbox", "check", "--tier", "moat").err
    )
