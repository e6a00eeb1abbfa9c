from __future__ import annotations

from collections.abc import Sequence

import pytest
from scorer_cases.pairs import PAIRS, Pair, entries

from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.matching import Entry, Relation, builtin_entries, match
from ray_matdesign.agents.objectives.registered import REGISTERED
from ray_matdesign.agents.objectives.specification import ObjectiveSpec
from ray_matdesign.rewards.objective import SCORERS


def _found(pair: Pair) -> tuple[Relation, str]:
    found = match(pair.spec, entries())
    return found.relation, found.entry.name if found.entry else ""


def test_sixty_labelled_pairs() -> None:
    verdicts = [(pair, *_found(pair)) for pair in PAIRS]
    assert len(verdicts) == 60
    reused = [(pair, name) for pair, relation, name in verdicts if relation is Relation.REUSE]
    right = [name for pair, name in reused if pair.entry == name]
    wanted = [pair for pair in PAIRS if pair.label is Relation.REUSE]
    assert len(right) / len(reused) >= 0.95
    assert len(right) / len(wanted) >= 0.80
    assert not [pair for pair, _ in reused if pair.flipped]


def test_the_table_of_registered_scorers_is_that_of_the_package() -> None:
    assert set(REGISTERED) <= set(SCORERS)


def test_names_do_not_matter() -> None:
    gap = ObjectiveSpec(
        name="density",
        description="Called density, and is none.",
        kind="candidate",
        direction="maximize",
        quantity="band gap",
        unit="eV",
        inputs=("composition", "structure"),
    )
    found = match(gap, builtin_entries())
    assert found.relation is Relation.REUSE
    assert found.entry is not None
    assert found.entry.scorer == "band_gap"


STIFFNESS = ObjectiveSpec.model_validate(
    {
        "name": "squeeze",
        "description": "How hard it is to squeeze.",
        "kind": "candidate",
        "direction": "maximize",
        "quantity": "reciprocal compressibility",
        "unit": "GPa",
        "inputs": ["composition", "structure"],
        "examples": [
            {"crystals": ["diamond"], "value": 443.0, "tolerance": 10.0},
            {"crystals": ["Al"], "value": 76.0, "tolerance": 10.0},
        ],
    }
)
MEASURED = {"bulk_modulus": [442.0, 77.0], "shear_modulus": [535.0, 26.0]}


def _measure(name: str, batch: Batch) -> list[float]:
    return MEASURED[name][: len(batch)]


@pytest.mark.parametrize(
    ("proposed", "relation"),
    [
        ("bulk_modulus", Relation.REUSE),
        ("shear_modulus", Relation.NEW),  # misses the examples
        ("density", Relation.NEW),  # another unit, so it is not even on the list
        ("nonsense", Relation.NEW),
        (None, Relation.NEW),
    ],
)
def test_a_proposal_counts_only_if_it_meets_the_examples(
    proposed: str | None, relation: Relation
) -> None:
    def proposer(spec: ObjectiveSpec, fit: Sequence[Entry]) -> str | None:
        assert {entry.spec.unit for entry in fit} == {"GPa"}
        return proposed

    assert match(STIFFNESS, builtin_entries(), proposer, _measure).relation is relation


def test_a_formula_that_only_names_a_scorer_is_that_scorer() -> None:
    spec = STIFFNESS.model_copy(
        update={
            "inputs": ("bulk_modulus",),
            "formula": ObjectiveSpec.model_validate(
                {
                    **STIFFNESS.model_dump(),
                    "inputs": ["bulk_modulus"],
                    "formula": {"op": "property", "scorer": "bulk_modulus"},
                }
            ).formula,
        }
    )
    found = match(spec, builtin_entries())
    assert found.relation is Relation.REUSE
    assert found.entry is not None
    assert found.entry.name == "bulk_modulus"
