"""Checks that cost nothing, made before any energy is paid for.

Geometry as in MatInvent's filter (arXiv:2511.03112); composition by the SMACT rules (Davies et
al., Chem 1, 617 (2016)) in the convention of CDVAE and DiffCSP, so that figures compare with the
field's: oxidation states of SMACT's 2014 list, one state per element, charge neutrality, anions
more electronegative than cations, and elements and alloys valid by definition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache, reduce
from math import gcd

from ray_matdesign.config.schema import PrefilterSettings
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_NUMBERS, SYMBOLS
from ray_matdesign.crystals.geometry import min_distance


def check(crystal: Crystal, settings: PrefilterSettings) -> str | None:
    """Why a crystal is not worth relaxing.

    Args:
        crystal: As generated.
        settings: Thresholds.

    Returns:
        The reason in one line, or ``None`` for a valid crystal.
    """
    longest = float(crystal.lengths.max())
    if crystal.volume < settings.min_volume_ang3:
        return f"volume {crystal.volume:.3g} A^3 is below {settings.min_volume_ang3:g}"
    if longest >= settings.max_length_ang:
        return f"cell length {longest:.1f} A is not below {settings.max_length_ang:g}"
    shortest = min_distance(crystal)
    if shortest < settings.min_distance_ang:
        return f"atoms overlap: {shortest:.2f} A apart, below {settings.min_distance_ang:g}"
    if settings.smact and not smact_valid(crystal.counts):
        return f"{crystal.formula} has no charge-neutral assignment of oxidation states (SMACT)"
    return None


def check_all(crystals: Iterable[Crystal], settings: PrefilterSettings) -> list[str | None]:
    """:func:`check` of each crystal, in order."""
    return [check(crystal, settings) for crystal in crystals]


def unwanted(crystal: Crystal, settings: PrefilterSettings) -> str | None:
    """Why a crystal, valid or not, is not to be pursued: the guards against trivial answers.

    A reward has no objection to pure elements, and potentials and hulls know least about noble
    gases and radioactive elements: an optimiser drifts to them.

    Args:
        crystal: As generated; only its composition matters.
        settings: The guards.

    Returns:
        The reason in one line, or ``None`` for a crystal no guard objects to.
    """
    present = crystal.elements
    forbidden = _atomic_numbers(settings.forbidden_elements).intersection(present)
    if forbidden:
        symbols = ", ".join(SYMBOLS[z] for z in sorted(forbidden))
        return f"forbidden {'element' if len(forbidden) == 1 else 'elements'} {symbols}"
    if len(present) < settings.min_elements:
        return f"fewer than {settings.min_elements} elements"
    return None


def well_decorated(
    elements: Sequence[int], stoichiometry: Sequence[int], *, min_elements: int, smact: bool
) -> bool:
    """Whether elements on the sites of a structure type make a composition worth building.

    Args:
        elements: Atomic number on each site.
        stoichiometry: Atoms of each site in a formula unit.
        min_elements: Distinct elements that it must hold.
        smact: Whether it must pass the SMACT rules.
    """
    if len(set(elements)) < min_elements:
        return False
    counts: Counter[int] = Counter()
    for z, n in zip(elements, stoichiometry, strict=True):
        counts[z] += n
    return not smact or smact_valid(counts)


@lru_cache(maxsize=16)
def _atomic_numbers(symbols: tuple[str, ...]) -> frozenset[int]:
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in symbols)


def smact_valid(counts: Mapping[int, int]) -> bool:
    """Whether a composition passes the SMACT rules.

    The outcome is that of ``smact.screening.smact_validity(..., oxidation_states_set="smact14")``;
    the time grows with the number of reachable charges, not with the number of combinations of
    states, which for seven elements are millions.

    Args:
        counts: Atoms of each element by atomic number.
    """
    divisor = reduce(gcd, counts.values())
    return _smact_valid(tuple(sorted((z, n // divisor) for z, n in counts.items())))


@lru_cache(maxsize=65536)
def _smact_valid(composition: tuple[tuple[int, int], ...]) -> bool:
    states, electronegativities, metals = _smact_tables()
    elements = [z for z, _ in composition]
    if len(elements) == 1 or metals.issuperset(elements):
        return True
    if any(electronegativities[z] is None for z in elements):
        return False
    # Cations lie strictly below anions in electronegativity: every allowed assignment splits the
    # elements at one value.
    for cut in sorted({electronegativities[z] or 0.0 for z in elements}):
        charges = {0}
        for z, n in composition:
            anion = (electronegativities[z] or 0.0) >= cut
            allowed = [q for q in states[z] if (q < 0 if anion else q > 0)]
            charges = {charge + n * q for charge in charges for q in allowed}
        if 0 in charges:
            return True
    return False


@cache
def _smact_tables() -> tuple[dict[int, tuple[int, ...]], dict[int, float | None], frozenset[int]]:
    """Oxidation states (SMACT's 2014 list), Pauling electronegativities, and which are metals."""
    import smact

    known = smact.element_dictionary()
    elements = {z: known[symbol] for z, symbol in enumerate(SYMBOLS) if symbol in known}
    states = {z: tuple(e.oxidation_states_smact14 or ()) for z, e in elements.items()}
    electronegativities = {z: e.pauling_eneg for z, e in elements.items()}
    for z in range(1, len(SYMBOLS)):
        states.setdefault(z, ())
        electronegativities.setdefault(z, None)
    metals = frozenset(z for z in elements if SYMBOLS[z] in smact.metals)
    return states, electronegativities, metals
