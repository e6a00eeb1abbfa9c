"""One run of a program in the sandbox: the answer, or what is known of the failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import JsonValue, ValidationError

from ray_matdesign.agents.cascade.harness import (
    ANSWER,
    FAILURE,
    MAIN,
    NOT_PLAIN,
    PROGRAM,
    TO_PLAIN,
    plain_problem,
)
from ray_matdesign.agents.cascade.programs import Known, Mended, mend, plainly
from ray_matdesign.agents.cascade.task import Task
from ray_matdesign.agents.sandbox.environment import SCIENTIFIC
from ray_matdesign.agents.sandbox.job import BadJob, Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Outcome, Result
from ray_matdesign.agents.sandbox.scratch import BadName
from ray_matdesign.config.settings import Settings

PRELOAD = (
    *SCIENTIFIC,
    "ray_matdesign.agents.cascade.harness",
    "ray_matdesign.agents.cascade.looking",
)
"""What a sandbox for tasks imports beforehand."""

WRONG_TYPE = "WrongType"
STOPPED = "Stopped"
_RESERVED = ("main.py", PROGRAM, "result.json", "result.npz")
_MOST_TEXT = 2000

_OF_TYPE: Mapping[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


class Sandbox(Protocol):
    """Runs a job behind walls; a :class:`ray_matdesign.agents.sandbox.box.Box`, for one."""

    def run(self, job: Job) -> Result:
        """What came of the job, as a value."""
        ...


class Failure(Settings):
    """Why a run gave no answer.

    Attributes:
        kind: Name of the exception, or ``NoAnswer``, ``NotPlain``, ``WrongType``, ``Stopped``.
        message: In one line.
        line: Of the program, from 1.
        text: That line.
        below: Where in a library it was raised.
        symbols: What is there in place of the symbol that failed, a line each.
        values: Variables around the failure, a line each.
    """

    kind: str
    message: str
    line: int | None = None
    text: str = ""
    below: str = ""
    symbols: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Run(Settings):
    """A program and what came of it; ``failure`` is None exactly if there is an answer."""

    source: str
    repairs: tuple[str, ...] = ()
    answer: JsonValue = None
    failure: Failure | None = None
    output: str = ""
    """The end of what it printed."""
    runs: int = 1
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is an answer of the type that was asked for."""
        return self.failure is None


class Bench:
    """Runs the programs of one task.

    Args:
        sandbox: To run in.
        task: Its files lie beside each program.
        limits: Of one run.
        beside: Further sources by file name, such as skills.
        repair: Whether programs are mended; see :func:`programs.mend`.
        known: Where a name comes from, for the repair.

    Raises:
        BadJob: A file of the task has a name that is taken, or is not plain.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        limits: Limits,
        *,
        beside: Mapping[str, str] | None = None,
        repair: bool = False,
        known: Known | None = None,
    ) -> None:
        for name in task.files:
            if name in _RESERVED or name in (beside or {}):
                raise BadJob(f"task {task.id}: files: {name} is a name that is taken")
        self._sandbox = sandbox
        self._task = task
        self._limits = limits
        self._repair = repair
        self._known = known
        self._files = {**(beside or {}), **task.files, "main.py": MAIN}
        try:
            Job.of({**self._files, PROGRAM: ""}, limits=limits)
        except BadName as error:
            raise BadJob(f"task {task.id}: files: {error}") from error

    def mended(self, source: str) -> Mended:
        """A program as it would be run."""
        return mend(source, self._known) if self._repair else Mended(source)

    def run(self, program: Mended) -> Run:
        """Runs a program and takes its answer; one of NumPy's types is mended by a second run.

        Raises:
            SandboxUnavailable: The walls cannot be built; nothing was run.
        """
        done = self._once(program.source, program.repairs)
        failure = done.failure
        if self._repair and failure and failure.message.endswith(TO_PLAIN):
            plain = plainly(program.source)
            again = self._once(plain.source, (*program.repairs, *plain.repairs))
            seconds = done.seconds + again.seconds
            return again.model_copy(update={"runs": 2, "seconds": seconds})
        return done

    def _once(self, source: str, repairs: tuple[str, ...]) -> Run:
        try:
            job = Job.of(
                {**self._files, PROGRAM: source}, limits=self._limits, seed=self._task.seed
            )
        except BadJob as error:
            return Run(source=source, failure=Failure(kind=STOPPED, message=str(error)))
        result = self._sandbox.run(job)
        answer, failure = outcome(result, self._task)
        return Run(
            source=source,
            repairs=repairs,
            answer=answer,
            failure=failure,
            output=_tail(result.stdout),
            seconds=round(result.wall_s, 3),
        )


def outcome(result: Result, task: Task) -> tuple[JsonValue, Failure | None]:
    """The answer of a run, or its failure.

    What the program wrote to its standard error is no sign of either.

    Args:
        result: Of the sandbox.
        task: Says which type the answer must have.
    """
    if not result.ok:
        return None, _failure(result)
    if ANSWER not in result.values:
        return None, Failure(kind=STOPPED, message="the program ended before its answer was taken")
    answer: Any = result.values[ANSWER]
    # Its own account is not to be trusted: the file may have been written by the program itself.
    if problem := plain_problem(answer):
        return None, Failure(kind=NOT_PLAIN, message=problem)
    if problem := type_problem(answer, task):
        return None, Failure(kind=WRONG_TYPE, message=problem)
    return answer, None


def type_problem(answer: JsonValue, task: Task) -> str:
    """Why an answer does not have the type asked for, in one line; empty if it does."""
    kinds = _OF_TYPE[task.answer_type]
    if isinstance(answer, kinds) and isinstance(answer, bool) == (bool in kinds):
        return ""
    text = repr(answer)
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return f"answer is a {type(answer).__name__}, {shown}; it must be a {task.answer_type}"


def _failure(result: Result) -> Failure:
    told = result.values.get(FAILURE)
    if result.outcome is Outcome.EXITED and isinstance(told, dict):
        try:
            return Failure.model_validate(told)
        except ValidationError as error:
            message = f"a report that makes no sense: {error.errors()[0]['msg']}"
            return Failure(kind=STOPPED, message=message)
    if result.outcome is Outcome.STOPPED:
        return Failure(kind=STOPPED, message=f"stopped: it used up its limit of {result.limit}")
    if result.outcome is Outcome.SIGNALLED:
        return Failure(kind=STOPPED, message=f"the interpreter crashed: {result.signal}")
    said = result.stderr.strip().splitlines()
    last = said[-1][:500] if said else result.reason or f"exit status {result.exit_status}"
    return Failure(kind=STOPPED, message=last)


def _tail(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MOST_TEXT else "..." + text[-_MOST_TEXT:]
