"""Masks lead to SMACT-valid crystals, and only dead ends are masked out."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smact.screening import smact_validity

from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.prototypes import Prototype
from ray_matdesign.crystals.validity import smact_valid
from ray_matdesign.rllib.assembly import STEPS, Assembly, Draft, NothingToBuild
from ray_matdesign.stability.reference import ReferenceSet


def numbers(symbols: str) -> list[int]:
    return [ATOMIC_NUMBERS[symbol] for symbol in symbols.split()]


def density(**changes: object) -> RunConfig:
    return load_run_config("density", [f"{key}={value}" for key, value in changes.items()])


@cache
def everything() -> Assembly:
    """What the recipe `density` lets be built, of all elements the packaged hull can judge."""
    return Assembly.of(density(), ReferenceSet.load("packaged").elements)


def action_of(assembly: Assembly, what: str) -> int:
    names = [prototype.name for prototype in assembly.types]
    if what in names:
        return names.index(what)
    return len(names) + assembly.elements.index(ATOMIC_NUMBERS[what])


def built(assembly: Assembly, *actions: str) -> Draft:
    draft = Draft()
    for what in actions:
        draft = assembly.after(draft, action_of(assembly, what))
    return draft


def rollout(assembly: Assembly, seed: int) -> Draft:
    rng = np.random.default_rng(seed)
    draft = Draft()
    while not draft.finished:
        allowed = np.flatnonzero(assembly.mask(draft))
        assert len(allowed) > 0
        draft = assembly.after(draft, int(rng.choice(allowed)))
    return draft


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_random_choices_end_in_what_smact_calls_valid(seed: int) -> None:
    draft = rollout(everything(), seed)
    crystal = everything().crystal(draft)
    assert crystal is not None
    # SMACT's own screening, not this package's.
    assert smact_validity(crystal.formula, oxidation_states_set="smact14")
    assert len(crystal.elements) >= 2
    assert draft.steps == STEPS
    assert everything().mask(draft).sum() == 1


SMALL = numbers("Na Mg Ti Fe Cu Cl O S")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_an_element_is_masked_if_and_only_if_nothing_can_follow(seed: int) -> None:
    assembly = Assembly(SMALL)
    rng = np.random.default_rng(seed)
    draft = Draft()
    while not draft.finished:
        mask = assembly.mask(draft)
        assert list(mask) == list(exhaustive_mask(assembly, draft))
        draft = assembly.after(draft, int(rng.choice(np.flatnonzero(mask))))


def exhaustive_mask(assembly: Assembly, draft: Draft) -> np.ndarray:
    """Tries every completion."""
    types, elements = len(assembly.types), len(assembly.elements)
    mask = np.zeros(assembly.n_actions, dtype=bool)
    if draft.prototype is None:
        mask[:types] = [completes(t, ()) for t in assembly.types]
        return mask
    chosen = assembly.types[draft.prototype]
    if len(draft.elements) == len(chosen.stoichiometry):
        mask[-1] = True
    else:
        following = [completes(chosen, (*draft.elements, z)) for z in assembly.elements]
        mask[types : types + elements] = following
    return mask


def completes(prototype: Prototype, start: tuple[int, ...]) -> bool:
    rest = len(prototype.stoichiometry) - len(start)
    for end in itertools.product(SMALL, repeat=rest):
        whole = (*start, *end)
        counts = Counter[int]()
        for z, n in zip(whole, prototype.stoichiometry, strict=True):
            counts[z] += n
        if len(counts) > 1 and smact_valid(counts):
            return True
    return False


def test_barium_and_fluorine_make_difluorides_only() -> None:
    # Ba is 2+ and F 1-: no compound AB, and of AB2 only with barium on the site of A.
    assembly = Assembly(numbers("Ba F"))
    allowed = np.flatnonzero(assembly.mask(Draft()))
    shapes = {assembly.types[i].stoichiometry for i in allowed if i < len(assembly.types)}
    assert (1, 2) in shapes
    assert (1, 1) not in shapes
    fluorite = built(assembly, "fluorite")
    assert np.flatnonzero(assembly.mask(fluorite)) == [action_of(assembly, "Ba")]
    done = assembly.after(built(assembly, "fluorite", "Ba", "F"), assembly.n_actions - 1)
    assert assembly.name(done) == "fluorite BaF2"


def test_metals_combine_freely_but_not_with_themselves() -> None:
    assembly = Assembly(numbers("Cu Au"))
    # A type of one site has no room for two metals.
    roomy = [len(prototype.stoichiometry) > 1 for prototype in assembly.types]
    assert list(assembly.mask(Draft())[: len(assembly.types)]) == roomy
    after_copper = assembly.mask(built(assembly, "copper_gold", "Cu"))
    assert np.flatnonzero(after_copper) == [action_of(assembly, "Au")]


def test_guards_of_the_settings_are_kept() -> None:
    symbols = {SYMBOLS[z] for z in everything().elements}
    assert symbols.isdisjoint({"Xe", "Ar", "Tc", "U", "Th", "Pu"})
    judged = ReferenceSet.load("packaged").elements
    chosen = Assembly.of(
        density(**{"generator.constraints.allowed_elements": "[Ba, Ti, O, U]"}), judged
    )
    assert [SYMBOLS[z] for z in chosen.elements] == ["O", "Ti", "Ba"]
    without = Assembly.of(density(**{"generator.constraints.excluded_elements": "[Pb]"}), judged)
    assert set(everything().elements) - set(without.elements) == {ATOMIC_NUMBERS["Pb"]}


def test_settings_that_leave_nothing_are_refused() -> None:
    with pytest.raises(NothingToBuild, match="no structure type can be filled with O alone"):
        Assembly(numbers("O"))
    with pytest.raises(NothingToBuild, match="chemical_system and composition"):
        Assembly.of(density(**{"generator.constraints.composition": "SrTiO3"}), SMALL)


def test_an_action_outside_the_mask_spoils_the_crystal() -> None:
    assembly = Assembly(numbers("Ba F"))
    draft = built(assembly, "fluorite", "F")
    assert draft.spoiled
    for _ in range(STEPS - 2):
        assert np.flatnonzero(assembly.mask(draft)) == [assembly.n_actions - 1]
        draft = assembly.after(draft, assembly.n_actions - 1)
    assert assembly.crystal(draft) is None


def test_unfinished_and_finished_drafts_are_told_apart() -> None:
    assembly = Assembly(numbers("Na Cl"))
    with pytest.raises(ValueError, match="not finished: 1 of 4"):
        assembly.crystal(built(assembly, "rock_salt"))
    done = rollout(assembly, 0)
    with pytest.raises(ValueError, match="finished"):
        assembly.after(done, 0)


def test_drafts_that_differ_look_different() -> None:
    assembly = Assembly(numbers("Na K Cl Br"))
    seen = {}
    for seed in range(40):
        rng, draft = np.random.default_rng(seed), Draft()
        while not draft.finished:
            draft = assembly.after(draft, int(rng.choice(np.flatnonzero(assembly.mask(draft)))))
            seen.setdefault(assembly.features(draft).tobytes(), set()).add(draft)
    assert all(len(drafts) == 1 for drafts in seen.values())
