"""Does a language model answer each role in its form? Schema validity over many questions (B9).

Each role is asked so many questions of a campaign on superhard crystals, with different seeds and
figures. An answer counts as valid if it fits the role's schema, as truncated if it was cut off at
its limit of tokens, which is a typed error. The threshold is that all are one or the other; whether
answers make sense is another question. Any OpenAI-compatible endpoint will do:

    python bench/saga_schema.py http://127.0.0.1:8000/v1 --questions 200
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from pydantic import BaseModel
from record import figure, write_results

from ray_matdesign.agents.llm.openai_client import OpenAiClient
from ray_matdesign.agents.llm.protocol import BadAnswer, Llm, Request, Truncated, parsed
from ray_matdesign.agents.objectives.language import Program
from ray_matdesign.agents.objectives.prompts import declarative_request
from ray_matdesign.agents.saga import analyzer, planner, selector
from ray_matdesign.agents.saga.drafting import MEASURES, Draft, planned
from ray_matdesign.agents.saga.protocol import (
    AnalyzeRequest,
    Leader,
    PlanRequest,
    SelectRequest,
    Statistic,
    Statistics,
)
from ray_matdesign.agents.saga.settings import load_campaign
from ray_matdesign.config.llm import EndpointSettings

CAMPAIGN = load_campaign("superhard")
FORMULAS = ("C", "BN", "SiC", "TiN", "TiC", "B4C", "AlN", "ZrC", "HfC", "WC", "BeO", "MgO")
QUANTITIES = ("mean atomic mass", "share of nitrogen", "number density", "electronegativity range")


def statistics(seed: int) -> Statistics:
    """Figures of a round that might have been."""
    rng = np.random.default_rng(seed)
    names = ("population.size", "reward.mean", "mean.hardness", "saturation.hardness", "element.C")
    figures = [Statistic(id=n, value=float(rng.uniform()), meaning=n) for n in names]
    return Statistics(round=1, figures=tuple(figures), leaders=leaders(seed))


def leaders(seed: int) -> tuple[Leader, ...]:
    """Crystals that might have been found."""
    rng = np.random.default_rng(seed)
    return tuple(
        Leader(
            id=f"01-{place:05d}",
            formula=str(formula),
            reward=float(rng.uniform()),
            e_above_hull_ev_per_atom=float(rng.uniform(0, 0.2)),
            values={"hardness": float(rng.uniform(0, 25))},
        )
        for place, formula in enumerate(rng.permutation(FORMULAS))
    )


def question(role: str, seed: int) -> Request:
    """A role's question."""
    goal, context = CAMPAIGN.goal, CAMPAIGN.context
    if role == "planner":
        asked = PlanRequest(
            goal=goal,
            context=context,
            round=2,
            limit=4,
            initial=CAMPAIGN.objectives,
            statistics=statistics(seed),
            seed=seed,
        )
        return planner.plan_request(asked)
    if role == "analyzer":
        told = AnalyzeRequest(
            goal=goal,
            context=context,
            round=1,
            rounds=3,
            objectives=(),
            statistics=statistics(seed),
            seed=seed,
        )
        return analyzer.analyze_request(told)
    if role == "selector":
        choice = SelectRequest(
            goal=goal, objectives=(), candidates=leaders(seed), count=4, seed=seed
        )
        return selector.select_request(choice)
    draft = Draft(
        name="wanted",
        kind="candidate",
        direction="maximize",
        measure=MEASURES[-1],
        quantity=QUANTITIES[seed % len(QUANTITIES)],
        inputs=("composition", "structure"),
        low=None,
        high=None,
        why="It is wanted.",
    )
    return declarative_request(planned(draft, 1).spec, seed)


FORMS: dict[str, type[BaseModel]] = {
    "planner": planner.PlannerAnswer,
    "implementer": Program,
    "analyzer": analyzer.AnalyzerAnswer,
    "selector": selector.SelectorAnswer,
}


def outcome(llm: Llm, role: str, seed: int, temperature: float) -> str:
    """What came of a question: ``valid``, ``truncated`` or ``invalid``."""
    request = replace(question(role, seed), temperature=temperature)
    try:
        parsed(llm.ask(request), FORMS[role])
    except Truncated:
        return "truncated"
    except BadAnswer:
        return "invalid"
    return "valid"


def main() -> None:
    """Asks, prints a line a role and writes ``results/saga_schema.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model")
    parser.add_argument("--token-env")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7)
    asked = parser.parse_args()
    llm = OpenAiClient(
        EndpointSettings(url=asked.url, model=asked.model, token_env=asked.token_env)
    )
    told = f"questions a role, to {asked.model or asked.url}"
    figures = [figure(told, asked.questions, "")]
    for role in FORMS:
        begun = time.perf_counter()
        with ThreadPoolExecutor(asked.at_once) as threads:
            done = threads.map(
                lambda seed, role=role: outcome(llm, role, seed, asked.temperature),
                range(asked.questions),
            )
            counts = Counter(done)
        seconds = (time.perf_counter() - begun) / asked.questions
        typed = (counts["valid"] + counts["truncated"]) / asked.questions
        figures += [
            figure(f"{role}: valid or truncated", typed, "", baseline=1.0),
            figure(f"{role}: valid", counts["valid"] / asked.questions, ""),
            figure(f"{role}: time a question", seconds, "s"),
        ]
        print(f"{role:12s} {dict(counts)} {seconds:.1f} s a question")
    print(write_results("saga_schema", figures))


if __name__ == "__main__":
    main()
