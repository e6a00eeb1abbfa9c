"""A potential that is loaded when somebody first asks it for something."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ray_matdesign.config.schema import PotentialSettings
from ray_matdesign.potentials.protocol import Potential
from ray_matdesign.potentials.registry import load_potential


class DeferredPotential:
    """Stands in for a potential where it is likely that nobody will need it.

    Errors of loading come from the first use.

    Args:
        settings: Which potential.
    """

    def __init__(self, settings: PotentialSettings) -> None:
        self._settings = settings

    @cached_property
    def _loaded(self) -> Potential:
        return load_potential(self._settings.name, **self._settings.options)

    def __getattr__(self, name: str) -> Any:
        """Whatever the potential has: some offer more than the protocol asks for."""
        if name.startswith("__"):  # asked by the interpreter, of any object
            raise AttributeError(name)
        return getattr(self._loaded, name)
