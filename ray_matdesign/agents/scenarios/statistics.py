"""Hypotheses about groups found on one half of the data and tested on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_MEMBERS = 8
"""Below this many pairs a signed-rank test cannot reach a small p."""
BOOTSTRAP_SAMPLES = 2000


@dataclass(frozen=True)
class GroupTest:
    """One group's test of whether a quantity is centred at zero.

    Attributes:
        group: Name.
        quantity: Name.
        n: Members.
        mean: Of the quantity.
        interval: 95 % of the mean's bootstrap distribution, low and high.
        p: Wilcoxon's signed-rank test, two-sided in search, one-sided in confirmation.
        p_corrected: Times the number of tests (Bonferroni), at most 1.
    """

    group: str
    quantity: str
    n: int
    mean: float
    interval: tuple[float, float]
    p: float
    p_corrected: float


@dataclass(frozen=True)
class Hypothesis:
    """A difference found on one half, and what the other half said.

    Attributes:
        found: The test that suggested it.
        tested: The test on the held-out half; ``None`` where the group has too few members there.
        confirmed: Whether the held-out half agrees, sign included, at the level asked for.
    """

    found: GroupTest
    tested: GroupTest | None
    confirmed: bool


def search(
    quantities: Mapping[str, Floats], groups: Mapping[str, NDArray[np.bool_]], *, seed: int = 0
) -> list[GroupTest]:
    """Tests every quantity in every group that has enough members, two-sided.

    Args:
        quantities: By name, shape ``(n,)``; the null hypothesis is symmetry about zero.
        groups: Members by name, shape ``(n,)``.
        seed: Of the bootstrap.

    Returns:
        In the order given; p corrected for the number of tests made.
    """
    plan = [
        (group, quantity)
        for group, members in groups.items()
        for quantity in quantities
        if members.sum() >= LEAST_MEMBERS
    ]
    return [
        _test(group, quantity, quantities[quantity][groups[group]], len(plan), "two-sided", seed)
        for group, quantity in plan
    ]


def confirm(
    suggested: Sequence[GroupTest],
    quantities: Mapping[str, Floats],
    groups: Mapping[str, NDArray[np.bool_]],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> list[Hypothesis]:
    """Tests what a search suggested on data it has not seen, one-sided, in the direction found.

    Args:
        suggested: Tests of the search that are taken for hypotheses.
        quantities: As in :func:`search`, of the held-out data.
        groups: Likewise.
        level: Corrected p below which a hypothesis counts as confirmed.
        seed: Of the bootstrap.

    Returns:
        In the order given; p corrected for the number of hypotheses.
    """
    hypotheses = []
    for found in suggested:
        values = quantities[found.quantity][groups[found.group]]
        if len(values) < LEAST_MEMBERS:
            hypotheses.append(Hypothesis(found, None, confirmed=False))
            continue
        side = "greater" if found.mean > 0 else "less"
        tested = _test(found.group, found.quantity, values, len(suggested), side, seed)
        agrees = tested.p_corrected < level and tested.mean * found.mean > 0
        hypotheses.append(Hypothesis(found, tested, confirmed=agrees))
    return hypotheses


def _test(group: str, quantity: str, values: Floats, tests: int, side: str, seed: int) -> GroupTest:
    from scipy.stats import wilcoxon

    # All zeros agree with the null hypothesis; the test itself is not defined there.
    p = float(wilcoxon(values, alternative=side).pvalue) if np.any(values) else 1.0
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(values), size=(BOOTSTRAP_SAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return GroupTest(
        group=group,
        quantity=quantity,
        n=len(values),
        mean=float(values.mean()),
        interval=(float(low), float(high)),
        p=p,
        p_corrected=min(1.0, p * tests),
    )
