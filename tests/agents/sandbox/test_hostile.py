"""Every attack, in every tier that works here."""

from __future__ import annotations

import pytest

from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.hostile import Attack, Surroundings, attacks, launch

ATTACKS = {attack.name: attack for attack in attacks()}


def test_the_corpus_covers_what_is_promised() -> None:
    kinds = {name.split("_")[0] for name in ATTACKS}
    promised = "fork thread memory disk sockets names web environment files processes signals exits"
    promised += " flood loop calls rights terminal descriptors output packages orphans told shell"
    assert kinds >= set(promised.split())
    assert all(attack.must_not and attack.ends for attack in ATTACKS.values())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_held(box: Box, surroundings: Surroundings, name: str) -> None:
    attack: Attack = ATTACKS[name]
    if not attack.possible(box.tier):
        pytest.skip(f"{box.tier} never grants processes")
    finding = launch(box, attack, surroundings)
    assert not finding.problems, finding.result
    assert box.pid is not None
