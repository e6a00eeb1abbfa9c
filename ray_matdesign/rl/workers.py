"""The three kinds of workers: plain payloads in, plain payloads out.

Each is built by a factory that an executor finds by import path, in whatever process it likes, from
JSON-like settings. Crystals cross as codec bytes, weights as arrays. No worker holds state that
matters but the weights published to it, so any call may be repeated, anywhere, with the same
outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_matdesign.config.schema import (
    GeneratorSettings,
    ObjectiveSettings,
    PotentialSettings,
    RelaxationSettings,
    RLSettings,
    RunConfig,
    StabilitySettings,
)
from ray_matdesign.crystals.codec import decode_crystals, encode_crystals
from ray_matdesign.crystals.crystal import Crystal
from ray_matdesign.generators.protocol import Policy, Weights
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.potentials.batching import atoms_in_flight
from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed, Relaxer
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.potentials.relaxation import DEFAULT_OPTIMIZER, BatchRelaxer
from ray_matdesign.rewards.cache import open_cache
from ray_matdesign.rewards.objective import Evaluation, Objective, Probe, build_objective
from ray_matdesign.rewards.scorer import Bench, Specimen
from ray_matdesign.rl.executor import Payload, Role
from ray_matdesign.rl.finetune import finetune
from ray_matdesign.stability.reference import ReferenceSet

GENERATOR, REWARD, LEARNER = "generator", "reward", "learner"
"""Names of the roles."""

LEARNER_DEADLINE_FACTOR = 10
"""A fine-tuning is one batch of thousands of steps; a relaxation batch is a fraction of a loop."""


class GeneratorWorker:
    """Samples crystals from the published policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def load(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Takes published weights."""
        self._policy.load_weights(weights, version)

    def sample(self, payload: Payload) -> Payload:
        """``{n, seed}`` to ``{crystals, version}``; fewer than ``n`` may come back."""
        crystals = self._policy.sample(payload["n"], seed=payload["seed"])
        return {"crystals": encode_crystals(crystals), "version": self._policy.version}


class RewardWorker:
    """Relaxes crystals, judges their stability and novelty, and scores their properties."""

    def __init__(
        self,
        relaxer: Relaxer,
        relaxation: RelaxationSettings,
        bench: Bench,
        objective: Objective,
    ) -> None:
        self._relaxer = relaxer
        self._relaxation = relaxation
        self._bench = bench
        self._objective = objective

    def describe(self, payload: Payload) -> Payload:
        """``{}`` to what the numbers mean: the potential, and each property's unit and source.

        ``terms`` are in the order of the objective's; ``filters`` are the properties that serve for
        nothing else.
        """
        probes = self._objective.probes
        return {
            "potential": self._bench.potential.name,
            "terms": [_described(p) for p in probes if p.term is not None],
            "filters": [_described(p) for p in probes if p.term is None],
        }

    def assess(self, payload: Payload) -> Payload:
        """``{crystals}`` to ``{records}``: for each crystal an assessment, or ``{failed}``."""
        crystals = decode_crystals(payload["crystals"])
        limit = self._relaxation.max_atoms
        outcomes = iter(
            self._relaxer.relax(
                [crystal for crystal in crystals if len(crystal) <= limit],
                fmax_ev_per_ang=self._relaxation.fmax_ev_per_ang,
                max_steps=self._relaxation.max_steps,
            )
        )
        return {
            "records": [
                self._assessment(crystal, next(outcomes))
                if len(crystal) <= limit
                else {"failed": f"{len(crystal)} atoms > relaxation.max_atoms {limit}"}
                for crystal in crystals
            ]
        }

    def screen(self, payload: Payload) -> Payload:
        """What is cheap and can turn a crystal down; payload and records as for :meth:`score`."""
        return {"records": [_record(e) for e in self._objective.screen(_specimens(payload))]}

    def score(self, payload: Payload) -> Payload:
        """``{crystals, energies, formation_energies, hull_distances, known}`` to ``{records}``.

        A record is ``{values, failures, reward, rejection, computed, recalled}``, as in
        :class:`~ray_matdesign.rewards.objective.Evaluation`; ``known`` are values from a screening.
        """
        evaluations = self._objective.evaluate(_specimens(payload), payload["known"])
        return {"records": [_record(e) for e in evaluations]}

    def _assessment(self, crystal: Crystal, outcome: Relaxed | Failed) -> dict[str, Any]:
        if isinstance(outcome, Failed):
            return {"failed": outcome.reason}
        reference = self._bench.reference
        missing = reference.missing_elements(crystal)
        if missing:
            return {"failed": f"no reference energy for {', '.join(missing)}"}
        formation = reference.formation_energy(
            outcome.crystal, outcome.energy_ev_per_atom, self._bench.potential.energy_scale
        )
        return {
            "relaxed": encode_crystals([outcome.crystal]),
            "energy_ev_per_atom": float(outcome.energy_ev_per_atom),
            "formation_energy_ev_per_atom": float(formation),
            "e_above_hull_ev_per_atom": float(reference.e_above_hull(outcome.crystal, formation)),
            "novel": bool(reference.is_novel(outcome.crystal)),
            "relax_steps": int(outcome.steps),
            "converged": bool(outcome.converged),
            "displacement_ang": displacement(crystal, outcome.crystal),
        }


class LearnerWorker:
    """Fine-tunes the published policy: a pure function of the weights and the payload."""

    def __init__(self, policy: Policy, prior: Policy, settings: RLSettings) -> None:
        self._policy = policy
        self._prior = prior
        self._settings = settings
        self._published: Mapping[str, NDArray[np.generic]] = prior.weights()
        self._version = 0

    def load(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Takes published weights."""
        self._published, self._version = weights, version

    def initial(self, payload: Payload) -> Payload:
        """``{}`` to ``{weights}``: the prior's, from which a run starts."""
        return {"weights": self._prior.weights()}

    def finetune(self, payload: Payload) -> Payload:
        """``{crystals, rewards, seed, optimizer}`` to ``{weights, optimizer, ...}`` and figures.

        It starts from the published weights each time, so that repeating a call after a crash gives
        the same weights.
        """
        self._policy.load_weights(self._published, self._version)
        report = finetune(
            self._policy,
            self._prior,
            decode_crystals(payload["crystals"]),
            payload["rewards"],
            self._settings,
            payload["seed"],
            payload["optimizer"],
        )
        carried: Weights | None = None
        if self._settings.optimizer_state == "carried":
            carried = report.optimizer
        return {
            "weights": self._policy.weights(),
            "loss": report.loss,
            "denoise": report.denoise,
            "deviation": report.deviation,
            "adam_steps": report.adam_steps,
            "optimizer": carried,
        }


def _specimens(payload: Payload) -> list[Specimen]:
    fields = zip(
        decode_crystals(payload["crystals"]),
        payload["energies"],
        payload["formation_energies"],
        payload["hull_distances"],
        strict=True,
    )
    return [Specimen(*values) for values in fields]


def _record(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "values": dict(evaluation.values),
        "failures": dict(evaluation.failures),
        "reward": evaluation.reward,
        "rejection": evaluation.rejection,
        "computed": {name: cost.value for name, cost in evaluation.computed.items()},
        "recalled": {name: cost.value for name, cost in evaluation.recalled.items()},
    }


def _described(probe: Probe) -> dict[str, str]:
    scorer = probe.scorer
    return {
        "name": scorer.name,
        "unit": scorer.unit,
        "source": scorer.source,
        "cost": scorer.cost.value,
        "version": scorer.version,
    }


def generator_worker(settings: Mapping[str, Any]) -> GeneratorWorker:
    """Builds a generator worker from ``{generator}``."""
    return GeneratorWorker(load_policy(GeneratorSettings.model_validate(settings["generator"])))


def learner_worker(settings: Mapping[str, Any]) -> LearnerWorker:
    """Builds a learner from ``{generator, rl}``; the prior is the generator's checkpoint."""
    generator = GeneratorSettings.model_validate(settings["generator"])
    rl = RLSettings.model_validate(settings["rl"])
    return LearnerWorker(load_policy(generator), load_policy(generator), rl)


def reward_worker(settings: Mapping[str, Any]) -> RewardWorker:
    """Builds a reward worker from ``{potential, relaxation, stability, objective, cache}``."""
    relaxation = RelaxationSettings.model_validate(settings["relaxation"])
    stability = StabilitySettings.model_validate(settings["stability"])
    chosen = PotentialSettings.model_validate(settings["potential"])
    potential = load_potential(chosen.name, **chosen.options)
    bench = Bench(potential, ReferenceSet.load(stability.reference, stability))
    cache = None
    if settings["cache"] != "off":
        cache = open_cache(Path(settings["cache"]), chosen, potential)
    asked = ObjectiveSettings.model_validate(settings["objective"])
    objective = build_objective(asked, bench, cache)
    return RewardWorker(relaxer_for(potential, relaxation), relaxation, bench, objective)


def relaxer_for(potential: Potential, settings: RelaxationSettings) -> Relaxer:
    """The configured relaxer."""
    default = settings.optimizer == "default"
    return BatchRelaxer(
        potential,
        optimizer=DEFAULT_OPTIMIZER if default else settings.optimizer,
        deadline_s=settings.deadline_s,
        atoms_in_flight=atoms_in_flight(potential),
    )


def roles_of(config: RunConfig) -> tuple[Role, ...]:
    """The workers a run needs: generators, reward workers and one learner."""
    execution = config.execution

    # Workers may be started in another folder than the run.
    folder = Path(config.cache).expanduser().absolute()
    cache = "off" if config.cache == "off" else str(folder)

    def role(name: str, parts: Sequence[str], workers: int, gpus: float, deadline: float) -> Role:
        settings = config.model_dump(mode="json", include=set(parts))
        return Role(
            name=name,
            factory=f"{__name__}:{name}_worker",
            settings=settings | ({"cache": cache} if name == REWARD else {}),
            workers=workers,
            cpus=execution.cpus_per_worker,
            gpus=gpus,
            deadline_s=deadline,
            retries=execution.batch_retries,
        )

    batch = execution.batch_deadline_s
    return (
        role(GENERATOR, ["generator"], execution.generators, execution.gpus_per_generator, batch),
        role(
            REWARD,
            ["potential", "relaxation", "stability", "objective"],
            execution.reward_workers,
            execution.gpus_per_reward_worker,
            batch,
        ),
        role(
            LEARNER,
            ["generator", "rl"],
            1,
            execution.gpus_per_learner,
            batch * LEARNER_DEADLINE_FACTOR,
        ),
    )


def displacement(before: Crystal, after: Crystal) -> float:
    """Root mean square displacement of the atoms, Angstrom.

    Differences of fractional coordinates are taken to the nearest image, freed of their mean (a
    crystal may drift as a whole), and measured in the cell ``after``.
    """
    shift = after.frac_coords - before.frac_coords
    shift -= np.round(shift)
    shift -= shift.mean(axis=0)
    return float(np.sqrt((np.square(shift @ after.lattice)).sum(axis=1).mean()))
