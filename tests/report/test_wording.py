"""Units, formulas, numbers and objectives in words."""

from __future__ import annotations

import pytest

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.objective import ObjectiveTerm
from ray_matdesign.report.wording import (
    duration,
    formula_html,
    goal,
    number,
    objective_sentence,
    property_of,
    share,
    space_group_html,
    typeset_unit,
)


@pytest.mark.parametrize(
    ("unit", "typeset"),
    [
        ("g/cm3", "g/cm³"), ("mu_B/A^3", "μB/Å³"), ("eV/atom", "eV/atom"), ("GPa", "GPa"),
        ("log10 ppm", "log₁₀ ppm"), ("USD/kg", "USD/kg"), ("", ""), ("A^-3", "Å⁻³"), ("A2", "Å²"),
    ],
)  # fmt: skip
def test_units(unit: str, typeset: str) -> None:
    assert typeset_unit(unit) == typeset


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (18.0, "18.0"), (-0.01234, "−0.0123"), (1234.5, "1,234"), (None, "–"),
        (float("nan"), "–"), (0.99951, "1.000"), (1.7e-9, "0.000000"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_and_durations() -> None:
    assert [share(0, 5), share(1, 3), share(1, 30), share(1, 0)] == ["0 %", "33 %", "3.3 %", "–"]
    assert [duration(s) for s in (4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 05 min"]


def test_formulas_and_space_groups() -> None:
    assert formula_html("Ba2TiO10") == "Ba<sub>2</sub>TiO<sub>10</sub>"
    assert space_group_html("P6_3/mmc") == "P6<sub>3</sub>/mmc"
    assert space_group_html("Fd-3m") == 'Fd<span class="over">3</span>m'


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (
            {"kind": "target", "target": 18, "max_distance": 10},
            "a mass density of 18 g/cm³ (reward 1 at the target, 0 from 10 g/cm³ away)",
        ),
        (
            {"kind": "target", "target": 3, "min_distance": 0.5, "max_distance": 2},
            "a mass density of 3 g/cm³ (reward 1 within 0.5 g/cm³ of it, 0 from 2 g/cm³ away)",
        ),
        (
            {"kind": "ascending", "min": -1, "max": 20},
            "as high a mass density as possible (reward 0 at −1 g/cm³, 1 from 20 g/cm³)",
        ),
        (
            {"kind": "descending", "min": 2, "max": 4},
            "as low a mass density as possible (reward 1 up to 2 g/cm³, 0 from 4 g/cm³)",
        ),
        (
            {"kind": "sigmoid", "low": 2, "high": 4, "k": 0.5},
            "a high mass density (a sigmoid with reward 1/2 at 3 g/cm³)",
        ),
        (
            {"kind": "reverse_sigmoid", "low": 2, "high": 4, "k": 0.5},
            "a low mass density (a sigmoid with reward 1/2 at 3 g/cm³)",
        ),
        (
            {"kind": "double_sigmoid", "low": 2, "high": 4},
            "a mass density between 2 and 4 g/cm³ (a double sigmoid with reward 1/2 at either)",
        ),
        (
            {"kind": "step", "low": 2},
            "a mass density of at least 2 g/cm³ (reward 1, else 0)",
        ),
    ],
)
def test_goals(transform: dict[str, object], words: str) -> None:
    term = ObjectiveTerm.model_validate({"scorer": "density", "transform": transform})
    assert goal(term, property_of("density", "g/cm3")) == words


def test_filters_are_told_after_the_objective() -> None:
    config = load_run_config(
        "density",
        [
            "objective.filters=[{scorer: density, max: 20}, {scorer: price, min: 1, max: 2}]",
            "objective.terms.0.min_score=0.25",
        ],
    )
    density, price = property_of("density", "g/cm3"), property_of("price", "USD/kg")
    text = objective_sentence(config, [density], [density, price])
    assert "A reward below 0.25 for the mass density alone means none at all." in text
    assert "Only crystals with a mass density of at most 20 g/cm³ count." in text
    assert text.endswith("a price of the elements from 1 to 2 USD/kg count.")


def test_articles_agree() -> None:
    transform = {"kind": "descending", "min": 0, "max": 0.1}
    term = ObjectiveTerm.model_validate({"scorer": "e_above_hull", "transform": transform})
    words = goal(term, property_of("e_above_hull", "eV/atom"))
    assert words.startswith("as low an energy above the hull as possible (reward 1 up to 0 eV/atom")


def test_a_users_scorer_is_called_by_its_name() -> None:
    assert property_of("my_lab.scores:melting_point", "K").axis == "Melting point (K)"
