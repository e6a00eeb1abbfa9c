from __future__ import annotations

import json
import shutil
from pathlib import Path

import campaigns
import pytest
from campaigns import CHEAP, MIXED, Actor, analysis, plan

from ray_matdesign.agents.llm.building import build_llm
from ray_matdesign.agents.llm.protocol import BudgetSpent, Truncated, Unreachable
from ray_matdesign.agents.saga.controller import run_campaign
from ray_matdesign.agents.saga.events import CampaignState, digest, fold, read_events
from ray_matdesign.agents.saga.folder import CampaignFailed
from ray_matdesign.agents.saga.population import read_population
from ray_matdesign.agents.saga.roles import LocalRoles
from ray_matdesign.agents.saga.settings import load_campaign


def asked(folder: Path) -> list[str]:
    """Every question that went out, word for word."""
    lines = (folder / "llm.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [json.dumps([one["purpose"], one["messages"]]) for one in kept]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, reference: Path) -> tuple[Path, CampaignState]:
    """A campaign of three rounds, never interrupted."""
    folder = tmp_path_factory.mktemp("golden")
    told = campaigns.settings(folder, reference)
    return folder / "campaign", campaigns.run(told, folder / "campaign")


def test_objectives_evolve_and_initial_ones_stay_word_for_word(
    golden: tuple[Path, CampaignState],
) -> None:
    _, state = golden
    assert state.status == "finished"
    names = [[one.name for one in played.objectives] for played in state.rounds]
    assert names == [
        ["dense"],
        ["dense", "cheap", "mixed"],
        ["dense", "cheap", "mixed", "copper", "varied"],
    ]
    first = [played.objectives[0].objective for played in state.rounds]
    assert first[0] == first[1] == first[2]
    assert first[0].spec.model_dump(mode="json", exclude_defaults=True) == {
        **campaigns.DENSITY["spec"]
    }
    assert not any(played.dropped for played in state.rounds)


def test_everything_a_campaign_leaves_is_there(golden: tuple[Path, CampaignState]) -> None:
    folder, state = golden
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    for name in (
        *("saga.yaml", "base.yaml", "events.jsonl", "llm.jsonl", "llm-cassette.jsonl"),
        *("llm-budget.json", "final.parquet", "final.json", "held_out/held_out.parquet"),
        *(f"rounds/0{n}/{name}" for n in (1, 2, 3) for name in ("population.parquet",)),
        *(f"rounds/0{n}/{name}" for n in (1, 2, 3) for name in ("statistics.json",)),
        "rounds/03/run/metrics.jsonl",
    ):
        assert name in found
    outcome = json.loads((folder / "final.json").read_text())
    assert outcome["digest"] == state.digest == digest(read_events(folder / "events.jsonl"))
    assert len(outcome["selected"]) == 3
    assert {one["name"] for one in map(_named, outcome["objectives"])} == {
        *("dense", "cheap", "mixed", "copper", "varied")
    }


def _named(objective: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return objective["objective"]["spec"]


def test_a_population_is_rewarded_by_the_objectives_of_its_round(
    golden: tuple[Path, CampaignState],
) -> None:
    folder, state = golden
    for member in read_population(folder / "rounds" / "02" / "population.parquet"):
        density = min(1.0, max(0.0, (member.relaxed.density - 5.0) / 15.0))
        cheapness = min(1.0, max(0.0, (60000.0 - member.values["cheap"]) / 59999))
        assert member.reward == pytest.approx((density + cheapness) / 2, abs=1e-9)
        assert member.values["dense"] == pytest.approx(member.relaxed.density)
        assert len(member.relaxed.elements) >= 2
    optimized = state.rounds[2].optimized
    assert optimized is not None
    assert optimized.carried > 0


def test_final_table_scores_every_crystal_on_the_union(golden: tuple[Path, CampaignState]) -> None:
    folder, _ = golden
    members = read_population(folder / "final.parquet")
    assert {member.round for member in members} == {1, 2, 3}
    for member in members:
        assert set(member.values) == {"dense", "cheap", "mixed", "copper"}
        copper = sum(member.relaxed.counts.get(z, 0) for z in (28, 29)) / len(member.relaxed)
        assert member.values["copper"] == pytest.approx(copper)


def test_killed_after_every_step_a_campaign_ends_the_same_and_asks_nothing_twice(
    golden: tuple[Path, CampaignState], tmp_path: Path, reference: Path
) -> None:
    """B6: the process really dies, by SIGKILL, once for every event."""
    whole, state = golden
    told = campaigns.settings(tmp_path, reference)
    folder = tmp_path / "campaign"
    kills = 0
    watcher = campaigns.KilledAfterAStep()
    while campaigns.in_a_child(
        lambda: campaigns.run(told, folder, resume=(folder / "saga.yaml").exists(), watcher=watcher)
    ):
        kills += 1
    assert kills == len([event for event in read_events(whole / "events.jsonl") if event.key])
    assert fold(read_events(folder / "events.jsonl")).digest == state.digest
    assert sorted(asked(folder)) == sorted(asked(whole))
    assert len(set(asked(folder))) == len(asked(folder))


def test_killed_within_a_run_the_round_goes_on(
    golden: tuple[Path, CampaignState], tmp_path: Path, reference: Path
) -> None:
    told = campaigns.settings(tmp_path, reference)
    folder = tmp_path / "campaign"
    progress = campaigns.KilledIn(2, "evaluate")
    assert campaigns.in_a_child(lambda: campaigns.run(told, folder, progress=progress))
    assert campaigns.run(told, folder, resume=True).digest == golden[1].digest


def test_a_campaign_is_replayed_from_its_cassette(
    golden: tuple[Path, CampaignState], tmp_path: Path, reference: Path
) -> None:
    whole, state = golden
    told = campaigns.settings(
        tmp_path, reference, llm={"replay": str(whole / "llm-cassette.jsonl")}
    )
    again = tmp_path / "again"
    again.mkdir()
    roles = LocalRoles(build_llm(told.llm, again))
    assert run_campaign(told, again, roles).digest == state.digest


def test_a_finished_campaign_resumed_does_nothing(
    golden: tuple[Path, CampaignState], tmp_path: Path
) -> None:
    folder, state = golden
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = (copy / "events.jsonl").read_bytes()
    again = campaigns.run(load_campaign(copy / "saga.yaml"), copy, Actor({}), resume=True)
    assert again.digest == state.digest
    assert (copy / "events.jsonl").read_bytes() == before


def test_held_out_properties_are_told_to_nobody_and_exist_only_in_the_end(
    tmp_path: Path, reference: Path
) -> None:
    told = campaigns.settings(tmp_path, reference, rounds=1)
    folder = tmp_path / "campaign"
    seen: list[bool] = []

    class Curious(Actor):
        def ask(self, request):  # type: ignore[no-untyped-def]
            seen.append((folder / "held_out").exists())
            assert "canary" not in json.dumps([m.content for m in request.messages])
            assert "canary" not in json.dumps(request.schema)
            return super().ask(request)

    state = campaigns.run(told, folder, Curious())
    assert seen
    assert not any(seen)
    assert (folder / "held_out" / "held_out.parquet").exists()
    assert state.judged is not None
    assert len(state.judged.success) == 1
    kinds = [event.kind for event in read_events(folder / "events.jsonl")]
    assert kinds[-2:] == ["judged", "finished"]


def test_what_cannot_be_computed_goes_back_and_is_then_done_without(
    tmp_path: Path, reference: Path
) -> None:
    beyond = {
        "name": "taste",
        "kind": "candidate",
        "direction": "maximize",
        "measure": "other",
        "quantity": "taste",
        "unit": "",
        "inputs": ["composition"],
        "low": 0,
        "high": 1,
        "why": "Who knows.",
    }
    unwritten = {
        ("planner.begin", 1): plan(beyond),
        ("planner.replace", 1): plan(CHEAP),
        ("implementer.declarative", 0): "{}",
        ("analyzer", 0): analysis(),
        ("selector", 0): campaigns.picks,
    }
    told = campaigns.settings(tmp_path, reference, rounds=1, python_scorers=False)
    actor = Actor(unwritten)
    state = campaigns.run(told, tmp_path / "campaign", actor)
    (played,) = state.rounds
    assert state.status == "finished"
    assert [one.name for one in played.objectives] == ["dense", "cheap"]
    assert [one.name for one in played.dropped] == ["taste"]
    again = next(one for one in actor.asked if one.purpose == "planner.replace")
    assert played.dropped[0].reason in again.messages[1].content


def test_a_model_that_makes_no_sense_costs_an_answer_and_not_the_campaign(
    tmp_path: Path, reference: Path
) -> None:
    nonsense = {
        ("planner.begin", 1): "no JSON",
        ("planner.revise", 2): Truncated("cut off"),
        ("analyzer", 0): analysis(cites="mean.invented"),
        ("selector", 0): "[]",
    }
    told = campaigns.settings(tmp_path, reference, rounds=2)
    state = campaigns.run(told, tmp_path / "campaign", Actor(nonsense))
    assert state.status == "finished"
    assert [one.name for one in state.rounds[1].objectives] == ["dense"]
    failed = {(one.role, one.kind) for one in state.failures}
    assert failed == {
        ("planner", "bad_answer"),
        ("planner", "truncated"),
        ("analyzer", "bad_answer"),
        ("selector", "bad_answer"),
    }
    assert not any(one.fatal for one in state.failures)
    assert state.selection is not None
    assert [one.why for one in state.selection.chosen] == ["by rank"] * 3


def test_a_model_beyond_reach_breaks_a_campaign_off_until_it_is_resumed(
    golden: tuple[Path, CampaignState], tmp_path: Path, reference: Path
) -> None:
    told = campaigns.settings(tmp_path, reference)
    folder = tmp_path / "campaign"
    silent = {**campaigns.EVOLVING, ("planner.revise", 2): Unreachable("nobody answers")}
    with pytest.raises(CampaignFailed, match="nobody answers"):
        campaigns.run(told, folder, Actor(silent))
    broken = fold(read_events(folder / "events.jsonl"))
    assert broken.status == "failed"
    assert (broken.failures[0].role, broken.failures[0].kind) == ("planner", "unreachable")
    assert campaigns.run(told, folder, resume=True).digest == golden[1].digest


def test_a_spent_budget_ends_a_campaign_in_order(tmp_path: Path, reference: Path) -> None:
    spent = {**campaigns.EVOLVING, ("analyzer", 0): BudgetSpent("no tokens left")}
    told = campaigns.settings(tmp_path, reference)
    state = campaigns.run(told, tmp_path / "campaign", Actor(spent))
    assert state.status == "finished"
    (played,) = state.rounds
    assert played.decision is not None
    assert (played.decision.stop, played.decision.by) == (True, "budget")


@pytest.mark.parametrize(
    ("changes", "lines", "by", "rounds"),
    [
        ({"stopping": {"rounds": None}}, {("analyzer", 0): analysis(stop=True)}, "analyzer", 1),
        (
            {"stopping": {"analyzer": False, "rounds": 1, "min_gain": 1.0}},
            {("analyzer", 0): analysis(stop=True)},
            "gain",
            2,
        ),
    ],
)
def test_a_campaign_stops_by_word_or_by_number(
    changes: dict[str, object],
    lines: dict[tuple[str, int], str],
    by: str,
    rounds: int,
    tmp_path: Path,
    reference: Path,
) -> None:
    told = campaigns.settings(tmp_path, reference, **changes)
    state = campaigns.run(told, tmp_path / "campaign", Actor({**campaigns.EVOLVING, **lines}))
    assert len(state.rounds) == rounds
    assert state.rounds[-1].decision is not None
    assert state.rounds[-1].decision.by == by


def test_a_round_that_found_nothing_is_not_the_last_by_word(
    tmp_path: Path, reference: Path
) -> None:
    abundant = {"kind": "filter", "measure": "abundance", "low": 5.0, "why": "As rock."}
    lines = {
        ("planner.begin", 1): plan(abundant),
        ("planner.revise", 2): plan(),
        ("analyzer", 0): analysis(stop=True, cites="population.size"),
    }
    told = campaigns.settings(tmp_path, reference, stopping={"rounds": None})
    state = campaigns.run(told, tmp_path / "campaign", Actor({**campaigns.EVOLVING, **lines}))
    sizes = [one.optimized.size for one in state.rounds if one.optimized]
    assert len(sizes) == 2
    assert sizes[0] == 0 < sizes[1]
    assert state.rounds[-1].decision is not None
    assert state.rounds[-1].decision.by == "analyzer"


def test_a_campaign_keeps_its_settings(
    golden: tuple[Path, CampaignState], tmp_path: Path, reference: Path
) -> None:
    folder, _ = golden
    with pytest.raises(CampaignFailed, match="holds a campaign already"):
        campaigns.run(campaigns.settings(tmp_path, reference), folder)
    other = campaigns.settings(tmp_path, reference, goal="Something else.")
    with pytest.raises(CampaignFailed, match="another goal"):
        campaigns.run(other, folder, resume=True)
    with pytest.raises(CampaignFailed, match="no campaign to resume"):
        campaigns.run(other, tmp_path / "nothing", resume=True)


def test_names_keep_their_meaning_over_rounds(tmp_path: Path, reference: Path) -> None:
    other = {**MIXED, "name": "cheap", "why": "Another thing by the same name."}
    lines = {
        **campaigns.EVOLVING,
        ("planner.begin", 1): plan(CHEAP),
        ("planner.revise", 2): plan(other),
        ("planner.replace", 2): plan(),
    }
    told = campaigns.settings(tmp_path, reference, rounds=2)
    state = campaigns.run(told, tmp_path / "campaign", Actor(lines))
    assert [one.name for one in state.rounds[1].objectives] == ["dense"]
    assert "earlier round" in state.rounds[1].dropped[0].reason
