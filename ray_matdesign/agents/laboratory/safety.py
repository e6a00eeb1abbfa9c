"""What a laboratory refuses, and what it has a person agree to, before anything is weighed.

It belongs on the laboratory's side of the interface: who orders can read the limits and cannot
change them. The tables of forbidden classes hold whatever the limits say.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from ray_matdesign.agents.laboratory.messages import Limits, Synthesis
from ray_matdesign.agents.laboratory.precursors import (
    AIRLESS,
    FORBIDDEN_CLASSES,
    FORBIDDEN_TOGETHER,
    PRECURSORS,
    Precursor,
)


@dataclass(frozen=True)
class Judgement:
    """What is to become of an order.

    Attributes:
        refusals: Why it cannot be done; empty if it can.
        approvals: What a person has to agree to first; empty if nothing.
    """

    refusals: tuple[str, ...]
    approvals: tuple[str, ...]


def judge(synthesis: Synthesis, limits: Limits, stock: Collection[str]) -> Judgement:
    """Holds a synthesis against the limits of a laboratory and the packaged tables.

    Args:
        synthesis: What is asked for.
        limits: Of the laboratory.
        stock: Names of the precursors it has.
    """
    names = [dose.precursor for dose in synthesis.doses]
    unknown = [name for name in names if name not in stock or name not in PRECURSORS]
    if unknown:
        return Judgement(tuple(f"{name} is not in stock" for name in unknown), ())
    precursors = [PRECURSORS[name] for name in names]
    refusals = [
        *_forbidden(precursors, limits),
        *_too_fierce(synthesis, limits),
        *_too_much(synthesis, limits),
    ]
    if synthesis.atmosphere != "argon":
        refusals += [
            f"{one.name} must be heated in argon, not in {synthesis.atmosphere}"
            for one in precursors
            if one.hazards & AIRLESS
        ]
    return Judgement(tuple(refusals), _approvals(synthesis, precursors, limits))


def _forbidden(precursors: Collection[Precursor], limits: Limits) -> list[str]:
    found = [
        f"{one.name} is forbidden in this laboratory"
        for one in precursors
        if one.name in limits.forbidden
    ]
    found += [
        f"{one.name} is forbidden: {FORBIDDEN_CLASSES[hazard]}"
        for one in precursors
        for hazard in sorted(one.hazards & FORBIDDEN_CLASSES.keys())
    ]
    for one, other in itertools.combinations(precursors, 2):
        for pair, why in FORBIDDEN_TOGETHER.items():
            first, second = sorted(pair)
            if _meet(one, other, first, second) or _meet(one, other, second, first):
                found.append(f"{one.name} and {other.name} must not meet: {why}")
    return found


def _meet(one: Precursor, other: Precursor, first: str, second: str) -> bool:
    return first in one.hazards and second in other.hazards


def _too_fierce(synthesis: Synthesis, limits: Limits) -> list[str]:
    found = []
    if synthesis.hottest_c > limits.max_temperature_c:
        found.append(
            f"{synthesis.hottest_c:g} C is beyond the furnace's limit of "
            f"{limits.max_temperature_c:g} C"
        )
    held = sum(step.hold_h for step in synthesis.furnace)
    if held > limits.max_hold_h:
        found.append(f"{held:g} h in the furnace are beyond the limit of {limits.max_hold_h:g} h")
    steepest = max(step.ramp_c_per_min for step in synthesis.furnace)
    if steepest > limits.max_ramp_c_per_min:
        found.append(
            f"a ramp of {steepest:g} C/min is beyond the limit of "
            f"{limits.max_ramp_c_per_min:g} C/min"
        )
    if synthesis.milling.rpm > limits.max_rpm:
        found.append(
            f"{synthesis.milling.rpm:g} rpm are beyond the mill's limit of {limits.max_rpm:g} rpm"
        )
    return found


def _too_much(synthesis: Synthesis, limits: Limits) -> list[str]:
    found = [
        f"{dose.mass_g:g} g of {dose.precursor} are beyond the limit of {limits.max_dose_g:g} g"
        for dose in synthesis.doses
        if dose.mass_g > limits.max_dose_g
    ]
    total = _batch_g(synthesis)
    if total > limits.max_batch_g:
        found.append(f"a batch of {total:g} g is beyond the limit of {limits.max_batch_g:g} g")
    return found


def _approvals(
    synthesis: Synthesis, precursors: Collection[Precursor], limits: Limits
) -> tuple[str, ...]:
    wanted = [
        f"{one.name} ({', '.join(classes)})"
        for one in precursors
        if one.name not in limits.agreed
        and (classes := sorted(one.hazards & set(limits.approval_hazards)))
    ]
    if synthesis.hottest_c > limits.approval_above_c:
        wanted.append(f"{synthesis.hottest_c:g} C (above {limits.approval_above_c:g} C)")
    if (total := _batch_g(synthesis)) > limits.approval_above_batch_g:
        wanted.append(f"a batch of {total:g} g (above {limits.approval_above_batch_g:g} g)")
    return tuple(wanted)


def _batch_g(synthesis: Synthesis) -> float:
    return sum(dose.mass_g for dose in synthesis.doses)
