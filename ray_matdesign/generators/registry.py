"""Generators by name."""

from __future__ import annotations

from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.schema import GeneratorSettings
from ray_matdesign.generators.protocol import Evolving, Policy

GENERATORS: dict[str, str] = {
    "diffusion": "ray_matdesign.generators.diffusion.policy:load",
    "genetic": "ray_matdesign.generators.genetic.generator:load",
    "mattergen": "ray_matdesign.generators.mattergen.policy:load",
}
"""Import paths of factories ``load(settings: GeneratorSettings) -> Policy | Evolving``."""


def load_policy(settings: GeneratorSettings) -> Policy | Evolving:
    """Builds the configured generator with the weights of its checkpoint.

    Raises:
        UnknownName: A name that is neither in ``GENERATORS`` nor importable.
    """
    policy: Policy | Evolving = load_object(settings.name, GENERATORS, what="generator")(settings)
    return policy
