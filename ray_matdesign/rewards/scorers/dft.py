"""Band gap and formation energy by density-functional theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray_matdesign.config.loading import apply_overrides
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import SYMBOLS
from ray_matdesign.dft.calculation import Calculations
from ray_matdesign.dft.references import elemental_crystal, is_molecule, read_references
from ray_matdesign.dft.result import DftError, DftResult
from ray_matdesign.dft.settings import DftSettings
from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed
from ray_matdesign.potentials.relaxation import BatchRelaxer
from ray_matdesign.rewards.scorer import Bench, CostClass, Specimen

_FMAX_EV_PER_ANG, _MAX_STEPS = 0.05, 300


class DftBandGap:
    """Kohn-Sham gap of the relaxed crystal as it stands, eV; 0 for metals.

    With LDA and PBE it falls short of the measured gap by about a third to a half.
    """

    name = "dft_band_gap"
    unit = "eV"
    cost = CostClass.DFT
    version = "1"

    def __init__(self, calculations: Calculations) -> None:
        self.source = _source(calculations.settings)
        self._calculations = calculations

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Band gap of each specimen, eV."""
        results = self._calculations.compute([specimen.crystal for specimen in specimens])
        return [_gap(result) for result in results]


class DftFormationEnergy:
    """Energy of the relaxed crystal against its elements by the same code and settings, eV/atom.

    Nothing is relaxed by the code itself: solids of the elements, like the crystals, stand where
    the run's potential puts them, molecules at their measured bond lengths. No correction is
    applied, so PBE's overbinding of O2 makes oxides look less stable by about 0.4 eV per oxygen.
    """

    name = "dft_formation_energy"
    unit = "eV/atom"
    cost = CostClass.DFT
    version = "1"

    def __init__(
        self, calculations: Calculations, potential: Potential, given: Mapping[int, Crystal]
    ) -> None:
        self.source = f"{_source(calculations.settings)}, against elements by the same code"
        self._calculations = calculations
        self._potential = potential
        self._given = given
        self._elements: dict[int, float] = {}

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Formation energy of each specimen, eV/atom."""
        crystals = [specimen.crystal for specimen in specimens]
        results = self._calculations.compute(crystals)
        needed = {
            z
            for crystal, result in zip(crystals, results, strict=True)
            if isinstance(result, DftResult)
            for z in crystal.elements
        }
        missing = self._compute_elements(needed - self._elements.keys())
        pairs = zip(crystals, results, strict=True)
        return [self._formation(crystal, result, missing) for crystal, result in pairs]

    def _formation(
        self, crystal: Crystal, result: DftResult | Failed, missing: Mapping[int, Failed]
    ) -> float | Failed:
        if isinstance(result, Failed):
            return result
        energy = result.energy_ev_per_atom
        for z, count in crystal.counts.items():
            if z in missing:
                return Failed(f"reference {SYMBOLS[z]}: {missing[z].reason}")
            energy -= self._elements[z] * count / len(crystal)
        return energy

    def _compute_elements(self, numbers: set[int]) -> dict[int, Failed]:
        """Computes references and keeps their energies; those that fail are tried again later.

        Returns:
            Failures by atomic number.
        """
        places: dict[int, Crystal | Failed] = {z: self._reference(z) for z in sorted(numbers)}
        found = {z: place for z, place in places.items() if isinstance(place, Crystal)}
        results = dict(zip(found, self._calculations.compute(list(found.values())), strict=True))
        missing: dict[int, Failed] = {}
        for z, place in places.items():
            result = place if isinstance(place, Failed) else results[z]
            if isinstance(result, Failed):
                missing[z] = result
            else:
                self._elements[z] = result.energy_ev_per_atom
        return missing

    def _reference(self, number: int) -> Crystal | Failed:
        given = self._given.get(number)
        try:
            crystal = elemental_crystal(number) if given is None else given
        except DftError as error:
            return Failed(str(error))
        if given is None and is_molecule(number):
            return crystal
        (relaxed,) = BatchRelaxer(self._potential).relax(
            [crystal], fmax_ev_per_ang=_FMAX_EV_PER_ANG, max_steps=_MAX_STEPS
        )
        return relaxed.crystal if isinstance(relaxed, Relaxed) else relaxed


def make_band_gap(bench: Bench, **options: Any) -> DftBandGap:
    """Builds the scorer of band gaps.

    Args:
        bench: Not used: the code needs nothing but the relaxed crystal.
        **options: Keys of :class:`~ray_matdesign.dft.settings.DftSettings`.

    Raises:
        ConfigError: An option is unknown or out of bounds.
        UnknownName: There is no such code.
    """
    return DftBandGap(Calculations(_settings(DftBandGap.name, options)))


def make_formation_energy(
    bench: Bench, references: Mapping[str, str] | None = None, **options: Any
) -> DftFormationEnergy:
    """Builds the scorer of formation energies.

    Args:
        bench: Gives the potential that relaxes the elements.
        references: CIF file by symbol, for elements of which none is at hand (B, P, S, Mn, Ga, Br,
            I), and instead of the one at hand for others.
        **options: Keys of :class:`~ray_matdesign.dft.settings.DftSettings`.

    Raises:
        ConfigError: An option is unknown or out of bounds.
        UnknownName: There is no such code.
        ValueError: A reference cannot be read.
    """
    settings = _settings(DftFormationEnergy.name, options)
    given = read_references(references or {})
    return DftFormationEnergy(Calculations(settings), bench.potential, given)


def _settings(scorer: str, options: Mapping[str, Any]) -> DftSettings:
    return apply_overrides(DftSettings, dict(options), f"options of {scorer}", [])


def _source(settings: DftSettings) -> str:
    if settings.code == "vasp":
        return f"VASP by {settings.jobflow.maker.rpartition(':')[2]}"
    return f"{settings.functional.upper()} by {settings.code}, k-points every " + (
        f"{settings.kpoint_spacing_per_ang:g}/Angstrom"
    )


def _gap(result: DftResult | Failed) -> float | Failed:
    if isinstance(result, Failed):
        return result
    return Failed("the code told no band gap") if result.band_gap_ev is None else result.band_gap_ev
