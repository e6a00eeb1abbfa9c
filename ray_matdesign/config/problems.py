"""What is wrong with a configuration, one line a problem, naming the dotted key."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]

_WORDING = (
    ("Input should be a valid dictionary or object to extract fields from", "must be a mapping"),
    ("Input should be an object", "must be a mapping of keys to values"),
    ("Input should be", "must be"),
    ("Value error, ", ""),
    ("String should match", "must match"),
    ("Tuple should have at least", "must have at least"),
    (" after validation, not 0", ""),
)


def describe(error: ValidationError, model: type[BaseModel], data: Any) -> list[tuple[Path, str]]:
    """Path and problem of each error, in the order of the schema's fields.

    Args:
        error: From validating ``data``.
        model: What it was validated as.
        data: Plain mappings, lists and scalars.
    """
    details = error.errors(include_url=False, include_context=True)
    deepest = [detail["loc"] for detail in details]
    problems = []
    for detail in details:
        loc = detail["loc"]
        # A list whose every item is wrong is reported as empty as well: not worth a line.
        if detail["type"] == "too_short" and any(
            other[: len(loc)] == loc and len(other) > len(loc) for other in deepest
        ):
            continue
        problems.append(_problem(detail, _without_tags(loc, data), model, data))
    return problems


def dotted(path: Path) -> str:
    """``("rl", "lr")`` as ``rl.lr``."""
    return ".".join(str(part) for part in path)


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema; items of lists as ``.0``."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield key
        item = ".0" if get_origin(field.annotation) is tuple else ""
        for inner in _models(field.annotation):
            yield from known_keys(inner, f"{key}{item}.")


def _problem(detail: Any, path: Path, model: type[BaseModel], data: Any) -> tuple[Path, str]:
    match detail["type"]:
        case "extra_forbidden":
            return path, _unknown_key(path, model, data)
        case "missing":
            return path, "missing; it has no default"
        case "union_tag_invalid":
            tags = detail["ctx"]["expected_tags"]
            return (*path, "kind"), f"must be one of {tags}, got {detail['ctx']['tag']!r}"
        case "union_tag_not_found":
            tags = ", ".join(_kind(m) for m in _models_at(path, model))
            return (*path, "kind"), f"missing; must be one of {tags}"
        case "value_error":
            return path, _reworded(detail["msg"])
        case _:
            return path, f"{_reworded(detail['msg'])}, got {_short(detail['input'])}"


def _unknown_key(path: Path, model: type[BaseModel], data: Any) -> str:
    *parent, key = path
    models = _models_at(tuple(parent), model)
    kind = _value_at(data, (*parent, "kind"))
    siblings = [name for m in models if kind is None or _kind(m) == kind for name in m.model_fields]
    near = difflib.get_close_matches(str(key), siblings, n=1)
    if near:
        return f"unknown key; did you mean {dotted((*parent, near[0]))}?"
    if any(key in m.model_fields for m in models):  # a key of another kind of the same thing
        return f"unknown key; known here are {', '.join(dict.fromkeys(siblings))}"
    everywhere = list(dict.fromkeys(known_keys(model)))
    elsewhere = [k for k in everywhere if k.rpartition(".")[2] == key and k != dotted(path)]
    if elsewhere:
        return f"unknown key; did you mean {' or '.join(elsewhere[:3])}?"
    return f"unknown key; known here are {', '.join(dict.fromkeys(siblings))}"


def _without_tags(loc: Path, data: Any) -> Path:
    """Pydantic's location of an error, without the union members it passed through."""
    path: list[str | int] = []
    node, may_be_tag = data, True
    for part in loc:
        if may_be_tag and isinstance(node, Mapping) and node.get("kind") == part:
            may_be_tag = False  # the next part is a field, even if it is called like the tag
            continue
        path.append(part)
        node, may_be_tag = _step(node, part), True
    return tuple(path)


def _step(node: Any, part: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, Sequence) and isinstance(part, int) and part < len(node):
        return node[part]
    return None


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        data = _step(data, part)
    return data


def _models_at(path: Path, model: type[BaseModel]) -> list[type[BaseModel]]:
    models = [model]
    for part in path:
        if isinstance(part, str):
            fields = [m.model_fields[part] for m in models if part in m.model_fields]
            models = [inner for field in fields for inner in _models(field.annotation)]
    return models


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes inside a type: itself, or members of its unions, tuples, lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType, tuple, list):
        return [m for inner in get_args(annotation) for m in _models(inner)]
    return []


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return ""
    return str(get_args(field.annotation)[0])


def _reworded(message: str) -> str:
    for theirs, ours in _WORDING:
        message = message.replace(theirs, ours)
    return " ".join(message.split())


def _short(value: Any) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
