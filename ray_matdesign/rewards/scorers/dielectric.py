"""An estimate of the static dielectric constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU, SYMBOLS
from ray_matdesign.potentials.phonons import PhononSettings, phonons_of
from ray_matdesign.potentials.polarity import ionic_susceptibility, optical_frequencies
from ray_matdesign.potentials.protocol import Failed, Potential
from ray_matdesign.rewards.predictors.composition import HEAVIEST
from ray_matdesign.rewards.predictors.refractive_index import RefractiveIndex, load_packaged
from ray_matdesign.rewards.scorer import Bench, CostClass, Scorer, Specimen
from ray_matdesign.rewards.scorers import band_gap

GAMMA_ONLY = PhononSettings(min_length_ang=0.0)
LARGEST_ANION_CHARGE = 2.0
"""Nitrides, phosphides, arsenides and carbides share their electrons: what their ions carry along
is 2 to 3 whatever the oxidation state (2.1 in GaAs, 2.5 in AlN, 2.7 in SiC)."""


@dataclass(frozen=True)
class GammaPhonons:
    """Force constants of one crystal at zero wave vector, without phonopy's object around them.

    Attributes:
        crystal: The primitive cell they belong to, at rest.
        force_constants: Shape ``(3 n_atoms, 3 n_atoms)``, eV/Angstrom^2.
    """

    crystal: Crystal
    force_constants: NDArray[np.float64]


class Dielectric:
    """Estimate of the total dielectric constant, averaged over directions.

    Electrons contribute the square of a refractive index learnt from compositions. Ions contribute
    what formal charges on the potential's force constants at Gamma give. Such charges are too small
    for titanium in BaTiO3, and the softest modes are what a potential gets wrong most: the estimate
    ranks crystals, and is off by tens of per cent.

    A crystal fails that is a metal by the gap's scorer, has no oxidation states that balance, or
    has an optical mode softer than ``softest_thz``: with the inverse square of the softest
    frequency the estimate is as uncertain as it is large, and a search for large values would find
    nothing else.

    Attributes:
        gap: The scorer that says what is a metal.
    """

    name = "dielectric"
    unit = ""
    cost = CostClass.MLIP
    version = "1"

    def __init__(
        self,
        bench: Bench,
        gap: Scorer,
        refractive_index: RefractiveIndex,
        *,
        metallic_below_ev: float,
        softest_thz: float,
    ) -> None:
        self.source = (
            "estimate: squared refractive index learnt from compositions, and formal charges on "
            f"force constants of {bench.potential.name}"
        )
        self._bench = bench
        self.gap = gap
        self._refractive_index = refractive_index
        self._metallic_below_ev = metallic_below_ev
        self._softest_thz = softest_thz

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Dielectric constant of each specimen."""
        return self.beside_gaps(specimens, self.gap.score(specimens))

    def beside_gaps(
        self, specimens: Sequence[Specimen], gaps_ev: Sequence[float | Failed]
    ) -> list[float | Failed]:
        """The same, where the gaps are known already.

        Args:
            specimens: To be scored.
            gaps_ev: The gap of each, eV, or why it has none.
        """
        crystals = [specimen.crystal for specimen in specimens]
        results: list[float | Failed] = []
        charges: dict[int, Mapping[int, float]] = {}
        for k, (crystal, gap) in enumerate(zip(crystals, gaps_ev, strict=True)):
            states = self._refusal(crystal, gap) or formal_charges(crystal)
            if isinstance(states, Failed):
                results.append(states)
            else:
                results.append(float("nan"))
                charges[k] = states
        kept = [crystals[k] for k in charges]
        electronic = np.square(self._refractive_index.predict([c.counts for c in kept]))
        phonons = self._bench.notebook.look_up(
            "phonons at Gamma", kept, partial(gamma_phonons, self._bench.potential)
        )
        for k, index, found in zip(charges, electronic, phonons, strict=True):
            ionic = found if isinstance(found, Failed) else self._ionic(found, charges[k])
            results[k] = ionic if isinstance(ionic, Failed) else float(index) + ionic
        return results

    def _refusal(self, crystal: Crystal, gap_ev: float | Failed) -> Failed | None:
        if isinstance(gap_ev, Failed):
            return Failed(f"no band gap: {gap_ev.reason}")
        if gap_ev < self._metallic_below_ev:
            return Failed(f"a metal: its gap is {gap_ev:.2f} eV by the {self.gap.name} scorer")
        heavy = [SYMBOLS[z] for z in crystal.counts if z > HEAVIEST]
        return Failed(f"no refractive index for {', '.join(heavy)}") if heavy else None

    def _ionic(self, phonons: GammaPhonons, states: Mapping[int, float]) -> float | Failed:
        crystal, constants = phonons.crystal, phonons.force_constants
        charges = np.array([states[z] for z in crystal.numbers.tolist()])
        if len(crystal) == 1:
            return 0.0
        frequencies = optical_frequencies(constants, ATOMIC_MASSES_AMU[crystal.numbers])
        if frequencies[0] < self._softest_thz:
            soft = int((frequencies < self._softest_thz).sum())
            return Failed(
                f"{soft} of {len(frequencies)} optical modes at Gamma are softer than "
                f"{self._softest_thz:g} THz or imaginary, the lowest at {frequencies[0]:.2f} THz"
            )
        return mean_response(constants, charges, crystal.volume)


def gamma_phonons(potential: Potential, crystals: Sequence[Crystal]) -> list[GammaPhonons | Failed]:
    """Force constants at zero wave vector of each crystal; same order and length."""
    return [
        found
        if isinstance(found, Failed)
        else GammaPhonons(found.crystal, found.gamma_force_constants)
        for found in phonons_of(crystals, potential, GAMMA_ONLY)
    ]


def mean_response(
    constants: NDArray[np.float64], charges: NDArray[np.float64], volume_ang3: float
) -> float:
    """Mean over directions of :func:`~ray_matdesign.potentials.polarity.ionic_susceptibility`."""
    return float(np.trace(ionic_susceptibility(constants, charges, volume_ang3)) / 3.0)


def formal_charges(crystal: Crystal) -> dict[int, float] | Failed:
    """Charge of each element by atomic number, elementary charges, or why there is none.

    These are mean oxidation states: of the common ones that balance, those seen most often in the
    ICSD (pymatgen). Pure elements are neutral. Where an anion would carry more than
    :data:`LARGEST_ANION_CHARGE` all charges are scaled down.
    """
    from pymatgen.core import Composition

    guesses = Composition(crystal.formula).oxi_state_guesses()
    if not guesses:
        return Failed(f"no oxidation states balance in {crystal.formula}")
    states = {z: float(guesses[0][SYMBOLS[z]]) for z in crystal.counts}
    scale = min(1.0, LARGEST_ANION_CHARGE / max(-min(states.values()), 1.0))
    return {z: scale * state for z, state in states.items()}


def make(bench: Bench, metallic_below_ev: float = 0.1, softest_thz: float = 0.5) -> Dielectric:
    """Builds the scorer on the bench's potential and the packaged models.

    Args:
        bench: Gives the potential.
        metallic_below_ev: Crystals with a smaller gap fail, eV.
        softest_thz: Crystals with a softer optical mode at Gamma fail, THz.

    Raises:
        ValueError: A number that is not positive.
    """
    for option, value in (("metallic_below_ev", metallic_below_ev), ("softest_thz", softest_thz)):
        if not value > 0.0:
            raise ValueError(f"dielectric: {option} must be positive, got {value}")
    return Dielectric(
        bench,
        band_gap.make(bench),
        load_packaged(),
        metallic_below_ev=metallic_below_ev,
        softest_thz=softest_thz,
    )
