from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ray_matdesign.agents.objectives.analysis import LanguageError, analysed, check_program
from ray_matdesign.agents.objectives.features import Batch, Features
from ray_matdesign.agents.objectives.interpreter import evaluate
from ray_matdesign.agents.objectives.language import Program, schema
from ray_matdesign.agents.objectives.samples import known_crystals, sample
from ray_matdesign.potentials.protocol import Failed


def program(expression: dict[str, Any]) -> Program:
    return Program.model_validate({"expression": expression})


def value(expression: dict[str, Any], name: str, unit: str = "", **given: float) -> float | Failed:
    batch = Batch((sample(name),), {key: (number,) for key, number in given.items()})
    (found,) = evaluate(program(expression), batch, unit)
    return found


def number(of: float, unit: str = "") -> dict[str, Any]:
    return {"op": "number", "value": of, "unit": unit}


CONTRAST = {"op": "element", "property": "electronegativity"}
DENSITY = {"op": "structure", "property": "density"}


@pytest.mark.parametrize(
    ("expression", "name", "unit", "expected"),
    [
        (DENSITY, "NaCl", "g/cm3", 2.163),  # CRC Handbook
        (DENSITY, "NaCl", "kg/m3", 2163.0),
        ({"op": "structure", "property": "volume_per_atom"}, "diamond", "A^3", 5.673),
        ({"op": "structure", "property": "volume_per_atom"}, "diamond", "nm^3", 5.673e-3),
        ({"op": "structure", "property": "space_group"}, "TiO2", "", 136),
        ({"op": "structure", "property": "space_group"}, "SmCo5", "", 191),
        ({"op": "structure", "property": "coordination_mean"}, "Fe", "", 8),
        ({"op": "structure", "property": "coordination_mean"}, "CaF2", "", 16 / 3),
        ({"op": "structure", "property": "nearest_distance_min"}, "NaCl", "A", 2.820),
        ({"op": "element", "property": "atomic_mass"}, "SiC", "u", 20.048),
        (CONTRAST | {"statistic": "range"}, "NaCl", "", 2.23),
        (CONTRAST | {"statistic": "std"}, "NaCl", "", 1.115),
        ({"op": "element", "property": "melting_point", "statistic": "max"}, "W", "K", 3695.0),
        # Gaultois et al., Chem. Mater. 25, 2911 (2013): TiN 1145
        ({"op": "element", "property": "hhi_production", "weights": "mass"}, "TiN", "", 1145.0),
        ({"op": "share", "of": ["rare_earth"]}, "SmCo5", "", 1 / 6),
        ({"op": "share", "of": ["Sm"], "weights": "mass"}, "SmCo5", "", 0.3379),
        ({"op": "count", "of": "atoms_per_formula"}, "TiO2", "", 3),
        ({"op": "count", "of": "elements"}, "BaTiO3", "", 3),
        ({"op": "composition_distance", "formula": "BaZrO3"}, "BaTiO3", "", 0.2),
        ({"op": "magnitude", "arg": DENSITY, "unit": "kg/m^3"}, "NaCl", "", 2163.0),
        ({"op": "clip", "arg": DENSITY, "low": 3.0, "high": 4.0}, "NaCl", "g/cm3", 3.0),
        ({"op": "less", "left": DENSITY, "right": number(3.0, "g/cm3")}, "NaCl", "", 1.0),
        ({"op": "not", "arg": {"op": "less", "left": DENSITY, "right": number(3.0, "g/cm3")}},
         "NaCl", "", 0.0),
    ],
)  # fmt: skip
def test_golden_values(expression: dict[str, Any], name: str, unit: str, expected: float) -> None:
    assert value(expression, name, unit) == pytest.approx(expected, rel=2e-3)


def test_mass_density_is_made_of_mass_and_volume() -> None:
    built = {
        "op": "divide",
        "left": {"op": "element", "property": "atomic_mass"},
        "right": {"op": "structure", "property": "volume_per_atom"},
    }
    assert value(built, "Au", "g/cm3") == pytest.approx(value(DENSITY, "Au", "g/cm3"), rel=1e-9)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ({"op": "divide", "left": number(1.0), "right": {"op": "share", "of": ["F"]}}, "divide"),
        ({"op": "log", "arg": {"op": "share", "of": ["F"]}}, "log"),
        ({"op": "sqrt", "arg": {"op": "negate", "arg": {"op": "count", "of": "elements"}}}, "sqrt"),
        ({"op": "exp", "arg": {"op": "multiply", "args": [number(1e3),
                                                          {"op": "count", "of": "elements"}]}},
         "exp"),
        ({"op": "property", "scorer": "pugh_ratio"}, "was not asked"),
    ],
)  # fmt: skip
def test_what_has_no_value_fails_with_a_reason(expression: dict[str, Any], reason: str) -> None:
    found = value(expression, "NaCl")
    assert isinstance(found, Failed)
    assert reason in found.reason


def test_an_element_without_a_value_is_named() -> None:
    helium = Batch((sample("NaCl"), _with_helium()))
    wanted = {"op": "element", "property": "electronegativity"}
    found, missing = evaluate(program(wanted), helium, "")
    assert found == pytest.approx(2.045)
    assert missing == Failed("no electronegativity tabulated for He")


def test_a_branch_not_taken_may_have_no_value() -> None:
    share = {"op": "share", "of": ["Cl"]}
    guarded = {
        "op": "where",
        "condition": {"op": "greater", "left": share, "right": number(0.0)},
        "then": {"op": "log", "arg": share},
        "otherwise": number(-9.0),
    }
    assert value(guarded, "NaCl") == pytest.approx(math.log(0.5))
    assert value(guarded, "Cu") == -9.0


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ({"op": "add", "args": [DENSITY, number(1.0)]}, "add of different things"),
        ({"op": "log10", "arg": DENSITY}, "take its magnitude"),
        ({"op": "less", "left": DENSITY, "right": number(1.0, "GPa")}, "less of different things"),
        ({"op": "add", "args": [DENSITY, number(1.0, "kg/m3")]}, "apart by a factor of 0.001"),
        ({"op": "share", "of": ["unobtainium"]}, "neither an element nor a group"),
        ({"op": "property", "scorer": "os.system"}, "no registered scorer"),
        ({"op": "composition_distance", "formula": "Xx2"}, "not a formula"),
        ({"op": "add", "args": [{"op": "population_diversity"}, {"op": "count", "of": "elements"}]},
         "mixes"),
        ({"op": "all", "args": [number(1.0), number(0.0)]}, "must be a condition"),
        ({"op": "quantity", "arg": DENSITY, "unit": "GPa"}, "has a unit already"),
    ],
)  # fmt: skip
def test_expressions_without_meaning_are_refused(expression: dict[str, Any], says: str) -> None:
    with pytest.raises(LanguageError, match=says):
        analysed(program(expression).expression)


def test_errors_name_the_place() -> None:
    wrong = {"op": "sqrt", "arg": {"op": "add", "args": [number(1.0), DENSITY]}}
    with pytest.raises(LanguageError, match=r"^expression\.arg: add"):
        analysed(program(wrong).expression)


def test_a_tree_too_deep_is_refused() -> None:
    deep: dict[str, Any] = number(1.0)
    for _ in range(40):
        deep = {"op": "negate", "arg": deep}
    with pytest.raises(ValidationError, match="16 deep"):
        program(deep)


def test_the_schema_ends_and_accepts_what_the_language_does() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    shallow = schema(2)
    jsonschema.validate({"version": 1, "expression": {"op": "sqrt", "arg": number(2.0)}}, shallow)
    deep = {"op": "sqrt", "arg": {"op": "sqrt", "arg": number(2.0)}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"expression": deep}, shallow)
    jsonschema.validate({"expression": deep}, schema())


def test_diversity_is_the_mean_over_pairs() -> None:
    crystals = tuple(known_crystals().values())[:20]
    shares = Features(Batch(crystals)).atom_fractions
    pairs = [0.5 * np.abs(shares[i] - shares[j]).sum() for i in range(20) for j in range(i)]
    (found,) = evaluate(program({"op": "population_diversity"}), Batch(crystals), "")
    assert found == pytest.approx(float(np.mean(pairs)))
    (alone,) = evaluate(program({"op": "population_diversity"}), Batch(crystals[:1]), "")
    assert isinstance(alone, Failed)


def test_a_program_must_be_of_its_kind() -> None:
    with pytest.raises(LanguageError, match="must be a condition"):
        check_program(program(DENSITY), "filter", "")
    with pytest.raises(LanguageError, match="one for the population"):
        check_program(program(DENSITY), "population", "g/cm3")
    with pytest.raises(LanguageError, match="is a constant"):
        check_program(program(number(1.0)), "candidate", "")


LEAVES = st.sampled_from(
    [
        number(2.0),
        {"op": "share", "of": ["light"]},
        {"op": "count", "of": "elements"},
        {"op": "element", "property": "electronegativity", "statistic": "range"},
        {"op": "structure", "property": "packing_fraction"},
        {"op": "property", "scorer": "pugh_ratio"},
    ]
)


def _grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.sampled_from(["add", "multiply", "minimum", "maximum"])
    unary = st.sampled_from(["sqrt", "log", "exp", "absolute", "negate"])
    compare = st.sampled_from(["less", "at_most", "greater", "at_least", "equal"])
    return st.one_of(
        st.builds(lambda op, args: {"op": op, "args": args}, several, st.lists(inner, min_size=2,
                                                                               max_size=3)),
        st.builds(lambda op, a, b: {"op": op, "left": a, "right": b},
                  st.sampled_from(["subtract", "divide"]), inner, inner),
        st.builds(lambda op, a: {"op": op, "arg": a}, unary, inner),
        st.builds(lambda op, a, b, t, o: {"op": "where", "condition":
                  {"op": op, "left": a, "right": b}, "then": t, "otherwise": o},
                  compare, inner, inner, inner, inner),
    )  # fmt: skip


EXPRESSIONS = st.recursive(LEAVES, _grown, max_leaves=10)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, st.permutations(range(8)))
def test_a_batch_is_its_crystals_one_by_one(expression: dict[str, Any], order: list[int]) -> None:
    crystals = tuple(known_crystals().values())[8:16]
    ratios = (1.0, Failed("unstable"), 2.0, 0.5, 3.0, 1.5, Failed("unstable"), 2.5)
    batch = Batch(crystals, {"pugh_ratio": ratios}).take(order)
    written = program(expression)
    together = evaluate(written, batch, "")
    if analysed(written.expression).level == "any":
        return  # a constant has no crystals
    for i, found in enumerate(together):
        (alone,) = evaluate(written, batch.take([i]), "")
        if isinstance(found, Failed):
            assert isinstance(alone, Failed)
        else:
            assert math.isfinite(found)
            assert alone == pytest.approx(found, rel=1e-9, abs=1e-12)


def _with_helium() -> Any:
    from ray_matdesign.crystals.crystal import Crystal

    return Crystal(4.0 * np.eye(3), [[0.0, 0.0, 0.0]], [2])
