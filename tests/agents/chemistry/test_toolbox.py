from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ray_matdesign.agents.chemistry.toolbox import chemistry_tools
from ray_matdesign.agents.tools.protocol import Toolbox, ToolError
from ray_matdesign.crystals.cif import write_cif_text
from ray_matdesign.crystals.crystal import Crystal

PAGE = Path(__file__).resolve().parents[3] / "docs" / "chemistry-tools.md"


@pytest.fixture(scope="module")
def tools() -> Toolbox:
    return chemistry_tools()


def rock_salt(cation: int, anion: int, length_ang: float) -> str:
    lattice = [[0, length_ang / 2, length_ang / 2], [length_ang / 2, 0, length_ang / 2],
               [length_ang / 2, length_ang / 2, 0]]  # fmt: skip
    return write_cif_text(Crystal(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [cation, anion]), "salt")


def test_schemas_are_json_a_model_can_read(tools: Toolbox) -> None:
    assert len(tools) == 19
    for tool in tools.values():
        schema = json.loads(json.dumps(tool.schema()))
        assert schema["parameters"]["additionalProperties"] is False
        assert 20 < len(schema["description"]) < 400


def test_answers_are_json(tools: Toolbox) -> None:
    answers = [
        tools.call("identify_substance", {"text": "caffeine"}),
        tools.call("balance_reaction", {"equation": "Fe + O2 -> Fe2O3"}),
        tools.call("oxidation_states", {"formula": "Fe3O4"}),
        tools.call("find_substructure", {"molecule": "CCO", "smarts": "[OX2H]"}),
        tools.call("check_incompatibilities", {"substances": ["bleach", "ammonia"]}),
    ]
    for answer in answers:
        json.loads(answer.model_dump_json())


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("molar_mass", {}, "formula: missing"),
        ("molar_mass", {"formula": "NaCl", "unit": "g"}, "unknown key"),
        ("dilute_solution", {"stock_mol_per_l": "5 M", "final_mol_per_l": 1.0,
                             "final_volume_ml": 10.0}, "stock_mol_per_l"),
        ("dilute_solution", {"stock_mol_per_l": -1.0, "final_mol_per_l": 1.0,
                             "final_volume_ml": 10.0}, "greater than 0"),
        ("hull_distance", {"formula": "MgO^2+", "formation_energy_ev_per_atom": 0.0}, "neutral"),
        ("describe_crystal", {"cif": "this is certainly no CIF"}, "no crystal"),
        ("molecule_properties", {"molecule": "unobtainium"}, "no SMILES"),
        ("no_such_tool", {}, "there are"),
    ],
)  # fmt: skip
def test_wrong_calls_are_told_in_one_line(
    tools: Toolbox, name: str, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ToolError, match=words) as caught:
        tools.call(name, arguments)
    assert "\n" not in str(caught.value)


def test_molecules_are_never_read_as_formulas(tools: Toolbox) -> None:
    answer = tools.call("molecule_properties", {"molecule": "CO"})
    assert answer.model_dump()["formula"] == "CH4O"


def test_the_composition_of_a_crystal(tools: Toolbox) -> None:
    def neutral(formula: str) -> bool:
        return bool(
            tools.call("check_composition", {"formula": formula}).model_dump()["charge_neutral"]
        )

    assert neutral("LiFePO4")
    assert neutral("limestone")
    assert not neutral("NaCl2")
    assert not neutral("Fe3O4")


def test_a_crystal_is_described(tools: Toolbox) -> None:
    told = tools.call("describe_crystal", {"cif": rock_salt(12, 8, 4.212)}).model_dump()
    assert (told["formula"], told["space_group"], told["space_group_number"]) == (
        "MgO", "Fm-3m", 225,
    )  # fmt: skip
    assert told["density_g_per_cm3"] == pytest.approx(3.583, abs=0.005)
    assert told["shortest_distance_ang"] == pytest.approx(2.106)


def test_distance_to_the_packaged_hull(tools: Toolbox) -> None:
    def above(formula: str, energy: float) -> dict[str, object]:
        return tools.call(
            "hull_distance", {"formula": formula, "formation_energy_ev_per_atom": energy}
        ).model_dump()

    magnesia = above("MgO", -3.0)
    assert magnesia["decomposition"] == {"MgO": pytest.approx(1.0)}
    assert 0.0 < float(str(magnesia["e_above_hull_ev_per_atom"])) < 0.15
    mixture = above("Mg2O", 0.0)["decomposition"]
    assert mixture == {"Mg": pytest.approx(1 / 3), "MgO": pytest.approx(2 / 3)}
    with pytest.raises(ToolError, match="does not cover He"):
        above("HeO", 0.0)


def test_the_nearest_known_crystal(tools: Toolbox) -> None:
    same = tools.call("nearest_known_crystal", {"cif": rock_salt(12, 8, 4.2)}).model_dump()
    assert (same["relation"], same["formula"], same["distance"]) == ("same crystal", "MgO", 0.0)
    lattice = [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 9.0]]
    odd = write_cif_text(Crystal(lattice, [[0, 0, 0], [0, 0, 0.25]], [12, 8]), "odd")
    other = tools.call("nearest_known_crystal", {"cif": odd}).model_dump()
    assert (other["relation"], other["formula"]) == ("same formula", "MgO")
    assert other["distance"] > 0.0


def test_a_formula_nobody_knows_has_neighbours(tools: Toolbox) -> None:
    sites = [[i / 8, i / 8, i / 8] for i in range(8)]
    crystal = Crystal([[9, 0, 0], [0, 9, 0], [0, 0, 9]], sites, [12, 8, 8, 8, 8, 8, 8, 8])
    told = tools.call("nearest_known_crystal", {"cif": write_cif_text(crystal, "odd")}).model_dump()
    assert told["relation"] == "nearest composition"
    assert 0.0 < told["distance"] < 0.5


def test_the_page_shows_what_there_is(tools: Toolbox) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - the page's own code
    table = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert {name for cell in table for name in re.findall(r"`(\w+)`", cell)} == set(tools)
