"""What a written scorer has to pass before it may say anything about a crystal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from ray_matdesign.agents.objectives.artifact import Check, Scoring
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.python_scorer import NOT_FINITE, ScorerFailed
from ray_matdesign.agents.objectives.samples import (
    fresh_crystals,
    known_crystals,
    sample,
    with_stand_ins,
)
from ray_matdesign.agents.objectives.specification import Example, ObjectiveSpec
from ray_matdesign.agents.objectives.variants import deformed, doubled, retold, substituted
from ray_matdesign.potentials.protocol import Failed

FRESH = 48
MOST_FAILED = 2
"""Checks failed before the rest is left out: enough to act on."""
MOST_MISSING = 0.25
MOST_SATURATED = 0.9
SAME_WITHIN = 1e-6
"""Relative; for the same crystal told otherwise, whose numbers come by another way."""

_ANOTHER_SEED = 1_000_003
_STRETCHES = (0.75, 0.95, 1.1, 1.6)

Values = Sequence[float | Failed]
Reference = Callable[[Batch], Values]
"""Trusted values of the same objective."""


@dataclass(frozen=True)
class Examination:
    """A scorer with the crystals it is tried on.

    Attributes:
        spec: What it should be.
        scoring: What it is.
        seed: Of fresh crystals and stand-ins; the hash of its code, so that it cannot know them.
        reference: Trusted values, where there are any.
    """

    spec: ObjectiveSpec
    scoring: Scoring
    seed: str
    reference: Reference | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def known(self) -> Batch:
        """Well-known crystals, with stand-ins for the scorers that are needed."""
        crystals = tuple(known_crystals().values())
        return with_stand_ins(crystals, self.scoring.needs, self.seed)

    @cached_property
    def fresh(self) -> Batch:
        """Crystals made for this examination."""
        crystals = fresh_crystals(self.seed, FRESH)
        return with_stand_ins(crystals, self.scoring.needs, f"fresh {self.seed}")

    @cached_property
    def parts(self) -> list[Batch]:
        """Populations of different make."""
        known, n = self.known, len(self.known)
        places = [range(0, n, 3), range(1, n, 2), range(n // 2), range(n // 4, n)]
        fresh = [range(FRESH // 3), range(FRESH // 3, FRESH)]
        return [known.take(list(p)) for p in places] + [self.fresh.take(list(p)) for p in fresh]

    @property
    def of_population(self) -> bool:
        """Whether there is one value for all crystals together."""
        return self.spec.kind == "population"

    def on(self, batch: Batch, seed: int = 0) -> list[float | Failed]:
        """Values on a batch."""
        return self.scoring.values(batch, seed)

    @cached_property
    def on_known(self) -> list[float | Failed]:
        """Values on well-known crystals; of the parts, for a population."""
        if self.of_population:
            return [value for part in self.parts[:4] for value in self.on(part)]
        return self.on(self.known)

    @cached_property
    def on_fresh(self) -> list[float | Failed]:
        """The same on fresh ones."""
        if self.of_population:
            return [value for part in self.parts[4:] for value in self.on(part)]
        return self.on(self.fresh)


def examine(subject: Examination) -> Iterator[Check]:
    """Makes every check that applies, the telling ones first.

    A scorer that fails for a whole batch fails the check at hand and is examined no further, nor is
    one that failed ``MOST_FAILED`` checks.
    """
    failed = 0
    for name, check in CHECKS.items():
        try:
            problem = check(subject)
        except ScorerFailed as error:
            yield Check(name=name, passed=False, detail=str(error))
            return
        yield Check(name=name, passed=not problem, detail=problem)
        failed += bool(problem)
        if failed == MOST_FAILED:
            return


def _finite(subject: Examination) -> str:
    for value in [*subject.on_known, *subject.on_fresh]:
        if isinstance(value, Failed) and value.reason == NOT_FINITE:
            return "some values are infinite or not a number; give None where there is no value"
    return ""


def _missing(subject: Examination) -> str:
    for which, values in (("known", subject.on_known), ("fresh", subject.on_fresh)):
        failed = [value.reason for value in values if isinstance(value, Failed)]
        if len(failed) > MOST_MISSING * len(values):
            return (
                f"{len(failed)} of {len(values)} {which} crystals have no value, such as for: "
                f"{failed[0]}"
            )
    return ""


def _in_range(subject: Examination) -> str:
    span = subject.spec.range
    for value in [*subject.on_known, *subject.on_fresh]:
        if isinstance(value, Failed):
            continue
        if not span.holds(value):
            return f"the value {value:.6g} is outside the range from {span.low} to {span.high}"
        if subject.spec.kind == "filter" and value not in (0.0, 1.0):
            return f"a filter must give true or false, and gave {value:.6g}"
    return ""


def _deterministic(subject: Examination) -> str:
    batch = subject.parts[0] if subject.of_population else subject.known
    first, second = subject.on(batch), subject.on(batch, _ANOTHER_SEED)
    # To the last digit: nothing but chance or a clock could tell the two apart.
    return _compared(first, second, 0.0, "a second process gives other values")


def _order(subject: Examination) -> str:
    batch = subject.parts[0] if subject.of_population else subject.known
    order = [int(i) for i in subject.rng.permutation(len(batch))]
    values, permuted = subject.on(batch), subject.on(batch.take(order))
    expected = values if subject.of_population else [values[i] for i in order]
    return _compared(expected, permuted, SAME_WITHIN, "values depend on the order of the crystals")


def _split(subject: Examination) -> str:
    if subject.of_population:
        return ""
    n = len(subject.known)
    cuts = [0, 1, n // 3, n - 2, n]
    joined = [
        value
        for low, high in pairwise(cuts)
        for value in subject.on(subject.known.take(range(low, high)))
    ]
    return _compared(
        subject.on_known, joined, SAME_WITHIN, "a crystal's value depends on its company"
    )


def _told_otherwise(subject: Examination) -> str:
    batch = subject.parts[0] if subject.of_population else subject.known
    others = [retold(crystal, subject.rng) for crystal in batch.crystals]
    return _compared(
        subject.on(batch),
        subject.on(batch.replaced(others)),
        SAME_WITHIN,
        "values depend on the order of atoms, the origin, or the choice of the cell",
    )


def _supercell(subject: Examination) -> str:
    if not subject.spec.intensive:
        return ""
    batch = subject.parts[0] if subject.of_population else subject.known
    larger = [doubled(crystal, i % 3) for i, crystal in enumerate(batch.crystals)]
    says = "a supercell has another value than its cell"
    return _compared(subject.on(batch), subject.on(batch.replaced(larger)), SAME_WITHIN, says)


def _not_constant(subject: Examination) -> str:
    known, fresh = _distinct(subject.on_known), _distinct(subject.on_fresh)
    if subject.spec.kind == "filter":
        if len(known | fresh) < 2:
            return "it lets all crystals through, or none"
    elif len(known) < 2:
        return "all known crystals have one value"
    elif len(fresh) < 2:
        return "all crystals it could not know have one value: is it a table?"
    return ""


def _examples(subject: Examination) -> str:
    for example in subject.spec.examples:
        problem = _example(subject, example)
        if problem:
            # A writer who were told what is held back could learn that by heart as well.
            shown = example in subject.spec.shown
            return problem if shown else "a value known beforehand, which is not shown, is missed"
    return ""


def _example(subject: Examination, example: Example) -> str:
    crystals = tuple(sample(name) for name in example.crystals)
    lacking = [name for name in subject.scoring.needs if name not in example.given]
    if lacking:
        return f"the example {', '.join(example.crystals)} does not give {lacking[0]}"
    given = {name: (example.given[name],) * len(crystals) for name in subject.scoring.needs}
    (value,) = subject.on(Batch(crystals, given))
    names = ", ".join(example.crystals)
    if example.value is None:
        return "" if isinstance(value, Failed) else f"{names} must have no value, got {value:.6g}"
    if isinstance(value, Failed):
        return f"{names} must have {example.value:.6g}, and has no value: {value.reason}"
    if abs(value - example.value) > example.tolerance:
        return (
            f"{names} must have {example.value:.6g} within {example.tolerance:.2g}, got {value:.6g}"
        )
    return ""


def _direction(subject: Examination) -> str:
    spec = subject.spec
    if spec.kind == "filter":
        return ""
    numbers = [value for value in subject.on_known if not isinstance(value, Failed)]
    best = max(numbers) if spec.direction == "maximize" else min(numbers)
    if not subject.of_population and numbers.count(best) > MOST_SATURATED * len(numbers):
        return f"nearly all known crystals have the best value, {best:.6g}: nothing to strive for"
    if len(spec.ordering) < 2:
        return ""
    named = subject.on(Batch(tuple(sample(name) for name in spec.ordering)))
    sign = 1.0 if spec.direction == "maximize" else -1.0
    for (better, one), (worse, other) in pairwise(zip(spec.ordering, named, strict=True)):
        if isinstance(one, Failed) or isinstance(other, Failed):
            return f"{better} must be better than {worse}, and one of them has no value"
        if sign * one <= sign * other:
            return f"{better} must be better than {worse}, got {one:.6g} and {other:.6g}"
    return ""


def _inputs(subject: Examination) -> str:
    inputs, batch = subject.spec.inputs, subject.known
    values = subject.on(batch)
    others = batch.replaced(substituted(batch.crystals))
    if "composition" not in inputs and _compared(values, subject.on(others), SAME_WITHIN, "x"):
        return "values depend on the composition, which is not among the inputs"
    moved = [
        subject.on(batch.replaced([deformed(c, stretch, subject.rng) for c in batch.crystals]))
        for stretch in _STRETCHES
    ]
    depends = any(_compared(values, other, SAME_WITHIN, "x") for other in moved)
    if depends and "structure" not in inputs:
        return "values depend on the structure, which is not among the inputs"
    if not depends and "structure" in inputs:
        return "the structure is among the inputs, and no value depends on it"
    for name in subject.spec.needs:
        if name not in subject.scoring.needs:
            return f"{name} is among the inputs, and is not used"
        drawn = with_stand_ins(batch.crystals, [name], f"other {subject.seed}")
        mixed = Batch(batch.crystals, {**batch.properties, **drawn.properties})
        if not _compared(values, subject.on(mixed), SAME_WITHIN, "x"):
            return f"{name} is among the inputs, and no value depends on it"
    return ""


def _evidence(subject: Examination) -> str:
    spec = subject.spec
    bounded = spec.range.low is not None and spec.range.high is not None
    vouched = any(example.value is not None for example in spec.examples) or bool(spec.ordering)
    if vouched or bounded or spec.formula is not None or subject.reference is not None:
        return ""
    return "nothing vouches for its values: the objective has no example, no order, no range"


def _reference(subject: Examination) -> str:
    if subject.reference is None:
        return ""
    for batch in subject.parts if subject.of_population else [subject.known, subject.fresh]:
        problem = _compared(
            list(subject.reference(batch)),
            subject.on(batch),
            SAME_WITHIN,
            "it differs from the registered scorer of the same objective",
        )
        if problem:
            return problem
    return ""


CHECKS: dict[str, Callable[[Examination], str]] = {
    "finite": _finite,
    "examples": _examples,
    "range": _in_range,
    "missing": _missing,
    "not constant": _not_constant,
    "direction": _direction,
    "deterministic": _deterministic,
    "order": _order,
    "split": _split,
    "told otherwise": _told_otherwise,
    "supercell": _supercell,
    "inputs": _inputs,
    "evidence": _evidence,
    "reference": _reference,
}
"""By name: each says what is wrong, or nothing."""


def _distinct(values: Values) -> set[float]:
    return {float(f"{value:.9g}") for value in values if not isinstance(value, Failed)}


def _compared(expected: Values, found: Values, within: float, says: str) -> str:
    """What two lists of values differ in; empty if in nothing."""
    for i, (one, other) in enumerate(zip(expected, found, strict=True)):
        if isinstance(one, Failed) and isinstance(other, Failed):
            continue
        if isinstance(one, Failed) or isinstance(other, Failed):
            return f"{says}: crystal {i} has a value once and none the other time"
        # A difference of nearly equal numbers is uncertain by rounding, hence the second part.
        if abs(one - other) > within * max(abs(one), abs(other)) + 1e-3 * within:
            return f"{says}: {one:.9g} and {other:.9g}"
    return ""
