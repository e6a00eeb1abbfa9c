"""Every setting of a run, with its unit, its default and its bounds.

Defaults are those of MatInvent (arXiv:2511.03112 and its public code) wherever it has the setting.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

# A run's settings are found here, whichever module defines them.
from ray_matdesign.config.algorithm import DiversitySettings as DiversitySettings
from ray_matdesign.config.algorithm import ReplaySettings as ReplaySettings
from ray_matdesign.config.algorithm import RLSettings as RLSettings
from ray_matdesign.config.elements import NOBLE_GASES, RADIOACTIVE, SYMBOLS
from ray_matdesign.config.execution import EnvironmentSettings as EnvironmentSettings
from ray_matdesign.config.execution import ExecutionSettings as ExecutionSettings
from ray_matdesign.config.execution import RoleEnvironments as RoleEnvironments
from ray_matdesign.config.execution import ScorerPoolSettings as ScorerPoolSettings
from ray_matdesign.config.objective import AscendingTransform as AscendingTransform
from ray_matdesign.config.objective import DescendingTransform as DescendingTransform
from ray_matdesign.config.objective import ObjectiveFilter as ObjectiveFilter
from ray_matdesign.config.objective import ObjectiveSettings as ObjectiveSettings
from ray_matdesign.config.objective import ObjectiveTerm as ObjectiveTerm
from ray_matdesign.config.objective import TargetTransform as TargetTransform
from ray_matdesign.config.objective import Transform as Transform
from ray_matdesign.config.settings import Fraction as Fraction
from ray_matdesign.config.settings import Settings as Settings
from ray_matdesign.config.surrogate import SurrogateSettings as SurrogateSettings


class ConstraintSettings(Settings):
    """What generated crystals must be made of; empty means anything."""

    allowed_elements: tuple[str, ...] = ()
    """Nothing but these."""
    excluded_elements: tuple[str, ...] = ()
    """None of these."""
    chemical_system: tuple[str, ...] = ()
    """Exactly these elements, every one of them."""
    composition: str = ""
    """A formula such as ``SrTiO3``; any number of formula units that fits."""

    @model_validator(mode="after")
    def _one_make_up(self) -> ConstraintSettings:
        if self.chemical_system and self.composition:
            raise ValueError("give a chemical_system or a composition, not both")
        return self


class GeneratorSettings(Settings):
    """Which crystal generator, and how it samples."""

    name: str = "diffusion"
    """Entry of ``GENERATORS``, or an import path ``package.module:factory``."""
    checkpoint: str = "packaged"
    """``packaged`` for the weights shipped here, or a path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Sampler options of the chosen generator."""
    constraints: ConstraintSettings = ConstraintSettings()
    condition: dict[str, float] = Field(default_factory=dict)
    """Property values to aim for, of a checkpoint trained with conditions."""
    batch_size: PositiveInt = 64
    """Crystals drawn in one call of one replica."""


class PotentialSettings(Settings):
    """Which interatomic potential."""

    name: str = "chgnet"
    """Entry of ``POTENTIALS``, or an import path ``package.module:factory``."""
    options: dict[str, Any] = Field(default_factory=dict)


class RelaxationSettings(Settings):
    """How crystals are brought to rest."""

    optimizer: str = "default"
    """``default`` for the one measured fastest, or an entry of the relaxer's table."""
    fmax_ev_per_ang: PositiveFloat = 0.05
    max_steps: PositiveInt = 300
    deadline_s: PositiveFloat = 600.0
    """Wall-clock limit of one batch; crystals unfinished by then fail."""
    batch_size: PositiveInt = 8
    """Crystals sent to a reward worker at once."""
    max_atoms: PositiveInt = 200
    """Larger cells fail at once: one could take the time and the memory of a whole batch."""


class PrefilterSettings(Settings):
    """Checks before any energy is paid for.

    Geometry and SMACT are MatInvent's validity filter. The last two are guards, which MatInvent
    lacks, against valid crystals that rewards are easily had with and nobody wants.
    """

    min_distance_ang: PositiveFloat = 0.5
    min_volume_ang3: PositiveFloat = 0.1
    max_length_ang: PositiveFloat = 25.0
    smact: bool = True
    min_elements: PositiveInt = 2
    """Crystals of fewer elements are not pursued; 1 lets pure elements through."""
    forbidden_elements: tuple[str, ...] = tuple(dict.fromkeys((*NOBLE_GASES, *RADIOACTIVE)))
    """Crystals with one of these are not pursued; by default noble gases and radioactive elements.

    A list given here replaces the default one.
    """

    @field_validator("forbidden_elements")
    @classmethod
    def _known(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [symbol for symbol in symbols if symbol not in SYMBOLS[1:]]
        if unknown:
            raise ValueError(f"no chemical elements: {', '.join(map(repr, unknown))}")
        return symbols


class StabilitySettings(Settings):
    """Stable, unique, novel: against what, and how strictly."""

    reference: str = "packaged"
    """``packaged``, or a folder made by ``ray-matdesign reference build``."""
    max_e_above_hull_ev_per_atom: float = 0.1
    matcher_ltol: PositiveFloat = 0.2
    matcher_stol: PositiveFloat = 0.3
    matcher_angle_tol_deg: PositiveFloat = 5.0
    require: tuple[Literal["stable", "unique", "novel"], ...] = ("stable", "unique", "novel")
    """What a candidate must be before its property is evaluated."""


class RunConfig(Settings):
    """A design campaign."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    seed: NonNegativeInt = 0
    generator: GeneratorSettings = GeneratorSettings()
    potential: PotentialSettings = PotentialSettings()
    relaxation: RelaxationSettings = RelaxationSettings()
    prefilter: PrefilterSettings = PrefilterSettings()
    stability: StabilitySettings = StabilitySettings()
    objective: ObjectiveSettings
    cache: str = Field(default="off", min_length=1)
    """Folder where values of scorers are kept for other runs to use, or ``off``."""
    rl: RLSettings = RLSettings()
    execution: ExecutionSettings = ExecutionSettings()
    checkpoint_every: PositiveInt = 1
    """Loops between checkpoints."""


class TrainExecutionSettings(Settings):
    """Where the embedded generator is trained."""

    backend: Literal["local", "ray"] = "local"
    """``local`` trains in this process, on a GPU if there is one; ``ray`` through Ray Train."""
    address: str | None = None
    """Ray cluster to join; ``None`` joins ``RAY_ADDRESS`` if set, else starts a local one."""
    workers: PositiveInt = 1
    """Processes that share every batch; several need ``ray``."""
    cpus_per_worker: PositiveFloat = 1.0
    gpus_per_worker: Annotated[float, Field(ge=0.0)] = 0.0
    """With ``ray``: 1 trains on GPUs, 0 on CPUs."""
    restarts: NonNegativeInt = 3
    """How often workers that died are started anew, from the last checkpoint."""
    object_store_mib: Annotated[int, Field(ge=75)] = 512
    """Object store of a local Ray started for the training; Ray takes no less than 75."""

    @model_validator(mode="after")
    def _several_need_ray(self) -> Self:
        if self.backend == "local" and self.workers > 1:
            raise ValueError(f"{self.workers} workers need backend ray")
        return self


class TrainSettings(Settings):
    """Training of the embedded diffusion generator."""

    steps: PositiveInt = 12000
    """Optimiser steps in all; a resumed run may ask for more."""
    batch_size: PositiveInt = 128
    micro_batches: PositiveInt = 4
    """Parts of like-sized crystals a worker cuts its batch into, to waste little on padding."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Of the network's products; weights, losses and updates are always ``fp32``."""
    lr: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    warmup_steps: PositiveInt = 100
    decay_fraction: Fraction = 0.25
    """Last share of the steps, over which the learning rate falls to zero."""
    condition_dropout: Fraction = 0.2
    """Share of labelled crystals whose labels are hidden, for classifier-free guidance."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    clip_norm: PositiveFloat = 1.0
    width: PositiveInt = 128
    layers: PositiveInt = 5
    pair_width: PositiveInt = 64
    max_atoms: PositiveInt = 20
    max_e_above_hull_ev_per_atom: float = 0.1
    """Crystals above it are not learnt from."""
    excluded_elements: tuple[str, ...] = (
        *("He", "Ne", "Ar", "Kr", "Xe", "Tc", "Pm", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th"),
        *("Pa", "U", "Np", "Pu", "Am", "Cm", "Eu", "Gd"),
    )
    """Noble gases, radioactive elements, and those whose reference energies are unreliable."""
    validation_fraction: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.04
    validate_every: PositiveInt = 500
    samples_scored: PositiveInt = 64
    """Crystals drawn and checked at each validation."""
    checkpoint_every: PositiveInt = 200
    seed: NonNegativeInt = 0
    execution: TrainExecutionSettings = TrainExecutionSettings()

    @model_validator(mode="after")
    def _a_crystal_for_every_worker(self) -> Self:
        if self.batch_size < self.execution.workers:
            raise ValueError(
                f"a batch of {self.batch_size} cannot be shared by {self.execution.workers} workers"
            )
        return self
