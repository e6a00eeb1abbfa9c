"""One loop at a time: what becomes of candidates that fall out, and of batches that fail."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import toy

from ray_matdesign.rl import plain_json
from ray_matdesign.rl.candidate import Outcome
from ray_matdesign.rl.executor import BatchFailed
from ray_matdesign.rl.ledger import Ledger, LedgerError
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.loop import Campaign, publish, run_loop
from ray_matdesign.rl.memory import LongTermMemory
from ray_matdesign.rl.progress import Silent
from ray_matdesign.rl.replay import ReplayBuffer
from ray_matdesign.rl.stages import RunFailed, Tools
from ray_matdesign.rl.workers import roles_of
from ray_matdesign.stability.reference import ReferenceSet


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


class Losing:
    """An executor some of whose batches no worker can finish."""

    def __init__(self, executor, verb, lost):
        self._executor, self._verb, self._lost = executor, verb, lost
        self.publish, self.close = executor.publish, executor.close

    def map(self, role, verb, batches):
        for index, result in self._executor.map(role, verb, batches):
            if verb == self._verb and index in self._lost:
                yield index, BatchFailed("worker died three times")
            else:
                yield index, result


def set_up(config, executor=None):
    executor = executor or LocalExecutor(roles_of(config))
    reference = ReferenceSet.load(config.stability.reference, config.stability)
    campaign = Campaign(toy.ToyPolicy().weights(), ReplayBuffer(config.rl.replay))
    tools = Tools(config, executor, reference, Ledger(), Notes(), ("density",))
    publish(campaign, tools)
    return campaign, tools


def loop_with(reference, changes, lost_verb=None, lost=()):
    config = toy.config(reference, **changes)
    executor = Losing(LocalExecutor(roles_of(config)), lost_verb, lost)
    campaign, tools = set_up(config, executor)
    return campaign, tools, run_loop(campaign, tools)


def test_a_crystal_that_takes_its_worker_down_is_lost_alone(reference):
    # The second batch of four is lost, and then the second of its crystals, tried one by one.
    _, tools, record = loop_with(reference, {}, "assess", {1})
    (lost,) = [c for c in record.candidates if c.outcome is Outcome.RELAXATION_FAILED]
    assert lost.index == 5
    assert lost.reason == "worker died three times"
    assert record.metrics["relaxed"] == 15
    assert record.metrics["rejections"]["relaxation_failed: worker died three times"] == 1
    assert tools.progress.lines == [
        "relax: a batch failed, its 4 crystals are tried one by one: worker died three times",
        f"relax: {lost.generated.formula} failed: worker died three times",
    ]


def test_a_failed_evaluation_is_billed_and_earns_nothing(reference):
    changes = {"relaxation.batch_size": 1}
    campaign, _, record = loop_with(reference, changes, "score", {0, 1, 2, 3})
    failed = [c for c in record.candidates if c.outcome is Outcome.EVALUATION_FAILED]
    assert len(failed) == 4
    assert all(c.reward is None and c.penalised_reward is None for c in failed)
    assert record.metrics["evaluated"] == record.metrics["evaluations_total"] == 8
    assert record.metrics["trained_on"] == 4
    assert len(campaign.memory) == 8


def test_a_property_that_cannot_be_had_is_no_zero(reference, tmp_path):
    ramp = {"kind": "ascending", "min": 0.0, "max": 20.0}

    def objective(refuse):
        options = {"log": str(tmp_path / "log"), "refuse": refuse}
        return {
            "objective.terms": [
                {"scorer": "toy:counted_density", "options": options, "transform": ramp}
            ]
        }

    _, _, record = loop_with(reference, objective(""))
    formula = next(c for c in record.candidates if c.reward is not None).generated.formula
    _, _, again = loop_with(reference, objective(formula))
    refused = [c for c in again.candidates if c.outcome is Outcome.EVALUATION_FAILED]
    assert {c.generated.formula for c in refused} == {formula}
    assert {c.reason for c in refused} == {f"density: {formula} is refused"}
    assert {c.reward for c in refused} == {None}
    assert again.metrics["rejections"]["evaluation_failed: density: formula is refused"] >= 1


def test_a_lost_sampling_batch_is_noted_and_the_loop_goes_on(reference):
    _, tools, record = loop_with(reference, {}, "sample", {0})
    assert [c.index for c in record.candidates] == list(range(8, 16))
    assert record.metrics["requested"] == 16
    assert record.metrics["sampled"] == 8
    assert tools.progress.lines == ["loop 1: a sampling batch failed: worker died three times"]


def test_a_generator_that_never_answers_ends_the_run(reference):
    with pytest.raises(RunFailed, match="loop 1: no crystal could be sampled: worker died"):
        loop_with(reference, {}, "sample", {0, 1})


def test_a_learner_that_fails_ends_the_run(reference):
    with pytest.raises(RunFailed, match="loop 1: fine-tuning failed: worker died"):
        loop_with(reference, {}, "finetune", {0})


def test_a_loop_without_survivors_leaves_the_policy_alone(reference):
    changes = {"stability.max_e_above_hull_ev_per_atom": -9.0}
    campaign, tools, record = loop_with(reference, changes)
    assert campaign.version == 0
    assert record.metrics["trained_on"] == record.metrics["adam_steps"] == 0
    assert record.metrics["loss"] is None
    assert record.metrics["reward_mean"] is None
    assert record.metrics["rejections"] == {
        "unstable: # eV/atom above the hull, limit #": 16,
    }
    assert tools.progress.lines == ["loop 1: nothing to train on; the policy stays as it is"]


def test_a_loop_without_survivors_trains_on_replay_alone(reference):
    config = toy.config(reference)
    campaign, tools = set_up(config)
    first = run_loop(campaign, tools)
    hopeless = config.stability.model_copy(update={"max_e_above_hull_ev_per_atom": -9.0})
    strict = dataclasses.replace(tools, config=config.model_copy(update={"stability": hopeless}))
    record = run_loop(campaign, strict)
    assert record.metrics["evaluated"] == 0
    assert record.metrics["trained_on"] == record.metrics["replayed"]
    assert record.metrics["replayed"] == first.metrics["replay_size"]
    assert campaign.version == 2


def test_elements_without_a_reference_energy_are_named_and_counted(tmp_path):
    folder = tmp_path / "no-aluminium"
    toy.write_reference(folder, toy.solid(), metals=toy.METALS[1:])
    _, _, record = loop_with(folder, {})
    rejected = [c for c in record.candidates if c.outcome is Outcome.NO_REFERENCE]
    assert all(13 in c.generated.elements and c.assessment is None for c in rejected)
    assert not any(13 in c.generated.elements for c in record.candidates if c.assessment)
    count = record.metrics["rejections"]["no_reference: no reference energy for Al"]
    assert count == len(rejected) > 0


def test_what_the_guards_rule_out_is_valid_yet_never_relaxed(reference):
    _, _, record = loop_with(reference, {"prefilter.forbidden_elements": ["Pt", "Au"]})
    forbidden = {78, 79}
    unwanted = [c for c in record.candidates if c.outcome is Outcome.UNWANTED]
    assert unwanted
    assert all(forbidden & c.generated.elements for c in unwanted)
    assert not any(forbidden & c.generated.elements for c in record.candidates if c.assessment)
    causes = record.metrics["rejections"]
    assert sum(n for cause, n in causes.items() if cause.startswith("unwanted: ")) == len(unwanted)
    assert causes["unwanted: forbidden element Pt"] > 0
    assert record.metrics["valid"] == 16


def test_pure_elements_are_let_through_where_asked_for(reference):
    changes = {"rl.samples": 400, "stability.require": [], "rl.evaluations": 1}
    _, _, guarded = loop_with(reference, changes)
    _, _, free = loop_with(reference, {**changes, "prefilter.min_elements": 1})
    pure = [c.key for c in free.candidates if len(c.generated.elements) == 1]
    assert pure
    assert [c.key for c in guarded.candidates if c.outcome is Outcome.UNWANTED] == pure
    assert guarded.metrics["rejections"]["unwanted: fewer than # elements"] == len(pure)
    assert not any(c.outcome is Outcome.UNWANTED for c in free.candidates)


def test_overlapping_atoms_are_never_relaxed(reference):
    _, _, record = loop_with(reference, {"prefilter.min_distance_ang": 2.8})
    outcomes = {c.outcome for c in record.candidates if c.assessment is None}
    assert outcomes == {Outcome.INVALID}
    key = "invalid: atoms overlap: # A apart, below #"
    assert record.metrics["rejections"][key] == 16 - record.metrics["valid"] > 0


def test_no_more_evaluations_are_bought_than_the_budget_allows(reference):
    _, _, record = loop_with(reference, {"rl.evaluations": 3})
    evaluated = [c.index for c in record.candidates if c.outcome is Outcome.EVALUATED]
    waiting = [c.index for c in record.candidates if c.outcome is Outcome.NOT_EVALUATED]
    assert len(evaluated) == 3
    assert max(evaluated) < min(waiting)
    assert record.metrics["trained_on"] == 1


PRICE = 12000.0
"""USD/kg: about half of the toy alloys cost more."""

RAMP = {"kind": "ascending", "min": 0.0, "max": 20.0}


def counted(log, **rest):
    """A density that costs what a potential costs, and writes down what it was asked."""
    options = {"log": str(log), "cost": "mlip"}
    return {"scorer": "toy:counted_density", "options": options, **rest}


def test_the_front_of_several_properties_is_measured_by_its_hypervolume(reference):
    cheap = {"scorer": "price", "transform": {"kind": "descending", "min": 0.0, "max": 40000.0}}
    terms = [{"scorer": "density", "transform": RAMP}, cheap]
    config = toy.config(reference, **{"objective.terms": terms, "rl.evaluations": 6})
    campaign, tools = set_up(config)
    tools = dataclasses.replace(tools, properties=("density", "price"))
    first, second = run_loop(campaign, tools), run_loop(campaign, tools)
    volumes = [record.metrics["hypervolume"] for record in (first, second)]
    found = [c for c in first.candidates if c.outcome is Outcome.EVALUATED]
    boxes = [(c.values["density"] / 20, max(1 - c.values["price"] / 40000, 0)) for c in found]
    steps = (np.arange(1000) + 0.5) / 1000
    covered = np.zeros((1000, 1000), dtype=bool)
    for wide, high in boxes:
        covered |= (steps[:, None] < wide) & (steps[None, :] < high)
    assert volumes[0] == pytest.approx(covered.mean(), abs=2e-3)
    assert volumes[1] >= volumes[0]


def test_one_property_has_no_hypervolume(reference):
    assert loop_with(reference, {})[2].metrics["hypervolume"] is None


def test_cheap_filters_are_applied_before_the_budget_is_touched(reference, tmp_path):
    changes = {
        "objective.terms": [counted(tmp_path / "log", transform=RAMP)],
        "objective.filters": [{"scorer": "price", "max": PRICE}],
        "rl.evaluations": 4,
    }
    campaign, _, record = loop_with(reference, changes)
    filtered = [c for c in record.candidates if c.outcome is Outcome.FILTERED]
    evaluated = [c for c in record.candidates if c.outcome is Outcome.EVALUATED]
    assert all(c.values["price"] > PRICE and not c.billed for c in filtered)
    assert all(c.values["price"] <= PRICE for c in evaluated)
    assert len(evaluated) == 4  # though some of the first survivors were turned down
    assert min(c.index for c in filtered) < max(c.index for c in evaluated)
    assert record.metrics["evaluated"] == len(campaign.memory) == 4
    assert record.metrics["rejections"]["filtered: price # > max #"] == len(filtered) > 0
    assert len((tmp_path / "log").read_text().splitlines()) == 4
    screened = sum("price" in c.computed for c in record.candidates)
    assert record.metrics["computed"] == {"density": 4, "price": screened}
    assert record.metrics["computed_by_cost"] == {"cheap": screened, "mlip": 4, "dft": 0}


def test_a_crystal_turned_down_by_what_was_paid_for_is_billed(reference, tmp_path):
    term = counted(tmp_path / "log", transform=RAMP, min_score=0.7)
    campaign, _, record = loop_with(reference, {"objective.terms": [term]})
    abandoned = [c for c in record.candidates if c.outcome is Outcome.ABANDONED]
    assert abandoned
    assert all(c.values["density"] < 14.0 and c.reward is None for c in abandoned)
    assert all(c.reward >= 0.7 for c in record.candidates if c.outcome is Outcome.EVALUATED)
    assert record.metrics["evaluated"] == len(campaign.memory) == 8
    cause = "abandoned: density scores # < min_score #"
    assert record.metrics["rejections"][cause] == len(abandoned)


def test_a_filter_without_a_value_lets_no_crystal_through(reference, tmp_path):
    def changes(refuse):
        options = {"log": str(tmp_path / "log"), "refuse": refuse}
        return {
            "objective.terms": [{"scorer": "price", "transform": RAMP}],
            "objective.filters": [{"scorer": "toy:counted_density", "options": options, "min": 0}],
        }

    _, _, record = loop_with(reference, changes(""))
    formula = next(c for c in record.candidates if c.reward is not None).generated.formula
    _, _, again = loop_with(reference, changes(formula))
    refused = [c for c in again.candidates if c.outcome is Outcome.FILTERED]
    assert {c.generated.formula for c in refused} == {formula}
    assert {c.reason for c in refused} == {f"density: {formula} is refused"}
    assert again.metrics["rejections"]["filtered: density: formula is refused"] == len(refused)


def test_what_another_run_paid_for_is_free_and_changes_nothing(reference, tmp_path):
    changes = {
        "objective.terms": [counted(tmp_path / "log", transform=RAMP)],
        "cache": str(tmp_path / "cache"),
    }
    _, _, first = loop_with(reference, changes)
    campaign, _, second = loop_with(reference, changes)
    assert len((tmp_path / "log").read_text().splitlines()) == 8
    assert first.metrics["computed"] == {"density": 8}
    assert second.metrics["computed"] == {"density": 0}
    assert second.metrics["recalled"] == second.metrics["recalled_total"] == {"density": 8}
    assert second.metrics["computed_by_cost_total"] == {"cheap": 0, "mlip": 0, "dft": 0}
    assert [c.reward for c in second.candidates] == [c.reward for c in first.candidates]
    assert second.metrics["evaluated"] == len(campaign.memory) == 8


def test_counts_add_up_over_loops_and_survive_a_checkpoint(reference, tmp_path):
    config = toy.config(reference, **{"objective.terms": [counted(tmp_path / "l", transform=RAMP)]})
    campaign, tools = set_up(config)
    paid = [run_loop(campaign, tools).metrics["computed"]["density"] for _ in range(2)]
    restored = LongTermMemory()
    restored.load_state_dict(plain_json.loads(plain_json.dumps(campaign.memory.state_dict())))
    assert restored.spending.computed == {"density": sum(paid)}
    assert restored.spending.computed_by_cost() == {"cheap": 0, "mlip": sum(paid), "dft": 0}
    assert restored.burden_by_cost(0.0)["mlip"] is None  # fewer than a hundred hits


def test_novelty_and_uniqueness_count_only_if_required(reference):
    _, _, strict = loop_with(reference, {"rl.evaluations": 16})
    _, _, lax = loop_with(reference, {"rl.evaluations": 16, "stability.require": ["stable"]})
    assert lax.metrics["evaluated"] == lax.metrics["stable"]
    assert strict.metrics["evaluated"] == strict.metrics["sun"] <= lax.metrics["evaluated"]


def test_the_whole_loop_runs_on_emt(tmp_path):
    from ray_matdesign.potentials.emt import EmtPotential

    toy.write_reference(tmp_path / "emt", EmtPotential())
    _, _, record = loop_with(
        tmp_path / "emt",
        {"potential": {"name": "emt"}, "rl.samples": 6, "relaxation.max_steps": 10},
    )
    assert record.metrics["relaxed"] == 6
    assert record.metrics["trained_on"] > 0


def test_a_ledger_survives_a_torn_last_line_but_no_other_damage(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.open_loop(3)
    ledger.record("score", {"a": {"values": {"density": 2.0}, "reward": 0.1}})
    ledger.record("assess", {"b": {"relaxed": b"\x00\xff"}})
    path = tmp_path / "loop-00003.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"verb": "score", "resu')
    again = Ledger(tmp_path)
    again.open_loop(3)
    assert again.get("score", "a") == {"values": {"density": 2.0}, "reward": 0.1}
    assert again.get("assess", "b") == {"relaxed": b"\x00\xff"}
    assert again.get("score", "b") is None
    assert path.read_bytes() == whole
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(LedgerError, match=r"loop-00003\.jsonl: line 1 cannot be read"):
        Ledger(tmp_path).open_loop(3)
    again.open_loop(4)
    assert again.get("score", "a") is None
