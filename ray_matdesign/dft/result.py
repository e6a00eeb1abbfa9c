"""What a calculation tells, and the ways it fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DftResult:
    """A converged calculation of one crystal.

    Attributes:
        energy_ev_per_atom: Total energy extrapolated to zero smearing, eV/atom. Its zero is the
            code's and pseudopotentials' own: only differences mean anything.
        band_gap_ev: Between the highest occupied and the lowest empty level of all k-points and
            spins, eV; 0 for metals, ``None`` where the code tells none.
        direct_gap_ev: The same at one k-point and spin, eV.
        magnetization_mu_b: Of the primitive cell, Bohr magnetons; ``None`` without spin.
        scf_steps: Iterations to self-consistency.
        program: Code and version.
    """

    energy_ev_per_atom: float
    band_gap_ev: float | None
    direct_gap_ev: float | None
    magnetization_mu_b: float | None
    scf_steps: int
    program: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DftResult:
        """From what :meth:`to_dict` gave.

        Raises:
            TypeError: Keys are missing or unknown.
        """
        return cls(**data)


class DftError(RuntimeError):
    """A calculation that came to nothing, in one line; another attempt may fare better."""


class NotConverged(DftError):
    """A calculation that ran to its end without an answer; it would again with these settings."""
