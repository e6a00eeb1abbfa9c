"""YAML as chemists write it: numbers are numbers, everything that is no number is a string."""

import math

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ray_matdesign.config.yaml_text import YamlError, format_yaml, parse

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+2", 2),
        ("012", 12),
        (".inf", math.inf),
        ("true", True),
        ("null", None),
        ("", None),
        ("No", "No"),
        ("y", "y"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("'1e-5'", "1e-5"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    parsed = parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@settings(deadline=None)
@example({"\x85\u9f40": "\ufeff \u2028"})
@given(PLAIN)
def test_what_is_written_reads_back(data: object) -> None:
    assert parse(format_yaml(data)) == data


@given(st.floats(allow_nan=False))
def test_floats_keep_every_bit(value: float) -> None:
    assert parse(format_yaml({"lr": value})) == {"lr": value}


@pytest.mark.parametrize("text", ["1e-5", "true", "null", "~", "12", ".inf", "", "No", "1:30"])
def test_strings_that_look_like_something_else_stay_strings(text: str) -> None:
    assert parse(format_yaml({"name": text})) == {"name": text}


@given(st.lists(st.sampled_from(["No", "Y", "on", "off", "Yes", "1:30", "1_000", "0x1F", "Pb"])))
def test_readers_of_yaml_1_1_see_the_same_strings(symbols: list[str]) -> None:
    assert yaml.safe_load(format_yaml({"elements": symbols})) == {"elements": symbols}


def test_tuples_are_written_as_lists_on_one_line() -> None:
    assert format_yaml({"require": ("stable", "novel")}) == "require: [stable, novel]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rl:\n  lr: 1\n  lr: 2\n", "line 3, column 3: key 'lr' is given twice"),
        ("a: [1, 2", "line 1, column 9:"),
        ("? [a, b]\n: 1\n", "a key must be a plain word"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a\x00b", "unacceptable character"),
    ],
)
def test_malformed_text_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=r"^[^\n]+$") as caught:
        parse(text)
    assert message in str(caught.value)
