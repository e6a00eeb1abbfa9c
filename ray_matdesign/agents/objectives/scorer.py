"""A registered written scorer as a term or filter of a run's objective."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial

from ray_matdesign.agents.objectives.artifact import ArtifactError, ScorerArtifact, load_artifact
from ray_matdesign.agents.objectives.features import Batch
from ray_matdesign.agents.objectives.python_scorer import PRELOAD, Sandbox, ScorerFailed
from ray_matdesign.config.import_path import load_object
from ray_matdesign.potentials.protocol import Failed
from ray_matdesign.rewards.objective import SCORERS, ScorerError
from ray_matdesign.rewards.scorer import Bench, CostClass, Scorer, Specimen

_FACTORY = "written"


def path_of(name: str) -> str:
    """What a term or filter of an objective names, with the option ``artifact``.

    An objective tells its scorers apart by their import paths, so each written one has its own:
    ``ray_matdesign.agents.objectives.scorer:written_NAME`` is :func:`written` for that name alone.
    """
    return f"{__name__}:{_FACTORY}_{name}"


def __getattr__(attribute: str) -> Callable[..., WrittenScorer]:
    """The factory of a written scorer, by its name."""
    prefix, _, name = attribute.partition("_")
    if prefix != _FACTORY or not name:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return partial(_written, name)


_BY_COST = list(CostClass)


class WrittenScorer:
    """A written scorer among those of a run.

    A filter comes to 1 and 0, so ``{scorer: ..., min: 0.5}`` lets through what it holds for.

    Args:
        artifact: Registered; of a candidate or a filter.
        needed: The registered scorers it takes values of, by name.
        sandbox: To run Python in; by default one is started at the first use and ended with this
            object.

    Attributes:
        name: The objective's.
        unit: The objective's.
        source: How it was written.
        cost: Of the dearest scorer it takes values of; Python is never ``cheap``, as a process is
            started for each batch.
        version: Hash of definition and code, so that values of other code are not taken for it.
    """

    def __init__(
        self,
        artifact: ScorerArtifact,
        needed: dict[str, Scorer],
        sandbox: Sandbox | None = None,
    ) -> None:
        self.name = artifact.spec.name
        self.unit = artifact.spec.unit
        self.source = f"written scorer ({artifact.form}) {artifact.hash[:16]}"
        self.version = artifact.hash
        least = CostClass.MLIP if artifact.form == "python" else CostClass.CHEAP
        costs = [least, *(scorer.cost for scorer in needed.values())]
        self.cost = max(costs, key=_BY_COST.index)
        self._artifact = artifact
        self._needed = needed
        self._sandbox = sandbox

    def score(self, specimens: Sequence[Specimen]) -> list[float | Failed]:
        """Value of each specimen; same order and length.

        Code that breaks down for the whole batch fails every specimen of it.
        """
        if not specimens:
            return []
        found = {name: tuple(one.score(specimens)) for name, one in self._needed.items()}
        batch = Batch(tuple(specimen.crystal for specimen in specimens), found)
        if self._sandbox is None and self._artifact.form == "python":
            self._sandbox = self._started()
        try:
            return self._artifact.scoring(self._sandbox).values(batch)
        except ScorerFailed as error:
            return [Failed(str(error))] * len(specimens)

    def _started(self) -> Sandbox:
        from ray_matdesign.agents.sandbox.box import Box
        from ray_matdesign.agents.sandbox.tiers import best_tier

        box = Box(best_tier(), PRELOAD)
        weakref.finalize(self, box.close)
        return box


def written(bench: Bench, artifact: str) -> WrittenScorer:
    """Builds a written scorer.

    Args:
        bench: For the registered scorers it takes values of.
        artifact: Path of the file that :func:`ray_matdesign.agents.objectives.artifact.register`
            wrote.

    Raises:
        ScorerError: The file is no registered artifact, or its values are of a population.
    """
    return _written(None, bench, artifact)


def _written(name: str | None, bench: Bench, artifact: str) -> WrittenScorer:
    try:
        found = load_artifact(artifact)
    except ArtifactError as error:
        raise ScorerError(f"written scorer: {error}") from error
    if name not in (None, found.spec.name):
        raise ScorerError(f"written scorer {name}: {artifact} holds {found.spec.name}")
    if found.spec.kind == "population":
        raise ScorerError(
            f"written scorer {found.spec.name}: it gives one value for a population, and a term "
            f"needs one for each crystal"
        )
    # Only the package's own: what a written scorer names is never an import path.
    unknown = [name for name in found.spec.needs if name not in SCORERS]
    if unknown:
        raise ScorerError(f"written scorer {found.spec.name}: no registered scorer {unknown[0]!r}")
    needed = {
        name: load_object(SCORERS[name], {}, what="scorer")(bench) for name in found.spec.needs
    }
    return WrittenScorer(found, needed)


def population_value(
    artifact: ScorerArtifact, batch: Batch, sandbox: Sandbox | None = None
) -> float | Failed:
    """What a registered scorer of a population says of one.

    Args:
        artifact: Of a population.
        batch: The crystals, with values of the registered scorers it takes.
        sandbox: To run Python in.

    Raises:
        ArtifactError: The artifact is not of a population, or it is Python without a sandbox.
    """
    if artifact.spec.kind != "population":
        raise ArtifactError(f"{artifact.spec.name}: a {artifact.spec.kind}, not of a population")
    try:
        (value,) = artifact.scoring(sandbox).values(batch)
    except ScorerFailed as error:
        return Failed(str(error))
    return value
