"""What is known of one generated crystal, from its birth to its reward."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ray_matdesign.crystals.codec import encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.rewards.scorer import Specimen
from ray_matdesign.stability.sun import SunFlags


class Outcome(StrEnum):
    """How far a candidate came."""

    PENDING = "pending"
    INVALID = "invalid"
    """Fails the checks made before any energy is paid for."""
    UNWANTED = "unwanted"
    """Valid, but a pure element, or with an element the settings forbid."""
    NO_REFERENCE = "no_reference"
    """Holds an element without a reference energy."""
    NOT_RELAXED = "not_relaxed"
    """Valid, but the loop's relaxations were spent."""
    RELAXATION_FAILED = "relaxation_failed"
    UNSTABLE = "unstable"
    DUPLICATE = "duplicate"
    """The same as an earlier candidate of its loop."""
    KNOWN = "known"
    """Present in the reference set."""
    FILTERED = "filtered"
    """Turned down by what is cheap to know; no property was paid for."""
    SPARED = "spared"
    """An earlier loop evaluated it, or the diversity filter would take its whole reward away."""
    NOT_EVALUATED = "not_evaluated"
    """Survived, but the loop's property budget was spent."""
    ABANDONED = "abandoned"
    """Turned down by a property that had to be paid for; billed all the same."""
    EVALUATION_FAILED = "evaluation_failed"
    """A property could not be obtained; billed all the same."""
    EVALUATED = "evaluated"


BILLED = frozenset((Outcome.ABANDONED, Outcome.EVALUATION_FAILED, Outcome.EVALUATED))
"""Outcomes that count against the loop's property budget."""


@dataclass(frozen=True)
class Assessment:
    """What relaxation and the reference set told of a candidate.

    Attributes:
        relaxed: The crystal at rest, atoms in the order they were generated.
        energy_ev_per_atom: The potential's, eV/atom.
        formation_energy_ev_per_atom: Against the reference's elements, eV/atom.
        e_above_hull_ev_per_atom: Against the reference's hull, eV/atom; negative below it.
        novel: Whether the reference set lacks it.
        relax_steps: Optimiser steps.
        converged: Whether forces and stress fell below the threshold before the step cap.
        displacement_ang: Root mean square displacement of the atoms by the relaxation, Angstrom.
    """

    relaxed: Crystal
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float
    e_above_hull_ev_per_atom: float
    novel: bool
    relax_steps: int
    converged: bool
    displacement_ang: float

    @property
    def specimen(self) -> Specimen:
        """What the scorers get to see."""
        return Specimen(
            self.relaxed,
            self.energy_ev_per_atom,
            self.formation_energy_ev_per_atom,
            self.e_above_hull_ev_per_atom,
        )


@dataclass(frozen=True)
class Candidate:
    """One generated crystal and its record.

    Attributes:
        key: Loop, index and a digest of the generated crystal: results stored under a key can
            never be given to another crystal.
        loop: In which it was made, from 1.
        index: Its place among the loop's samples.
        policy_version: Of the weights that made it.
        generated: As sampled; what the policy is trained on.
        outcome: How far it came.
        reason: Why no farther; empty while it is in the race.
        assessment: ``None`` unless it was relaxed.
        flags: Stable, unique, novel; ``None`` unless it was relaxed.
        values: Property by scorer, in the scorer's unit.
        computed: Cost class, by name, of the scorers that were run for it.
        recalled: The same of those whose value the cache held.
        reward: Unpenalised; ``None`` without a complete evaluation.
        penalised_reward: After the diversity filter; what it is trained with.
    """

    key: str
    loop: int
    index: int
    policy_version: int
    generated: Crystal
    outcome: Outcome = Outcome.PENDING
    reason: str = ""
    assessment: Assessment | None = None
    flags: SunFlags | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
    recalled: Mapping[str, str] = field(default_factory=dict)
    reward: float | None = None
    penalised_reward: float | None = None

    @property
    def pending(self) -> bool:
        """Whether it is still in the race."""
        return self.outcome is Outcome.PENDING

    @property
    def billed(self) -> bool:
        """Whether it counts against the property budget."""
        return self.outcome in BILLED

    @property
    def sun(self) -> bool:
        """Stable, unique and novel."""
        return self.flags is not None and self.flags.sun

    def rejected(self, outcome: Outcome, reason: str) -> Candidate:
        """This candidate, out of the race."""
        return replace(self, outcome=outcome, reason=reason)


def new_candidate(loop: int, index: int, policy_version: int, crystal: Crystal) -> Candidate:
    """The record of a crystal just sampled."""
    digest = hashlib.sha256(encode_crystals([crystal])).hexdigest()[:16]
    return Candidate(f"{loop:05d}-{index:05d}-{digest}", loop, index, policy_version, crystal)
