"""What docs/potentials.md tells users to type works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ray_matdesign.config.schema import PotentialSettings
from ray_matdesign.config.yaml_text import parse
from ray_matdesign.potentials import POTENTIALS
from ray_matdesign.potentials.protocol import EnergyScale

PAGE = (Path(__file__).parents[2] / "docs" / "potentials.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_check_of_ones_own_potential_finds_nothing_in_emt() -> None:
    (script,) = _blocks("python")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_every_potential_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)`", PAGE, flags=re.MULTILINE)) == set(POTENTIALS)


def test_settings_shown_are_settings() -> None:
    shown = [PotentialSettings.model_validate(parse(text)["potential"]) for text in _blocks("yaml")]
    assert [settings.name for settings in shown] == ["mattersim", "ase"]
    assert EnergyScale(shown[1].options["energy_scale"]) is EnergyScale.MP_UNCORRECTED
