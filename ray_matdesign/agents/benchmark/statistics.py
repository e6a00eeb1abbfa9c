"""What attempts amount to: success rates, Pass@k, their errors, cost and time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.agents.benchmark.journal import ANSWERED, Finished

_RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """A share with its standard error, from a bootstrap over problems."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ± {100 * self.error:.1f} %"


@dataclass(frozen=True)
class Summary:
    """What a group of attempts amounts to.

    Attributes:
        name: Of the group.
        problems: Different ones.
        questions: Different ones; two wordings of a problem are two.
        attempts: At all of them.
        success: Right answers among all attempts.
        success_of_answered: Right answers among attempts that gave any: how published rates count,
            which leave out workflows that failed or ran out of time.
        pass_at: For each k, the chance that one of k attempts at a question is right.
        outcomes: How many attempts ended how.
        seconds: Mean of an attempt.
        tokens: Mean of an attempt, read and written.
        requests: Mean of an attempt, to models.
        runs: Mean of an attempt, of code.
    """

    name: str
    problems: int
    questions: int
    attempts: int
    success: Share
    success_of_answered: Share
    pass_at: Mapping[int, Share]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: float = 0.0
    requests: float = 0.0
    runs: float = 0.0


def pass_at_k(attempts: int, right: int, k: int) -> float:
    """Chance that at least one of k attempts, drawn from those made, is right.

    The unbiased estimator of Chen et al., "Evaluating Large Language Models Trained on Code"
    (2021), equation 1: ``1 - C(n - c, k) / C(n, k)``.

    Args:
        attempts: Made at one question, n.
        right: Of them, c.
        k: At most n.

    Raises:
        ValueError: There are not that many attempts.
    """
    if not 0 <= right <= attempts or not 1 <= k <= attempts:
        raise ValueError(f"pass@{k} of {right} right ones among {attempts} attempts")
    return 1.0 - comb(attempts - right, k) / comb(attempts, k)


def summarise(name: str, finished: Sequence[Finished], seed: int = 0) -> Summary:
    """Sums attempts up.

    Args:
        name: Of the group.
        finished: Its attempts, at least one.
        seed: Of the bootstrap. It draws problems, not attempts: wordings and repetitions of one
            problem succeed and fail together.

    Raises:
        ValueError: There are no attempts.
    """
    if not finished:
        raise ValueError(f"{name}: no attempts to sum up")
    questions: defaultdict[str, list[Finished]] = defaultdict(list)
    for each in finished:
        questions[each.task].append(each)
    most = min(len(asked) for asked in questions.values())
    sums = _sums_by_problem(questions.values(), most)
    weights = _resampled(len(sums), seed)
    right, attempts, answered, asked = sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3]
    return Summary(
        name=name,
        problems=len(sums),
        questions=len(questions),
        attempts=len(finished),
        success=_share(right, attempts, weights),
        success_of_answered=_share(right, answered, weights),
        pass_at={k: _share(sums[:, 3 + k], asked, weights) for k in range(1, most + 1)},
        outcomes=_outcomes(finished),
        seconds=float(np.mean([each.seconds for each in finished])),
        tokens=float(
            np.mean([each.cost.prompt_tokens + each.cost.completion_tokens for each in finished])
        ),
        requests=float(np.mean([each.cost.requests for each in finished])),
        runs=float(np.mean([each.cost.runs for each in finished])),
    )


def breakdown(finished: Sequence[Finished]) -> list[Summary]:
    """All attempts, then those of each wording, then those of each category."""
    groups: dict[str, list[Finished]] = {"all": list(finished)}
    for level in sorted({each.level for each in finished}):
        groups[f"level {level}"] = [each for each in finished if each.level == level]
    for category in dict.fromkeys(each.category for each in finished):
        groups[category] = [each for each in finished if each.category == category]
    return [summarise(name, attempts) for name, attempts in groups.items()]


def gain(
    first: Sequence[Finished], second: Sequence[Finished], seed: int = 0
) -> tuple[float, float]:
    """Difference of two success rates over the problems both have, and its standard error.

    Problems are compared with themselves: their difficulty, the larger part of the scatter, drops
    out.

    Raises:
        ValueError: They have no problem in common.
    """
    rates = [_rates(first), _rates(second)]
    both = sorted(rates[0].keys() & rates[1].keys())
    if not both:
        raise ValueError("two runs with no problem in common")
    differences = np.array([rates[1][name] - rates[0][name] for name in both])
    draws = _resampled(len(both), seed) @ differences / len(both)
    return float(differences.mean()), float(draws.std())


def _rates(finished: Iterable[Finished]) -> dict[str, float]:
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for each in finished:
        right[each.problem].append(each.outcome == "right")
    return {name: sum(outcomes) / len(outcomes) for name, outcomes in right.items()}


def _outcomes(finished: Iterable[Finished]) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for each in finished:
        counts[each.outcome] += 1
    return dict(sorted(counts.items()))


def _sums_by_problem(questions: Iterable[Sequence[Finished]], most: int) -> NDArray[np.float64]:
    """A row a problem: right, attempts, answered, questions, then sums of pass@1, pass@2, ..."""
    rows: dict[str, NDArray[np.float64]] = {}
    for asked in questions:
        right = sum(each.outcome == "right" for each in asked)
        answered = sum(each.outcome in ANSWERED for each in asked)
        passes = [pass_at_k(len(asked), right, k) for k in range(1, most + 1)]
        row = np.array([right, len(asked), answered, 1, *passes], dtype=np.float64)
        problem = asked[0].problem
        rows[problem] = rows[problem] + row if problem in rows else row
    return np.array(list(rows.values()))


def _resampled(problems: int, seed: int) -> NDArray[np.float64]:
    """How often each problem is drawn in each resample."""
    chances = np.full(problems, 1.0 / problems)
    drawn = np.random.default_rng(seed).multinomial(problems, chances, size=_RESAMPLES)
    return drawn.astype(np.float64)


def _share(
    part: NDArray[np.float64], whole: NDArray[np.float64], weights: NDArray[np.float64]
) -> Share:
    total = float(whole.sum())
    if total == 0.0:  # nothing was answered
        return Share(0.0, 0.0)
    drawn = weights @ whole
    shares = (weights @ part)[drawn > 0] / drawn[drawn > 0]
    return Share(float(part.sum()) / total, float(shares.std()))
