"""``ray-matdesign score``."""

import csv
import io
from pathlib import Path

import pytest

from ray_matdesign.config.loading import dump

ATOMIC_MASS_CU = 63.546
GRAMS_PER_CM3 = 1.66053906660


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def copper_density(nearest_ang: float) -> float:
    return ATOMIC_MASS_CU * GRAMS_PER_CM3 / (nearest_ang**3 / 2**0.5)


def test_the_reward_is_the_recipes(command, copper: Path, campaign: Path) -> None:
    outcome = command("score", copper, "--recipe", campaign)
    assert outcome.status == 0, outcome.err
    (row,) = rows(outcome.out)
    density = copper_density(2.40)
    assert float(row["density (g/cm3)"]) == pytest.approx(density, rel=1e-4)
    # The ramp falls from 1 at 18 g/cm3 to 0 at a distance of 10.
    assert float(row["reward"]) == pytest.approx((10 - (18 - density)) / 10, abs=1e-3)
    assert row["formula"] == "Cu"
    assert float(row["E_form (eV/atom)"]) == pytest.approx(float(row["E_hull (eV/atom)"]))


def test_relaxing_first_lowers_the_energy(command, copper: Path, campaign: Path) -> None:
    given = rows(command("score", copper, "--recipe", campaign).out)[0]
    relaxed = rows(command("score", copper, "--recipe", campaign, "--relax").out)[0]
    assert float(relaxed["energy (eV/atom)"]) < float(given["energy (eV/atom)"]) - 0.01
    assert float(relaxed["E_hull (eV/atom)"]) == pytest.approx(0.0, abs=0.01)


def test_crystals_that_fail_are_named_and_the_others_go_on(
    command, copper: Path, campaign: Path, tmp_path: Path
) -> None:
    (tmp_path / "crowded.cif").write_text(copper.read_text() + "Cu2 Cu 0.001 0 0\n")
    (tmp_path / "iron.cif").write_text(copper.read_text().replace("Cu1 Cu", "Fe1 Fe"))
    files = [tmp_path / "crowded.cif", tmp_path / "iron.cif", copper]
    (tmp_path / "emt.yaml").write_text(campaign.read_text().replace("toy:solid", "emt"))
    outcome = command("score", *files, "--recipe", "emt.yaml", "--out", "scores.csv")
    assert (outcome.status, outcome.out) == (0, "scores.csv\n")
    assert [row["name"] for row in rows(Path("scores.csv").read_text())] == ["iron", "copper"]
    crowded, iron = outcome.err.splitlines()
    assert "crowded: atoms overlap" in crowded
    assert "iron: no energy: " in iron
    unknown = rows(Path("scores.csv").read_text())[0]
    assert unknown["E_hull (eV/atom)"] == ""
    assert float(unknown["density (g/cm3)"]) > 0


def test_scorers_by_name_use_the_packaged_reference(command, copper: Path) -> None:
    outcome = command("score", copper, "--by", "density", "--by", "hhi", "--by", "formation_energy")
    assert outcome.status == 0, outcome.err
    (row,) = rows(outcome.out)
    assert float(row["density (g/cm3)"]) == pytest.approx(copper_density(2.40), rel=1e-4)
    assert float(row["hhi"]) == pytest.approx(1500)  # Gaultois et al., Chem. Mater. 2013
    assert 0.0 < float(row["formation_energy (eV/atom)"]) < 1.0  # compressed by 7 %


def test_a_cache_is_added_to_and_looked_up(command, copper: Path, tmp_path: Path) -> None:
    options = ["--by", "density", "--by", "bulk_modulus", "--cache", "kept"]
    (tmp_path / "stretched.cif").write_text(copper.read_text().replace("2.4", "2.6"))
    first = command("score", copper, *options)
    assert first.status == 0, first.err
    assert first.err.splitlines() == ["cache kept: 0 values recalled, 1 computed"]
    again = command("score", copper, "stretched.cif", *options)
    assert again.err.splitlines() == ["cache kept: 1 values recalled, 1 computed"]
    name = "bulk_modulus (GPa)"
    assert rows(again.out)[0][name] == rows(first.out)[0][name]
    assert rows(again.out)[1][name] != rows(first.out)[0][name]
    assert command("score", copper, *options[:-2]).err == ""


def test_what_a_run_paid_for_is_recalled(command, reference: Path, tmp_path: Path) -> None:
    import toy

    term = {
        "scorer": "toy:counted_density",
        "options": {"log": str(tmp_path / "paid.log"), "cost": "mlip"},
        "transform": {"kind": "target", "target": 18.0, "max_distance": 10.0},
    }
    changes = {"objective.terms": [term], "rl.loops": 1, "cache": "kept"}
    (tmp_path / "toy.yaml").write_text(dump(toy.config(reference, **changes)))
    run = command("run", "toy.yaml", "--out", "run")
    assert run.status == 0, run.err
    paid = (tmp_path / "paid.log").read_text()
    scored = command("score", "run/best", "--recipe", "toy.yaml")
    found = rows(scored.out)
    assert scored.err.splitlines() == [f"cache kept: {len(found)} values recalled, 0 computed"]
    assert (tmp_path / "paid.log").read_text() == paid
    elsewhere = command("score", "run/best", "--recipe", "toy.yaml", "--cache", "other")
    assert elsewhere.err.splitlines() == [f"cache other: 0 values recalled, {len(found)} computed"]
    rewards = [float(row["reward"]) for row in found]
    assert [float(row["reward"]) for row in rows(elsewhere.out)] == pytest.approx(rewards, abs=1e-3)


def test_a_cache_that_cannot_be_used_is_one_line(command, copper: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    outcome = command("score", copper, "--by", "bulk_modulus", "--cache", "taken")
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert "cache taken: File exists" in line


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "give either --by SCORER or --recipe RECIPE"),
        (["--by", "density", "--recipe", "hhi"], "give either --by SCORER or --recipe RECIPE"),
        (["--by", "densty"], "unknown scorer 'densty'; did you mean density?"),
        (["--recipe", "densty"], "densty: neither a recipe nor a file; did you mean density?"),
    ],
)
def test_bad_options_are_one_line(command, copper: Path, options: list[str], problem: str) -> None:
    outcome = command("score", copper, *options)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert problem in line
