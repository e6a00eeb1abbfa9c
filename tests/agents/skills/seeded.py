"""Skills with known merits and faults, on the physics of cubic crystals."""

from __future__ import annotations

from typing import Any

from ray_matdesign.agents.skills.skill import Case, Draft, Tests

SPACING = '''
from math import sqrt


def plane_spacing(a: float, h: int, k: int, l: int) -> float:
    """Distance of lattice planes of a cubic crystal.

    Args:
        a: Lattice parameter in Angstrom.
        h: First Miller index.
        k: Second.
        l: Third.
    """
    return a / sqrt(h**2 + k**2 + l**2)
'''

# Bragg's textbook values: silicon, a = 5.431 Angstrom.
SPACING_CASES = (
    ({"a": 5.431, "h": 1, "k": 1, "l": 1}, 3.13559, False),
    ({"a": 5.431, "h": 2, "k": 2, "l": 0}, 1.92015, False),
    ({"a": 3.615, "h": 2, "k": 0, "l": 0}, 1.80750, True),
)


def cases(*triples: tuple[dict[str, Any], Any, bool], rel_tol: float = 1e-5) -> tuple[Case, ...]:
    return tuple(
        Case(inputs=inputs, expected=expected, held_out=held, rel_tol=rel_tol)
        for inputs, expected, held in triples
    )


def spacing(source: str = SPACING, **changes: Any) -> Draft:
    fields: dict[str, Any] = {
        "name": "plane_spacing",
        "description": "Distance of lattice planes of a cubic crystal from Miller indices.",
        "when_to_use": "Use it for d-spacings and Bragg angles.",
        "tags": ("diffraction", "bragg"),
        "source": source,
        "tests": Tests(cases=cases(*SPACING_CASES)),
        "question": "What is the interplanar spacing of the (111) planes of silicon?",
        "source_task": "spacing.1",
    }
    return Draft.model_validate(fields | changes)


VOLUME = '''
def cell_volume(a: float, b: float, c: float) -> float:
    """Volume of an orthorhombic cell."""
    return a * b * c
'''


def volume(**changes: Any) -> Draft:
    fields: dict[str, Any] = {
        "name": "cell_volume",
        "description": "Volume of an orthorhombic cell from its edges.",
        "source": VOLUME,
        "tests": Tests(
            cases=cases(
                ({"a": 2.0, "b": 3.0, "c": 4.0}, 24.0, False),
                ({"a": 4.05, "b": 4.05, "c": 4.05}, 66.430125, True),
            )
        ),
        "source_task": "volume.1",
    }
    return Draft.model_validate(fields | changes)


def altered(old: str, new: str) -> str:
    """The spacing skill's code with something else in one place."""
    assert SPACING.count(old) >= 1
    return SPACING.replace(old, new)
