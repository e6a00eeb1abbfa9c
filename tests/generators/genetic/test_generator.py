"""The generator as the loop sees it: weights, seeds, memory, and learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_matdesign.config.genetic import GeneticSettings
from ray_matdesign.config.loading import ConfigError
from ray_matdesign.config.schema import ConstraintSettings, GeneratorSettings, PrefilterSettings
from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.validity import check, unwanted
from ray_matdesign.generators.genetic.compositions import NothingToBreed
from ray_matdesign.generators.genetic.generator import GeneticGenerator, PopulationError
from ray_matdesign.generators.genetic.genomes import genomes_of
from ray_matdesign.generators.protocol import Evolving
from ray_matdesign.generators.registry import load_policy


def made(**options: object) -> GeneticGenerator:
    return GeneticGenerator(GeneticSettings.model_validate(options))


def small(**options: object) -> GeneticGenerator:
    """Rock salt and zinc blende of four elements: twelve crystals."""
    limits = ConstraintSettings(allowed_elements=("Mg", "Ca", "O", "S"))
    chosen = {"prototypes": ("rock_salt", "zinc_blende"), "smact": False, **options}
    return GeneticGenerator(GeneticSettings.model_validate(chosen), limits)


def test_the_registry_builds_a_generator_that_evolves() -> None:
    assert isinstance(load_policy(GeneratorSettings(name="genetic")), Evolving)


def test_children_pass_the_runs_checks() -> None:
    generator = made()
    generator.learn(first := generator.sample(40, seed=0), [0.5] * 40, first)
    crystals = generator.sample(200, seed=1)
    assert len(crystals) == 200
    assert [check(c, PrefilterSettings()) for c in crystals] == [None] * 200
    assert [unwanted(c, PrefilterSettings()) for c in crystals] == [None] * 200


def test_the_same_seed_and_weights_give_the_same_crystals() -> None:
    generator = made()
    first = generator.sample(20, seed=3)
    generator.learn(first, np.linspace(0, 1, 20).tolist(), first)
    other = made()
    other.load_weights(generator.weights(), 7)
    assert other.version == 7
    ours, theirs = generator.sample(30, seed=4), other.sample(30, seed=4)
    assert encode_crystals(ours) == encode_crystals(theirs)
    assert encode_crystals(ours) != encode_crystals(generator.sample(30, seed=5))


def test_nothing_is_proposed_twice_and_the_space_runs_out() -> None:
    generator, seen = small(), []
    for seed in range(4):
        drawn = generator.sample(5, seed=seed)
        generator.learn(drawn[:1], [0.5] * len(drawn[:1]), drawn)
        seen += genomes_of(drawn).codes().tolist()
    assert len(seen) == len(set(seen)) == 12
    assert generator.sample(5, seed=9) == []


def test_the_population_holds_the_best_in_order() -> None:
    generator = made(population=5)
    crystals = generator.sample(20, seed=0)
    rewards = np.random.default_rng(0).permutation(20) / 20
    generator.learn(crystals[:10], rewards[:10].tolist(), crystals[:10])
    generator.learn(crystals[10:], rewards[10:].tolist(), crystals[10:])
    members, kept = generator.population
    assert kept.tolist() == sorted(rewards, reverse=True)[:5]
    best = [crystals[place].formula for place in np.argsort(-rewards)[:5]]
    assert [member.formula for member in members] == best


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_lessons_does_not_matter(order: list[int]) -> None:
    crystals = made().sample(12, seed=0)
    rewards = [(place % 4) / 4 for place in range(12)]
    one, other = made(population=6), made(population=6)
    one.learn(crystals, rewards, crystals)
    other.learn([crystals[k] for k in order], [rewards[k] for k in order], crystals)
    for name, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[name])


def test_a_member_met_again_has_its_latest_reward() -> None:
    generator = made()
    (crystal,) = generator.sample(1, seed=0)
    generator.learn([crystal], [0.9], [crystal])
    generator.learn([crystal], [0.2], [])
    assert generator.population[1].tolist() == [0.2]


def test_selection_carries_the_search_where_the_reward_is() -> None:
    generator, untaught = made(), made()
    for loop in range(8):
        crystals = generator.sample(40, seed=loop)
        generator.learn(crystals, [min(1.0, c.density / 25) for c in crystals], crystals)
    bred = np.mean([c.density for c in generator.sample(100, seed=99)])
    drawn = np.mean([c.density for c in untaught.sample(100, seed=99)])
    assert bred > 1.4 * drawn


def test_constraints_are_heeded() -> None:
    limits = ConstraintSettings(chemical_system=("Ti", "O"))
    for crystal in GeneticGenerator(GeneticSettings(), limits).sample(10, seed=0):
        assert crystal.elements == {22, 8}
    for key, value in (("composition", "MgO"), ("allowed_elements", ("Xx",))):
        with pytest.raises(NothingToBreed, match=rf"generator\.constraints\.{key}"):
            GeneticGenerator(GeneticSettings(), ConstraintSettings.model_validate({key: value}))
    with pytest.raises(NothingToBreed, match="no structure type 'rocksalt'"):
        made(prototypes=["rocksalt"])
    with pytest.raises(NothingToBreed, match="sites for 4 elements"):
        made(min_elements=4)


def test_one_element_on_all_sites_is_left_to_the_types_of_one_site() -> None:
    options = {"min_elements": 1, "smact": False, "prototypes": ("diamond", "zinc_blende")}
    limits = ConstraintSettings(allowed_elements=("C",))
    settings_ = GeneticSettings.model_validate(options)
    assert len(GeneticGenerator(settings_, limits).sample(5, seed=0)) == 1


def test_conditions_and_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="aims for no property values"):
        made().sample(1, seed=0, condition={"band_gap": 3.0})
    with pytest.raises(ConfigError, match=r"generator\.options"):
        load_policy(GeneratorSettings(name="genetic", options={"populaton": 3}))


def test_a_run_goes_on_from_another_ones_population(tmp_path: Path) -> None:
    generator = made()
    generator.learn(first := generator.sample(8, seed=0), [0.5] * 8, first)
    path = tmp_path / "policy.safetensors"
    safetensors.numpy.save_file(generator.weights(), path)
    again = load_policy(GeneratorSettings(name="genetic", checkpoint=str(path)))
    assert encode_crystals(again.sample(9, seed=1)) == encode_crystals(generator.sample(9, seed=1))
    with pytest.raises(PopulationError, match="cannot be read"):
        load_policy(GeneratorSettings(name="genetic", checkpoint=str(tmp_path / "none")))
    foreign = {**generator.weights(), "types": np.zeros(3, np.uint8)}
    with pytest.raises(PopulationError, match="another table of structure types"):
        generator.load_weights(foreign, 1)
    with pytest.raises(PopulationError, match="no kinds, elements"):
        generator.load_weights({"logits": np.zeros(3)}, 1)
