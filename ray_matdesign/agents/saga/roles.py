"""The roles of a campaign in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ray_matdesign.agents.llm.protocol import Llm
from ray_matdesign.agents.objectives.artifact import ArtifactError
from ray_matdesign.agents.objectives.python_scorer import PRELOAD, Sandbox
from ray_matdesign.agents.saga import analyzer, evaluator, implementer, optimizer, planner, selector
from ray_matdesign.agents.saga.asking import answering_as
from ray_matdesign.agents.saga.protocol import (
    Analysis,
    AnalyzeRequest,
    Evaluated,
    EvaluateRequest,
    Implementation,
    ImplementRequest,
    Optimized,
    OptimizeRequest,
    Plan,
    PlanRequest,
    RoleError,
    RoleName,
    Selection,
    SelectRequest,
)
from ray_matdesign.agents.saga.running import Instruments, Workplace
from ray_matdesign.agents.sandbox.box import Box, SandboxUnavailable
from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.result import Result
from ray_matdesign.config.import_path import UnknownName
from ray_matdesign.config.schema import RunConfig
from ray_matdesign.rewards.objective import ScorerError
from ray_matdesign.rl.executor import Executor
from ray_matdesign.rl.local import LocalExecutor
from ray_matdesign.rl.progress import Progress
from ray_matdesign.rl.stages import RunFailed
from ray_matdesign.rl.workers import roles_of


class SandboxAtNeed:
    """A sandbox that is started when the first job comes: most objectives need none."""

    def __init__(self) -> None:
        self._box: Box | None = None

    def run(self, job: Job) -> Result:
        """What came of the job, as a value.

        Raises:
            SandboxUnavailable: This machine has none.
        """
        if self._box is None:
            from ray_matdesign.agents.sandbox.tiers import best_tier

            self._box = Box(best_tier(), PRELOAD)
        return self._box.run(job)

    def close(self) -> None:
        """Ends it, if it was started."""
        if self._box is not None:
            self._box.close()
            self._box = None


class LocalRoles:
    """Does the work of every role itself: :class:`~.protocol.Roles`.

    Args:
        llm: Asked by every role, each under its own name.
        workplace: Opens the executor of a run; by default one in this process.
        sandbox: Runs written Python; by default one of this machine, started at need.
        progress: Is told how the runs of the rounds go.
    """

    def __init__(
        self,
        llm: Llm,
        *,
        workplace: Workplace | None = None,
        sandbox: Sandbox | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._llm = llm
        self._own = SandboxAtNeed()
        self._sandbox: Sandbox = sandbox or self._own
        self._workplace = workplace or in_this_process
        self._progress = progress

    def close(self) -> None:
        """Ends the sandbox."""
        self._own.close()

    def plan(self, asked: PlanRequest) -> Plan:
        """See :class:`~.protocol.Roles`."""
        with _answering("planner"):
            return planner.plan(asked, self._llm)

    def implement(self, asked: ImplementRequest) -> Implementation:
        """See :class:`~.protocol.Roles`."""
        with _answering("implementer"):
            return implementer.implement_all(asked, self._llm, self._sandbox)

    def optimize(self, asked: OptimizeRequest) -> Optimized:
        """See :class:`~.protocol.Roles`."""
        tools = Instruments(self._workplace, self._llm, self._sandbox, self._progress)
        with _answering("optimizer"):
            return optimizer.optimize(asked, tools)

    def analyze(self, asked: AnalyzeRequest) -> Analysis:
        """See :class:`~.protocol.Roles`."""
        with _answering("analyzer"):
            return analyzer.analyze(asked, self._llm)

    def evaluate(self, asked: EvaluateRequest) -> Evaluated:
        """See :class:`~.protocol.Roles`."""
        with _answering("evaluator"):
            return evaluator.evaluate(asked)

    def select(self, asked: SelectRequest) -> Selection:
        """See :class:`~.protocol.Roles`."""
        with _answering("selector"):
            return selector.select(asked, self._llm)


@contextmanager
def in_this_process(config: RunConfig) -> Iterator[Executor]:
    """An executor without a cluster."""
    with closing(LocalExecutor(roles_of(config))) as executor:
        yield executor


@contextmanager
def _answering(role: RoleName) -> Iterator[None]:
    """What can go wrong, as the error of a role."""
    try:
        with answering_as(role):
            yield
    except SandboxUnavailable as error:
        told = f"{error}; set python_scorers=false to do without Python"
        raise RoleError(role, "sandbox", told) from error
    except (RunFailed, ScorerError, UnknownName, ArtifactError) as error:
        raise RoleError(role, "run", " ".join(str(error).split())) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise RoleError(role, "run", f"{where}{error.strerror or error}") from error
