"""From recipes, files and overrides to settings, and errors a user can act on."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.config.loading import (
    ConfigError,
    Override,
    dump,
    list_recipes,
    load_run_config,
    load_settings,
)
from ray_matdesign.config.schema import AscendingTransform, RLSettings, RunConfig

MINIMAL = """\
name: dense
objective:
  terms:
    - scorer: density
      transform: {kind: target, target: 18, max_distance: 10}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dense.yaml"
    path.write_text(MINIMAL)
    return path


def problems(source: str | Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_run_config(source, overrides)
    return str(caught.value).splitlines()


def test_a_file_needs_only_what_has_no_default(file: Path) -> None:
    config = load_run_config(file)
    assert config.name == "dense"
    assert config.objective.terms[0].weight == 1.0
    assert config.rl == RLSettings()


def test_defaults_are_those_of_the_paper() -> None:
    rl = RLSettings()
    assert (rl.loops, rl.samples, rl.evaluations, rl.top_fraction) == (120, 64, 16, 0.5)
    assert (rl.epochs, rl.timesteps, rl.accumulate) == (3, 1000, 50)
    assert (rl.lr, rl.sigma, rl.deviation_offset) == (1e-5, 0.025, 1.1)
    assert (rl.replay.capacity, rl.replay.draw, rl.replay.min_reward) == (100, 10, 0.1)
    assert (rl.diversity.tolerance, rl.diversity.buffer) == (3, 6)


def test_overrides_reach_every_depth_and_into_lists(file: Path) -> None:
    config = load_run_config(
        file,
        [
            "rl.lr=3e-6",
            "rl.replay.draw=4",
            "objective.terms.0.weight=2",
            "objective.aggregation=weighted",
            "objective.terms.0.transform={kind: ascending, min: 0, max: 5}",
            "generator.options={steps: 50, note: No}",
            "stability.require=[stable]",
            "execution.address=",
        ],
    )
    assert config.rl.lr == 3e-6
    assert config.rl.replay.draw == 4
    assert config.objective.terms[0].weight == 2.0
    assert config.objective.terms[0].transform == AscendingTransform(
        kind="ascending", min=0.0, max=5.0
    )
    assert config.generator.options == {"steps": 50, "note": "No"}
    assert config.stability.require == ("stable",)
    assert config.execution.address is None


def test_the_later_override_wins(file: Path) -> None:
    assert load_run_config(file, ["seed=1", "seed=2"]).seed == 2


def test_an_override_may_supply_what_the_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "nameless.yaml"
    path.write_text(MINIMAL.removeprefix("name: dense\n"))
    assert problems(path) == [f"{path}: name: missing; it has no default"]
    assert load_run_config(path, ["name=later"]).name == "later"


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("rl.lrr", "rl.lr?"),
        ("lr", "rl.lr?"),
        ("rl.loop", "rl.loops?"),
        ("tolerance", "rl.diversity.tolerance?"),
        ("objective.terms.0.wieght", "objective.terms.0.weight?"),
        ("objective.terms.0.transform.max_distanc", "objective.terms.0.transform.max_distance?"),
    ],
)
def test_an_unknown_key_is_named_with_a_guess(file: Path, key: str, guess: str) -> None:
    assert problems(file, f"{key}=1") == [f"command line: {key}: unknown key; did you mean {guess}"]


def test_keys_of_another_transform_are_unknown(file: Path) -> None:
    (line,) = problems(file, "objective.terms.0.transform.min=2")
    assert line.startswith("command line: objective.terms.0.transform.min: unknown key; known here")
    assert "max_distance" in line


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("rl.loops=12.5", "rl.loops: must be a valid integer, got 12.5"),
        ("rl.loops='12'", "rl.loops: must be a valid integer, got '12'"),
        ("rl.loops=true", "rl.loops: must be a valid integer, got true"),
        ("rl.loops=", "rl.loops: must be a valid integer, got null"),
        ("rl.lr=0", "rl.lr: must be greater than 0, got 0"),
        ("rl.lr=.nan", "rl.lr: must be a finite number, got nan"),
        ("rl.top_fraction=1.5", "rl.top_fraction: must be less than or equal to 1, got 1.5"),
        ("prefilter.smact=no", "prefilter.smact: must be a valid boolean, got 'no'"),
        ("prefilter.min_elements=0", "prefilter.min_elements: must be greater than 0, got 0"),
        (
            "prefilter.forbidden_elements=[Pb, PB]",
            "prefilter.forbidden_elements: no chemical elements: 'PB'",
        ),
        ("execution.backend=Ray", "execution.backend: must be 'local' or 'ray', got 'Ray'"),
        ("rl=5", "rl: must be a mapping of keys to values, got 5"),
        (
            "objective.terms.0.transform.kind=wishful",
            "objective.terms.0.transform.kind: must be one of 'ascending', 'descending', 'target', "
            "'sigmoid', 'reverse_sigmoid', 'double_sigmoid', 'step', got 'wishful'",
        ),
        (
            "objective.terms.0.transform={}",
            "objective.terms.0.transform.kind: missing; must be one of ascending, descending, "
            "target",
        ),
        (
            "objective.terms.0.transform={kind: ascending, min: 3, max: 3}",
            "objective.terms.0.transform: min (3.0) must be below max (3.0)",
        ),
        (
            "objective.terms.0.transform={kind: descending, min: 3, max: 1}",
            "objective.terms.0.transform: min (3.0) must be below max (1.0)",
        ),
        (
            "objective.terms.0.transform.min_distance=10",
            "objective.terms.0.transform: min_distance (10.0) must be below max_distance (10.0)",
        ),
        (
            "rl.diversity.tolerance=6",
            "rl.diversity: tolerance (6) must be below buffer (6)",
        ),
        (
            "objective.terms.0.weight=2",
            "objective: aggregation is 'mean', which ignores the weight of density; set it to "
            "'weighted', 'geometric' or 'chebyshev', or remove the weight",
        ),
        (
            "objective.terms.0.transform={kind: step}",
            "objective.terms.0.transform: give low, high, or both",
        ),
        (
            "objective.filters=[{scorer: hhi}]",
            "objective.filters.0: give min, max, or both",
        ),
        (
            "objective.filters=[{scorer: density, options: {x: 1}, min: 1}]",
            "objective: the filter on density has other options than the term; give both the same",
        ),
        (
            "objective.filters=[{scorer: hhi, max: 1}, {scorer: hhi, min: 0}]",
            "objective: each scorer may appear in one filter, got ['hhi', 'hhi']",
        ),
        (
            "objective.terms.0.min_score=1.5",
            "objective.terms.0.min_score: must be less than or equal to 1, got 1.5",
        ),
        ("cache=", "cache: must be a valid string, got null"),
        ("objective.terms=[]", "objective.terms: must have at least 1 item, got []"),
        (
            "objective.terms.1.weight=2",
            "objective.terms.1: there is no such item; objective.terms is a list of 1, counted "
            "from 0",
        ),
        ("name.x=2", "name.x: name is 'dense', which has no keys"),
        (
            "stability.require.0=stable",
            "stability.require.0: the file gives no list there; set all of it, "
            "stability.require=[...]",
        ),
        ("rl.lr=[1", "rl.lr: '[1': line 1, column 3: did not find expected ',' or ']'"),
    ],
)
def test_a_bad_value_is_one_line_with_its_key(file: Path, override: str, line: str) -> None:
    (found,) = problems(file, override)
    assert found.startswith(f"command line: {line.partition('did not')[0]}")


@pytest.mark.parametrize("text", ["rl.lr", "=1", "rl..lr=1", ".rl=1", ""])
def test_an_override_has_a_key_and_an_equals_sign(file: Path, text: str) -> None:
    (line,) = problems(file, text)
    assert line == f"command line: {text!r} is not of the form key=value, rl.lr=1e-5"


def test_every_problem_gets_its_line_and_its_source(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(MINIMAL + "rl:\n  lrr: 1\nseed: -1\n")
    lines = problems(path, "rl.loops=0")
    assert sorted(lines) == sorted(
        [
            f"{path}: rl.lrr: unknown key; did you mean rl.lr?",
            f"{path}: seed: must be greater than or equal to 0, got -1",
            "command line: rl.loops: must be greater than 0, got 0",
        ]
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty; it must hold at least the required keys"),
        ("# nothing\n", "the file is empty; it must hold at least the required keys"),
        ("- a\n", "must be a mapping of keys to values, found a list"),
        ("density\n", "must be a mapping of keys to values, found a str"),
        ("name: a\nname: b\n", "line 2, column 1: key 'name' is given twice"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert problems(path) == [f"{path}: {problem}"]


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    missing = tmp_path / "missing.yaml"
    assert problems(missing) == [f"{missing}: no such file"]
    assert problems(binary) == [f"{binary}: not a text file"]
    assert problems(tmp_path) == [f"{tmp_path}: is a folder; give a recipe or a YAML file"]
    assert problems("densty") == ["densty: neither a recipe nor a file; did you mean density?"]
    assert problems("xyzzy")[0].startswith("xyzzy: neither a recipe nor a file; recipes are")


def test_values_that_refer_to_themselves_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(MINIMAL + "generator:\n  options: &a\n    again: *a\n")
    (line,) = problems(path)
    assert line.startswith(f"{path}: only plain values are possible")


@pytest.mark.parametrize("recipe", [r.name for r in list_recipes()])
def test_a_dump_loads_back_identically(recipe: str) -> None:
    config = load_run_config(recipe)
    assert load_settings(RunConfig, dump(config), "dump") == config


JSON_LIKE = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(options=st.dictionaries(st.text(), JSON_LIKE, max_size=4), lr=st.floats(1e-12, 1e3))
def test_any_settings_survive_a_dump(options: dict[str, object], lr: float) -> None:
    config = load_run_config("density").model_copy(
        update={
            "generator": load_run_config("density").generator.model_copy(
                update={"options": options}
            ),
            "rl": RLSettings(lr=lr),
        }
    )
    assert load_settings(RunConfig, dump(config), "dump") == config


@given(
    path=st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=1, max_size=4),
    value=st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
)
def test_overrides_parse_to_their_path_and_value(path: list[str], value: object) -> None:
    text = f"{'.'.join(path)}={str(value).lower()}"
    assert Override.parse(text) == Override(tuple(path), value)
