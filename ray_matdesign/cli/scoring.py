"""What ``ray-matdesign score`` computes: scorers on crystals from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ray_matdesign.cli.relax import relax_all
from ray_matdesign.cli.threads import DEFAULT_THREADS, use_threads
from ray_matdesign.config.import_path import load_object
from ray_matdesign.config.loading import load_run_config
from ray_matdesign.config.schema import (
    PotentialSettings,
    PrefilterSettings,
    RelaxationSettings,
    StabilitySettings,
)
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.crystals.validity import check
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.rewards.cache import ScoreCache, open_cache
from ray_matdesign.rewards.objective import (
    SCORERS,
    Evaluation,
    Objective,
    Probe,
    build_objective,
    shelf_of,
)
from ray_matdesign.rewards.scorer import Bench, CostClass, Scorer, Specimen
from ray_matdesign.stability.reference import ReferenceSet

_GEOMETRY = PrefilterSettings(smact=False)
"""Any composition may be scored; atoms on top of each other may not."""


@dataclass(frozen=True)
class Verdict:
    """What was found for one crystal.

    Attributes:
        row: Cells under :attr:`Judge.columns`, ``None`` where there is no value; empty if the
            crystal could not be treated at all.
        problems: Why something is missing, a line each.
        computed: Values found for it that a cache would keep.
        recalled: Values the cache held.
    """

    row: tuple[object, ...]
    problems: tuple[str, ...]
    computed: int = 0
    recalled: int = 0


@dataclass(frozen=True)
class Judge:
    """Scorers with their instruments, and a recipe's objective where one was asked for.

    Attributes:
        bench: The instruments.
        relaxation: How crystals are brought to rest.
        probes: The scorers, with the places their values are kept.
        objective: The recipe's.
        cache: Folder the values are kept in.
    """

    bench: Bench
    relaxation: RelaxationSettings
    probes: tuple[Probe, ...]
    objective: Objective | None = None
    cache: Path | None = None

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """In the order of their columns."""
        return tuple(probe.scorer for probe in self.probes)

    @property
    def columns(self) -> list[str]:
        """Headings: properties with their units."""
        units = [f"{s.name} ({s.unit})" if s.unit else s.name for s in self.scorers]
        reward = ["reward"] if self.objective else []
        energies = ["energy (eV/atom)", "E_form (eV/atom)", "E_hull (eV/atom)"]
        return ["formula", "atoms", *energies, *units, *reward]

    def score(self, crystals: Sequence[Crystal], *, relax: bool) -> list[Verdict]:
        """Scores each crystal; same order and length."""
        specimens = self._specimens(crystals, relax)
        ready = [s for s, _ in specimens if isinstance(s, Specimen)]
        scored = iter(self._evaluate(ready))
        verdicts = []
        for specimen, remarks in specimens:
            if isinstance(specimen, Failed):
                verdicts.append(Verdict((), (specimen.reason,)))
            else:
                verdicts.append(self._verdict(specimen, remarks, next(scored)))
        return verdicts

    def _verdict(self, specimen: Specimen, remarks: Sequence[str], found: Evaluation) -> Verdict:
        missing = (f"no {name}: {reason}" for name, reason in _problems(found).items())
        return Verdict(
            self._row(specimen, found),
            (*remarks, *missing),
            computed=sum(cost is not CostClass.CHEAP for cost in found.computed.values()),
            recalled=len(found.recalled),
        )

    def _evaluate(self, specimens: Sequence[Specimen]) -> list[Evaluation]:
        if self.objective:
            return self.objective.evaluate(specimens)
        columns = [probe.score(specimens) for probe in self.probes]
        return [self._evaluation(cells) for cells in zip(*columns, strict=True)]

    def _evaluation(self, cells: Sequence[tuple[float | Failed, bool]]) -> Evaluation:
        """What the scorers found for one crystal; without an objective there is no reward."""
        found = [(s, *cell) for s, cell in zip(self.scorers, cells, strict=True)]
        return Evaluation(
            values={s.name: value for s, value, _ in found if not isinstance(value, Failed)},
            failures={s.name: value.reason for s, value, _ in found if isinstance(value, Failed)},
            reward=None,
            computed={s.name: s.cost for s, _, held in found if not held},
            recalled={s.name: s.cost for s, _, held in found if held},
        )

    def _row(self, specimen: Specimen, found: Evaluation) -> tuple[object, ...]:
        energies = (
            specimen.energy_ev_per_atom,
            specimen.formation_energy_ev_per_atom,
            specimen.e_above_hull_ev_per_atom,
        )
        return (
            specimen.crystal.formula,
            len(specimen.crystal),
            *(_known(energy) for energy in energies),
            *(_known(found.values.get(scorer.name, math.nan)) for scorer in self.scorers),
            *([found.reward] if self.objective else []),
        )

    def _specimens(
        self, crystals: Sequence[Crystal], relax: bool
    ) -> list[tuple[Specimen | Failed, tuple[str, ...]]]:
        reasons = [check(crystal, _GEOMETRY) for crystal in crystals]
        sound = [c for c, reason in zip(crystals, reasons, strict=True) if reason is None]
        settled = iter(self._at_rest(sound) if relax else self._as_given(sound))
        return [
            (Failed(reason), ()) if reason is not None else self._placed(*next(settled))
            for reason in reasons
        ]

    def _at_rest(self, crystals: Sequence[Crystal]) -> list[tuple[Crystal, float | Failed]]:
        settings = self.relaxation
        results = relax_all(
            crystals,
            self.bench.potential,
            optimizer=settings.optimizer,
            fmax=settings.fmax_ev_per_ang,
            max_steps=settings.max_steps,
        )
        return [
            (crystal, Failed(f"not relaxed: {r.reason}"))
            if isinstance(r, Failed)
            else (r.crystal, r.energy_ev_per_atom)
            for crystal, r in zip(crystals, results, strict=True)
        ]

    def _as_given(self, crystals: Sequence[Crystal]) -> list[tuple[Crystal, float | Failed]]:
        points = self.bench.potential.evaluate(crystals)
        return [
            (crystal, point if isinstance(point, Failed) else point.energy_ev_per_atom)
            for crystal, point in zip(crystals, points, strict=True)
        ]

    def _placed(
        self, crystal: Crystal, energy: float | Failed
    ) -> tuple[Specimen | Failed, tuple[str, ...]]:
        """The crystal against the reference set; what cannot be known is NaN, with a remark."""
        nan = math.nan
        if isinstance(energy, Failed):
            return Specimen(crystal, nan, nan, nan), (f"no energy: {energy.reason}",)
        reference = self.bench.reference
        missing = reference.missing_elements(crystal)
        if missing:
            remark = f"no E_hull: no reference energy for {', '.join(missing)}"
            return Specimen(crystal, energy, nan, nan), (remark,)
        formation = reference.formation_energy(crystal, energy, self.bench.potential.energy_scale)
        above = reference.e_above_hull(crystal, formation)
        return Specimen(crystal, energy, formation, above), ()


def prepare_recipe(recipe: str, cache: Path | None = None) -> Judge:
    """A judge by a recipe's objective, with its potential, relaxation and reference set.

    Args:
        recipe: Its name, or a YAML file.
        cache: Folder of values, instead of the recipe's own.

    Raises:
        CacheError: The folder cannot be made or written to.
    """
    config = load_run_config(recipe)
    bench = _bench(config.potential, config.stability)
    if cache is None and config.cache != "off":
        cache = Path(config.cache)
    objective = build_objective(config.objective, bench, _cache(cache, config.potential, bench))
    return Judge(bench, config.relaxation, objective.probes, objective, cache)


def prepare_by_name(names: Sequence[str], cache: Path | None = None) -> Judge:
    """A judge by scorers alone, with the default potential and reference set.

    Args:
        names: Entries of ``SCORERS``, or import paths.
        cache: Folder of values.

    Raises:
        CacheError: The folder cannot be made or written to.
    """
    factories = {name: load_object(name, SCORERS, what="scorer") for name in names}
    chosen = PotentialSettings()
    bench = _bench(chosen, StabilitySettings())
    kept = _cache(cache, chosen, bench)
    scorers: dict[str, Scorer] = {name: factory(bench) for name, factory in factories.items()}
    probes = [Probe(s, None, None, shelf_of(s, name, {}, kept)) for name, s in scorers.items()]
    return Judge(bench, RelaxationSettings(), tuple(probes), cache=cache)


def _cache(folder: Path | None, chosen: PotentialSettings, bench: Bench) -> ScoreCache | None:
    if folder is None:
        return None
    return open_cache(folder.expanduser(), chosen, bench.potential)


def _bench(potential: PotentialSettings, stability: StabilitySettings) -> Bench:
    use_threads(DEFAULT_THREADS)
    return Bench(
        load_potential(potential.name, **potential.options),
        ReferenceSet.load(stability.reference, stability),
    )


def _problems(evaluation: Evaluation) -> dict[str, str]:
    """What is missing, and why: values, and the reward of a crystal that was turned down."""
    turned_down = {"reward": evaluation.rejection} if evaluation.rejection else {}
    return {**evaluation.failures, **turned_down}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
