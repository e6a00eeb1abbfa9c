from __future__ import annotations

from typing import Any

import pytest
from scorer_cases.mutants import Mutant, mutants
from scorer_cases.specs import CASES, Case

from ray_matdesign.agents.objectives.artifact import ScorerArtifact, State
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.samples import known_crystals, with_stand_ins
from ray_matdesign.agents.objectives.validation import NotComputable, validate
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.potentials.protocol import Failed

QUICK = Limits(cpu_s=3.0, wall_s=60.0, memory_mib=512, tasks=4)
WITHIN_A_TOLERANCE = {"specific_magnetization: one per cent off"}
"""Less wrong than the objective's own examples are exact: no check can tell."""

MUTANTS = list(mutants())


def declared(case: Case) -> ScorerArtifact:
    program = Program.model_validate({"expression": case.expression})
    return ScorerArtifact(spec=case.spec, program=program)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec.name)
def test_right_expressions_pass_and_agree_with_the_reference(case: Case) -> None:
    verdict = validate(declared(case), None, case.reference)
    assert verdict.reason == ""
    states = [step.state for step in verdict.artifact.transitions]
    assert states == [State.DRAFTED, State.STATIC, State.SANDBOX, State.VALIDATED]
    crystals = tuple(known_crystals().values())
    batch = with_stand_ins(crystals, case.spec.needs, "any")
    found = declared(case).scoring(None).values(batch)
    assert found == pytest.approx(case.reference(batch), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.source], ids=lambda case: case.spec.name
)
def test_right_python_passes(case: Case, sandbox: Box) -> None:
    draft = ScorerArtifact(spec=case.spec, source=case.source)
    assert validate(draft, sandbox, case.reference).reason == ""


@pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if m.draft.program], ids=lambda mutant: mutant.label
)
def test_wrong_expressions_are_rejected(mutant: Mutant) -> None:
    verdict = validate(mutant.draft, None)
    assert verdict.artifact.state is State.REJECTED
    assert verdict.reason
    assert "\n" not in verdict.reason


IN_PYTHON = [m for m in MUTANTS if m.draft.source]


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(m, marks=[pytest.mark.slow] * (i % 4 > 0)) for i, m in enumerate(IN_PYTHON)],
    ids=[m.label for m in IN_PYTHON],
)
def test_wrong_python_is_rejected(mutant: Mutant, sandbox: Box) -> None:
    verdict = validate(mutant.draft, sandbox, limits=QUICK)
    assert verdict.passed == (mutant.label in WITHIN_A_TOLERANCE)


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 30
    assert len(WITHIN_A_TOLERANCE) <= 0.05 * len(MUTANTS)


def _changed(case: Case, **changes: Any) -> ScorerArtifact:
    draft = declared(case)
    spec = draft.spec.model_copy(update=changes)
    return draft.model_copy(update={"spec": spec})


def _named(name: str) -> Case:
    return next(case for case in CASES if case.spec.name == name)


def test_a_direction_that_contradicts_the_order_is_refused() -> None:
    verdict = validate(_changed(_named("si_density"), direction="maximize"), None)
    assert "Al must be better than Cu" in verdict.reason


def test_an_input_that_is_not_named_is_found_out() -> None:
    verdict = validate(_changed(_named("si_density"), inputs=("composition",)), None)
    assert "depend on the structure, which is not among the inputs" in verdict.reason


def test_a_reference_that_differs_is_found_out() -> None:
    def doubled(batch: Batch) -> list[float]:
        return [2000.0 * crystal.density for crystal in batch.crystals]

    verdict = validate(declared(_named("si_density")), None, doubled)
    assert "differs from the registered scorer" in verdict.reason


def test_an_extensive_quantity_must_say_so() -> None:
    volume = {
        "op": "multiply",
        "args": [{"op": "structure", "property": "volume_per_atom"}, {"op": "number", "value": 1}],
    }
    case = _named("mean_bond")
    changes = {"unit": "A^3", "examples": (), "ordering": (), "range": case.spec.range}
    spec = case.spec.model_copy(update={**changes, "inputs": ("structure",)})
    program = Program.model_validate({"expression": volume})
    verdict = validate(ScorerArtifact(spec=spec, program=program), None)
    assert "outside the range" in verdict.reason
    assert verdict.artifact.state is State.REJECTED


def test_examples_that_cannot_be_had_are_told_before_anything_is_written() -> None:
    case = _named("si_density")
    with pytest.raises(NotComputable, match="'unobtainium' is no sample crystal"):
        validate(_changed(case, ordering=("unobtainium", "Cu")), None)


def test_fresh_crystals_depend_on_the_code() -> None:
    first, second = declared(CASES[0]), declared(CASES[1])
    assert first.hash != second.hash
    with_range = _changed(CASES[1], range=CASES[0].spec.range)
    assert with_range.hash != second.hash


def test_missing_values_are_failures_not_numbers() -> None:
    batch = Batch(
        tuple(known_crystals().values())[:2], {"youngs_modulus": (Failed("unstable"), 70.0)}
    )
    failed, value = declared(_named("specific_stiffness")).scoring(None).values(batch)
    assert failed == Failed("unstable")
    assert value == pytest.approx(70.0 / batch.crystals[1].density)
