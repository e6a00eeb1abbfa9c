from __future__ import annotations

import re
from pathlib import Path

import pytest

from ray_matdesign.config.llm import EndpointSettings, LlmSettings, ServedModelSettings
from ray_matdesign.config.loading import ConfigError, dump, load_settings

EVERYTHING = """\
default:
  url: http://127.0.0.1:8000/v1/
  model: embedded
  token_env: LLM_TOKEN
roles:
  planner:
    url: https://llm.example.com/v1
    timeout_s: 60
budget:
  tokens: 1000
  requests: 10
  seconds: 60
replay: cassette.jsonl
"""


def test_settings_survive_their_own_yaml() -> None:
    read = load_settings(LlmSettings, EVERYTHING, "file")
    assert load_settings(LlmSettings, dump(read), "again") == read
    assert read.default.url == "http://127.0.0.1:8000/v1"
    assert read.roles.given() == {
        "planner": EndpointSettings(url="https://llm.example.com/v1", timeout_s=60.0)
    }


def test_the_example_of_the_documentation_loads() -> None:
    page = Path(__file__).parents[2] / "docs" / "llm.md"
    (example,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    assert load_settings(LlmSettings, example, "docs").budget == LlmSettings().budget


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("default: {url: localhost:8000}", "file: default.url: 'localhost:8000' is no URL"),
        ("default: {url: 'http://me:pw@host/v1'}", "file: default.url: a URL holds no user"),
        ("default: {token: abc}", "file: default.token: unknown key; did you mean"),
        ("default: {token_env: a-b}", "file: default.token_env: must match"),
        ("roles: {planer: {}}", "file: roles.planer: unknown key; did you mean roles.planner?"),
        ("budget: {tokens: 0}", "file: budget.tokens: must be greater than 0"),
        ("budget: {seconds: '60'}", "file: budget.seconds: must be a valid number"),
    ],
)
def test_mistakes_are_told_by_their_key(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(LlmSettings, text, "file")
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tensor_parallel: 2", "tensor_parallel 2 needs gpus: true"),
        ("options: {max_model_len: 5}", "options.max_model_len: not here"),
        ("options: {--dtype: float}", "options.--dtype: not here"),
        ("replicas: 0", "replicas: must be greater than 0"),
        ("model: ''", "model: "),
    ],
)
def test_what_cannot_be_served_is_told(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_settings(ServedModelSettings, text, "file")
