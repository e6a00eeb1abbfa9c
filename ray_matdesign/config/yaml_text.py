"""YAML 1.2 scalars, in and out.

PyYAML follows YAML 1.1, in which ``1e-5`` is a string, ``No`` (nobelium) is false and ``1:30`` is
ninety. Settings of a chemistry program are better served by the core schema of YAML 1.2: only
``true`` and ``false`` are booleans, every usual way to write a number is a number, and everything
else is a string. A key given twice is an error.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_PREFIX = "tag:yaml.org,2002:"
_YAML_1_1 = yaml.resolver.Resolver()
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
)


class YamlError(ValueError):
    """Text that is no YAML; the message is one line and names the place where it is known."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        # Keys are names, never numbers or booleans: settings have no other keys.
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Writes a value out each time it occurs: anchors help nobody who reads settings."""
        return True


for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}  # none of YAML 1.1's
    for _name, _pattern, _first in _SCALARS:
        _class.add_implicit_resolver(_PREFIX + _name, re.compile(_pattern), _first)
_Loader.add_constructor(_PREFIX + "int", lambda loader, node: int(node.value))
_Dumper.add_representer(tuple, lambda dumper, data: _represent_sequence(dumper, list(data)))
_Dumper.add_representer(list, lambda dumper, data: _represent_sequence(dumper, data))
_Dumper.add_representer(str, lambda dumper, data: _represent_text(dumper, data))


def parse(text: str) -> Any:
    """Reads one YAML document.

    Raises:
        YamlError: It is malformed, or gives a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlError(f"{place}{_one_line(error.problem or str(error))}") from error
    except yaml.YAMLError as error:
        raise YamlError(_one_line(str(error))) from error


def format_yaml(data: Any) -> str:
    """Writes plain data (mappings with string keys, sequences, scalars) so that it reads back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _represent_sequence(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    # Forty symbols of elements, one a line, would hide the settings around them.
    flat = not any(isinstance(item, dict | list | tuple) for item in items)
    return dumper.represent_sequence(_PREFIX + "seq", items, flow_style=flat)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML folds single-quoted text at these line breaks, and they do not come back.
    unsafe = any(character in text for character in "\x85\u2028\u2029\ufeff")
    # Quoted, nobelium is no boolean to readers of YAML 1.1 either.
    tag = _YAML_1_1.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    style = '"' if unsafe else None if tag == _PREFIX + "str" else "'"
    return dumper.represent_scalar(_PREFIX + "str", text, style=style)


def _one_line(text: str) -> str:
    return " ".join(text.split())
