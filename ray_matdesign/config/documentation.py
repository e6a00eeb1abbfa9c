"""What agents may look up: documentation of installed packages, a web search, tools of others."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from ray_matdesign.config.llm import BaseUrl, EnvironmentVariable
from ray_matdesign.config.settings import Settings

DISTRIBUTIONS = (
    "pymatgen",
    "pymatgen-core",
    "ase",
    "smact",
    "spglib",
    "phonopy",
    "rdkit",
    "matminer",
    "robocrys",
    "chgnet",
    "numpy",
    "scipy",
    "pandas",
)
"""Indexed by default, as far as they are installed."""


class DocumentationSettings(Settings):
    """The index of installed packages."""

    distributions: tuple[str, ...] = DISTRIBUTIONS
    """Names as the package index has them; those that are not installed are left out."""
    public_only: tuple[str, ...] = ("numpy", "scipy", "pandas")
    """Of these only what packages re-export is indexed, and no tests."""
    cache: str | None = None
    """Folder of index files; by default ``ray-matdesign/documentation`` in the user's cache."""


class WebSearchSettings(Settings):
    """A search engine that answers as SearXNG does: ``{results: [{title, url, content}]}``."""

    url: BaseUrl
    """Asked with ``GET``, the question in the parameter ``q`` and ``format=json``."""
    token_env: EnvironmentVariable | None = None
    """Environment variable that holds a bearer token; the token itself is written nowhere."""
    timeout_s: PositiveFloat = 20.0
    most_results: PositiveInt = 8


class McpServerSettings(Settings):
    """An MCP server whose tools agents may call: one that is started here, or one behind a URL."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=30)]
    """Its tools are called ``NAME_TOOL``."""
    command: tuple[str, ...] = ()
    """Started with standard input and output as the wire."""
    environment: tuple[EnvironmentVariable, ...] = ()
    """Variables of this process that a started server gets, beside ``PATH`` and the like."""
    url: BaseUrl | None = None
    """Streamable HTTP."""
    token_env: EnvironmentVariable | None = None
    """Environment variable that holds a bearer token for the URL."""
    tools: tuple[str, ...] = ()
    """Only these of its tools; by default all."""
    timeout_s: PositiveFloat = 60.0
    """Longest a call may take."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError(f"{self.name}: give either command or url")
        if self.token_env is not None and self.url is None:
            raise ValueError(f"{self.name}: token_env is sent to a url, and there is none")
        return self
