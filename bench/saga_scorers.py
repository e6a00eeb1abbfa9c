"""Written scorers: fidelity to references, what validation lets through, and matching.

B1: twelve objectives, answered in the scorer language and in Python, against hidden references on
fifty crystals. B2: scorers broken on purpose, and the right ones. B7: sixty labelled pairs. Answers
were written by hand, as a capable model would give them, so the share that passes says nothing of
any model; with ``--llm URL`` a model behind an OpenAI-compatible endpoint writes them instead, and
its own share is recorded besides.

    python bench/saga_scorers.py
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from record import figure, write_results
from scorer_cases.mutants import mutants
from scorer_cases.pairs import PAIRS, entries
from scorer_cases.specs import CASES, Case

from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.objectives.artifact import ScorerArtifact
from ray_matdesign.agents.objectives.implementing import Outcome, Workshop, implement
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.matching import Relation, match
from ray_matdesign.agents.objectives.python_scorer import PRELOAD
from ray_matdesign.agents.objectives.samples import known_crystals, with_stand_ins
from ray_matdesign.agents.objectives.validation import validate
from ray_matdesign.agents.sandbox.box import Box
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.tiers import best_tier
from ray_matdesign.potentials.protocol import Failed

LIMITS = Limits(cpu_s=5.0, wall_s=60.0, memory_mib=512, tasks=4)


@dataclass(frozen=True)
class Answered:
    """What came of one objective.

    Attributes:
        attempts: Until a scorer passed; 0 if none did.
        error: Its largest relative error.
    """

    attempts: int = 0
    error: float = float("inf")


def right_answers(case: Case) -> list[ScorerArtifact]:
    """In the scorer language, and in Python where the case has it."""
    program = Program.model_validate({"expression": case.expression})
    drafts = [ScorerArtifact(spec=case.spec, program=program)]
    return drafts + ([ScorerArtifact(spec=case.spec, source=case.source)] if case.source else [])


def largest_error(case: Case, draft: ScorerArtifact, box: Box) -> float:
    """Largest relative difference from the reference over the sample crystals."""
    crystals = tuple(known_crystals().values())
    batch = with_stand_ins(crystals, case.spec.needs, "reference")
    found = draft.scoring(box).values(batch)
    missing = [value for value in found if isinstance(value, Failed)]
    if missing:
        raise RuntimeError(f"{case.spec.name}: {missing[0].reason}")
    values, expected = np.array(found, dtype=float), np.array(case.reference(batch))
    scale = np.maximum(np.abs(expected), 1e-3)
    return float((np.abs(values - expected) / scale).max())


def fidelity(box: Box) -> list[dict[str, Any]]:
    """B1, and of B2 the right answers."""
    errors, refused = [], []
    for case in CASES:
        for draft in right_answers(case):
            errors.append(largest_error(case, draft, box))
            verdict = validate(draft, box, case.reference, LIMITS)
            if not verdict.passed:
                refused.append(f"{case.spec.name} ({draft.form}): {verdict.reason}")
                print(f"refused: {refused[-1]}")
    return [
        figure("B1 objectives", len(CASES)),
        figure("B1 answers", len(errors)),
        figure("B1 largest relative error", max(errors), baseline=1e-6),
        figure("B2 right answers refused", len(refused), baseline=0.0),
    ]


def gate(box: Box) -> list[dict[str, Any]]:
    """B2, the wrong answers."""
    tried = list(mutants())
    survivors = [m.label for m in tried if validate(m.draft, box, limits=LIMITS).passed]
    for label in survivors:
        print(f"survived: {label}")
    killed = 1.0 - len(survivors) / len(tried)
    return [
        figure("B2 mutants", len(tried), baseline=30),
        figure("B2 mutants killed", killed, "share", 0.95),
    ]


def matching() -> list[dict[str, Any]]:
    """B7."""
    there = entries()
    reused = [(pair, found) for pair in PAIRS if (found := match(pair.spec, there)).entry
              and found.relation is Relation.REUSE]  # fmt: skip
    right = [pair for pair, found in reused if found.entry and found.entry.name == pair.entry]
    wanted = [pair for pair in PAIRS if pair.label is Relation.REUSE]
    flips = [pair for pair, _ in reused if pair.flipped]
    return [
        figure("B7 pairs", len(PAIRS), baseline=60),
        figure("B7 precision of reuse", len(right) / len(reused), "share", 0.95),
        figure("B7 recall of reuse", len(right) / len(wanted), "share", 0.80),
        figure("B7 direction flips reused", len(flips), baseline=0.0),
    ]


def answered(llm: Llm, case: Case) -> Answered:
    """What a model makes of one objective, with nothing to reuse."""
    with tempfile.TemporaryDirectory() as folder, Box(best_tier(), PRELOAD) as box:
        done = implement(case.spec, [], Workshop(llm, Path(folder), box))
        print(f"{case.spec.name}: {done.outcome}, {done.reason}", flush=True)
        if done.outcome is not Outcome.WRITTEN:
            return Answered()
        try:
            error = largest_error(case, done.attempts[-1], box)
        except RuntimeError as failure:  # no value for one of the crystals
            print(failure, flush=True)
            error = float("inf")
        return Answered(len(done.attempts), error)


def written_by(llm: Llm, name: str, at_once: int) -> list[dict[str, Any]]:
    """B1 with a model's own answers: how many pass, and how right those are."""
    with ThreadPoolExecutor(at_once) as threads:
        found = list(threads.map(partial(answered, llm), CASES))
    at_first = sum(one.attempts == 1 for one in found)
    passed = sum(one.attempts > 0 for one in found)
    right = sum(one.error <= 1e-6 for one in found)
    return [
        figure(f"B1 by {name}: first draft passes", at_first / len(CASES), "share"),
        figure(f"B1 by {name}: passes after repairs", passed / len(CASES), "share"),
        figure(f"B1 by {name}: passes and is right to 1e-6", right / len(CASES), "share"),
    ]


def model_at(url: str, name: str | None, token_env: str | None) -> Llm:
    """A model behind an OpenAI-compatible endpoint."""
    from ray_matdesign.agents.llm.openai_client import OpenAiClient
    from ray_matdesign.config.llm import EndpointSettings

    return OpenAiClient(EndpointSettings(url=url, model=name, token_env=token_env))


def main(arguments: Sequence[str] | None = None) -> Mapping[str, float]:
    """Measures and records; returns the figures by name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llm", metavar="URL", help="endpoint of a model that writes scorers")
    parser.add_argument("--model", help="its name, where the endpoint has several")
    parser.add_argument("--at-once", type=int, default=6, help="objectives it is asked about")
    parser.add_argument("--token-env", help="variable with the endpoint's token")
    chosen = parser.parse_args(arguments)
    llm = model_at(chosen.llm, chosen.model, chosen.token_env) if chosen.llm else None
    with Box(best_tier(), PRELOAD) as box:
        figures = [*fidelity(box), *gate(box), *matching()]
        if llm is not None:
            figures += written_by(llm, chosen.model or chosen.llm, chosen.at_once)
    print(write_results("saga_scorers", figures))
    return {str(one["name"]): float(one["value"]) for one in figures}


if __name__ == "__main__":
    main()
