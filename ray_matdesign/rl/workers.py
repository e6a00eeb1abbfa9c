"""The kinds of workers: plain payloads in, plain payloads out.

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
import torch.distributed
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
from ray_matdesign.generators.diffusion.parallel import Peers, ProcessGroup
from ray_matdesign.generators.protocol import Evolving, Policy, Trainable, Weights
from ray_matdesign.generators.registry import load_policy
from ray_matdesign.potentials.batching import atoms_in_flight
from ray_matdesign.potentials.protocol import Failed, Potential, Relaxed, Relaxer
from ray_matdesign.potentials.registry import load_potential
from ray_matdesign.potentials.relaxation import DEFAULT_OPTIMIZER, BatchRelaxer
from ray_matdesign.rewards.cache import cache_of
from ray_matdesign.rewards.objective import Objective, build_objective
from ray_matdesign.rewards.scorer import Bench
from ray_matdesign.rl.executor import Payload, Role
from ray_matdesign.rl.finetune import finetune
from ray_matdesign.rl.scoring import (
    CHEAP_SCORER,
    DFT_SCORER,
    REWARD,
    described,
    recorded,
    specimens,
)
from ray_matdesign.stability.reference import ReferenceSet

GENERATOR, LEARNER = "generator", "learner"
"""Names of the roles; those that score have theirs in :mod:`~ray_matdesign.rl.scoring`."""

LEARNER_DEADLINE_FACTOR = 10
"""A fine-tuning is one batch of thousands of steps; a relaxation batch is a fraction of a loop."""


class GeneratorWorker:
    """Samples crystals from the published policy."""

    def __init__(self, policy: Trainable) -> None:
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
            "terms": [described(p) for p in probes if p.term is not None],
            "filters": [described(p) for p in probes if p.term is None],
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
        return recorded(self._objective.screen(specimens(payload)))

    def score(self, payload: Payload) -> Payload:
        """``{crystals, energies, formation_energies, hull_distances, known}`` to ``{records}``.

        A record is ``{values, failures, reward, rejection, computed, recalled}``, as in
        :class:`~ray_matdesign.rewards.objective.Evaluation`; ``known`` are values from a screening
        or from other workers. With ``scorers`` in the payload, only these are run.
        """
        objective = self._objective.only(payload.get("scorers"))
        return recorded(objective.evaluate(specimens(payload), payload["known"]))

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
    """Fine-tunes the published policy: a pure function of the weights and the payload.

    Args:
        policy: To be fine-tuned.
        prior: Frozen.
        settings: The algorithm's.
        peers: Other learners that are given the same payloads and share the work.
    """

    def __init__(
        self, policy: Policy, prior: Policy, settings: RLSettings, peers: Peers | None = None
    ) -> None:
        self._peers = peers
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
        """``{crystals, rewards, tried, seed, optimizer}`` to ``{weights, optimizer, ...}``.

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
            self._peers,
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


class EvolvingLearner:
    """Has an evolving generator learn: a pure function of the weights and the payload.

    Several of them, given the same payloads, come to the same weights.
    """

    def __init__(self, generator: Evolving) -> None:
        self._generator = generator
        self._initial = generator.weights()
        self._published: Mapping[str, NDArray[np.generic]] = self._initial
        self._version = 0

    def load(self, weights: Mapping[str, NDArray[np.generic]], version: int) -> None:
        """Takes published weights."""
        self._published, self._version = weights, version

    def initial(self, payload: Payload) -> Payload:
        """``{}`` to ``{weights}``, from which a run starts."""
        return {"weights": self._initial}

    def finetune(self, payload: Payload) -> Payload:
        """``{crystals, rewards, tried, ...}`` to ``{weights, optimizer, ...}``.

        There is no loss, and no optimiser has taken a step.
        """
        self._generator.load_weights(self._published, self._version)
        self._generator.learn(
            decode_crystals(payload["crystals"]),
            payload["rewards"],
            decode_crystals(payload["tried"]),
        )
        return {"weights": self._generator.weights(), "optimizer": None, "adam_steps": 0}


def generator_worker(settings: Mapping[str, Any]) -> GeneratorWorker:
    """Builds a generator worker from ``{generator}``."""
    return GeneratorWorker(load_policy(GeneratorSettings.model_validate(settings["generator"])))


def learner_worker(settings: Mapping[str, Any]) -> LearnerWorker | EvolvingLearner:
    """Builds a learner from ``{generator, rl}``; the prior is the generator's checkpoint.

    Where a process group of ``torch.distributed`` is set up, it is one of several.
    """
    generator = GeneratorSettings.model_validate(settings["generator"])
    rl = RLSettings.model_validate(settings["rl"])
    peers = ProcessGroup() if torch.distributed.is_initialized() else None
    policy = load_policy(generator)
    if isinstance(policy, Evolving):
        return EvolvingLearner(policy)
    prior = load_policy(generator)
    assert not isinstance(prior, Evolving)  # one factory makes one kind
    return LearnerWorker(policy, prior, rl, peers)


def reward_worker(settings: Mapping[str, Any]) -> RewardWorker:
    """Builds a reward worker from ``{potential, relaxation, stability, objective, cache}``."""
    return worker_at(bench_of(settings), settings)


def bench_of(settings: Mapping[str, Any]) -> Bench:
    """Loads the instruments of a reward worker: all of it that takes long."""
    stability = StabilitySettings.model_validate(settings["stability"])
    chosen = PotentialSettings.model_validate(settings["potential"])
    potential = load_potential(chosen.name, **chosen.options)
    return Bench(potential, ReferenceSet.load(stability.reference, stability))


def worker_at(bench: Bench, settings: Mapping[str, Any]) -> RewardWorker:
    """Builds a reward worker with instruments of :func:`bench_of` from the same settings."""
    relaxation = RelaxationSettings.model_validate(settings["relaxation"])
    chosen = PotentialSettings.model_validate(settings["potential"])
    cache = cache_of(settings["cache"], chosen, bench.potential)
    asked = ObjectiveSettings.model_validate(settings["objective"])
    objective = build_objective(asked, bench, cache)
    return RewardWorker(relaxer_for(bench.potential, relaxation), relaxation, bench, objective)


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
    """The workers a run needs.

    Generators, reward workers and one learner, of one process or several; and scorers of cost
    classes that have workers of their own.
    """
    execution = config.execution
    cpus, batch = execution.cpus_per_worker, execution.batch_deadline_s
    scores = ("potential", "stability", "objective")
    generators = _role(
        config,
        GENERATOR,
        "workers:generator_worker",
        ("generator",),
        workers=execution.generators,
        cpus=cpus,
        gpus=execution.gpus_per_generator,
        deadline_s=batch,
    )
    rewards = _role(
        config,
        REWARD,
        "workers:reward_worker",
        (*scores, "relaxation"),
        workers=execution.reward_workers,
        least_workers=execution.min_reward_workers,
        idle_release_s=execution.idle_release_s,
        cpus=cpus,
        gpus=execution.gpus_per_reward_worker,
        deadline_s=batch,
    )
    learner = _role(
        config,
        LEARNER,
        "workers:learner_worker",
        ("generator", "rl"),
        processes=execution.learners,
        cpus=cpus,
        gpus=execution.gpus_per_learner,
        deadline_s=batch * LEARNER_DEADLINE_FACTOR,
    )
    pools = ((CHEAP_SCORER, execution.cheap_scorers), (DFT_SCORER, execution.dft_scorers))
    scorers = [
        _role(
            config,
            name,
            "scoring:scorer_worker",
            scores,
            workers=pool.workers,
            cpus=pool.cpus,
            gpus=pool.gpus,
            deadline_s=pool.deadline_s,
        )
        for name, pool in pools
        if pool is not None
    ]
    return (generators, rewards, *scorers, learner)


def _role(config: RunConfig, name: str, factory: str, parts: Sequence[str], **share: Any) -> Role:
    """A role whose workers are told some parts of the configuration."""
    settings = config.model_dump(mode="json", include=set(parts))
    if "objective" in parts:
        # Workers may be started in another folder than the run.
        folder = Path(config.cache).expanduser().absolute()
        settings["cache"] = "off" if config.cache == "off" else str(folder)
    package = __name__.rpartition(".")[0]
    return Role(
        name=name,
        factory=f"{package}.{factory}",
        settings=settings,
        retries=config.execution.batch_retries,
        **share,
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
