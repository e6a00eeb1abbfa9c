"""What the arguments and answers of all chemistry tools have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from ray_matdesign.config.settings import Settings


class Arguments(Settings):
    """Base of all arguments: nothing is converted, so that ``"5 g"`` is never taken for 5."""

    model_config = ConfigDict(strict=True)


class Answer(Settings):
    """Base of all answers: plain values only."""


Text = Annotated[str, Field(min_length=1, max_length=2000)]
"""A name, a formula, a SMILES or an equation."""
Positive = Annotated[float, Field(gt=0.0, le=1e9)]
"""A mass, a volume or a concentration."""
