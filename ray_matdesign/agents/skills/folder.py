"""A skill as a folder in the Agent Skills format (https://agentskills.io/specification).

``SKILL.md`` says what the skill does, with its name and description in YAML front matter; more is
read only by who needs it: ``skill.py``, ``tests.json`` and ``meta.json``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ray_matdesign.agents.llm.protocol import AnyModel
from ray_matdesign.agents.skills.skill import Draft, Meta, Skill, SkillError, Tests, digest
from ray_matdesign.agents.skills.static_check import entry_of
from ray_matdesign.agents.skills.versions import Version
from ray_matdesign.config.problems import describe, dotted

FILES = ("SKILL.md", "skill.py", "tests.json", "meta.json")
_LARGEST_FILE = 2**20


def folder_name(name: str) -> str:
    """Of a skill's folder, which the format wants with hyphens and equal to the skill's name."""
    return name.replace("_", "-")


def write_skill(skill: Skill, parent: Path) -> Path:
    """Writes a skill's folder in one step: it is there as a whole or not at all.

    Args:
        skill: To be written.
        parent: Folder to put it into; made if it is missing.

    Returns:
        The folder, called like the skill.

    Raises:
        FileExistsError: There is something of that name.
        OSError: It cannot be written.
    """
    target = parent / folder_name(skill.name)
    if target.exists():
        raise FileExistsError(f"{target}: there already; nothing is replaced")
    parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=parent, prefix=".skill-"))
    try:
        for name, content in _contents(skill).items():
            with open(scratch / name, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        scratch.chmod(0o755)
        os.replace(scratch, target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    sync_folder(parent)
    return target


def read_skill(folder: Path) -> Skill:
    """Reads a folder with all four files.

    Raises:
        SkillError: A file is missing, damaged or not what ``meta.json`` says.
    """
    meta = _model(folder / "meta.json", Meta)
    draft = read_draft(folder)
    if digest(draft.source) != meta.source_hash:
        raise SkillError(f"{folder / 'skill.py'}: changed since the skill was admitted")
    return Skill(
        name=draft.name,
        description=draft.description,
        when_to_use=draft.when_to_use,
        tags=draft.tags,
        source=draft.source,
        tests=draft.tests,
        meta=meta,
    )


def read_draft(folder: Path) -> Draft:
    """Reads a folder as a proposal: what it says of its own merits is not believed.

    ``meta.json`` may be missing; of it, only the origin is taken.

    Raises:
        SkillError: A file is missing or damaged.
    """
    front = _front_matter(folder / "SKILL.md")
    more = front.get("metadata") or {}
    if not isinstance(more, dict):
        raise SkillError(f"{folder / 'SKILL.md'}: metadata: must be a mapping")
    when = str(more.get("when-to-use", ""))
    origin: dict[str, Any] = {}
    if (folder / "meta.json").exists():
        meta = _model(folder / "meta.json", Meta)
        origin = {
            "question": meta.question, "source_task": meta.source_task, "model": meta.model
        }  # fmt: skip
    given = {
        "name": str(more.get("entry", str(front.get("name", "")).replace("-", "_"))),
        "description": str(front.get("description", "")).removesuffix(when).strip(),
        "when_to_use": when,
        "tags": tuple(str(more.get("tags", "")).split()),
        "source": _text(folder / "skill.py"),
        "tests": _model(folder / "tests.json", Tests),
        **origin,
    }
    try:
        return Draft.model_validate(given)
    except ValidationError as error:
        raise SkillError(f"{folder}: {_problem(error, Draft, given)}") from error


def sync_folder(folder: Path) -> None:
    """Makes the entries of a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _contents(skill: Skill) -> dict[str, str]:
    return {
        "SKILL.md": _page(skill),
        "skill.py": skill.source,
        "tests.json": skill.tests.model_dump_json(indent=1) + "\n",
        "meta.json": skill.meta.model_dump_json(indent=1) + "\n",
    }


def _page(skill: Skill) -> str:
    entry = entry_of(skill.source, skill.name)
    packages = [f"{name} {version}" for name, version in skill.meta.environment.items()]
    more = {
        "entry": skill.name,
        "version": str(Version.parse(skill.meta.version)),
        "when-to-use": skill.when_to_use,
        "tags": " ".join(skill.tags),
    }
    front = {
        "name": folder_name(skill.name),
        "description": f"{skill.description} {skill.when_to_use}".strip(),
        "compatibility": ", ".join(packages)[:500],
        "metadata": {key: value for key, value in more.items() if value},
    }
    held = sum(case.held_out for case in skill.tests.cases)
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)}---\n\n"
        f"# {skill.name}\n\n{skill.description}\n\n{skill.when_to_use}\n\n"
        f"```python\nfrom skill import {skill.name}\n```\n\n`{entry.signature}`\n\n"
        f"The code, with what each argument means, is in `skill.py`; read it when it is to be "
        f"called.\n`tests.json` has {len(skill.tests.cases)} calls with their values, {held} of "
        f"them held back from\nwhoever wrote the code. `meta.json` says where the skill comes "
        f"from.\n"
    )


def _front_matter(path: Path) -> dict[str, Any]:
    parts = _text(path).split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise SkillError(f"{path}: does not begin with front matter between two lines of ---")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise SkillError(f"{path}: front matter: {' '.join(str(error).split())}") from error
    if not isinstance(front, dict):
        raise SkillError(f"{path}: front matter: must be a mapping of keys to values")
    return front


def _model(path: Path, model: type[AnyModel]) -> AnyModel:
    text = _text(path)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise SkillError(f"{path}: {_problem(error, model, None)}") from error


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            raise SkillError(f"{path}: missing, or no plain file")
        if path.stat().st_size > _LARGEST_FILE:
            raise SkillError(f"{path}: larger than any file of a skill")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SkillError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SkillError(f"{path}: not UTF-8") from error


def _problem(error: ValidationError, model: type[BaseModel], data: Any) -> str:
    where, what = describe(error, model, data)[0]
    return f"{dotted(where)}: {what}" if where else what
