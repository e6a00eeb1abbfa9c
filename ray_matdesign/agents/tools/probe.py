"""The tool ``probe``: runs a few lines in the sandbox and says what came of them."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, Field

from ray_matdesign.agents.sandbox.job import Job
from ray_matdesign.agents.sandbox.limits import Limits
from ray_matdesign.agents.sandbox.result import Result
from ray_matdesign.agents.tools.protocol import Tool, ToolError

LIMITS = Limits(cpu_s=30.0, wall_s=60.0, memory_mib=2048, tasks=8, output_kib=16)
"""What one probe may use."""

PRELOAD = ("ray_matdesign.agents.tools.looking",)
"""What a sandbox for probes imports beforehand, beside the packages that are probed."""

MAIN = "from ray_matdesign.agents.tools.looking import probe\n"
_MOST_OUTPUT = 2000


class Sandbox(Protocol):
    """Runs a job behind walls; a :class:`ray_matdesign.agents.sandbox.box.Box`, for one."""

    def run(self, job: Job) -> Result:
        """What came of the job, as a value."""
        ...


class ProbeAsked(BaseModel):
    """What to run."""

    code: str = Field(
        min_length=1,
        max_length=8000,
        description="A short program; the value of its last line, an expression, is described.",
    )


class ProbeTold(BaseModel):
    """The value of the last expression, or the error that ended the program."""

    type: str = ""
    repr: str = ""
    attributes: list[str] = Field(default=[], description="Public ones of the value.")
    keys: list[str] = Field(default=[], description="Of a mapping.")
    length: int | None = None
    shape: str = ""
    dtype: str = ""
    error: str = ""
    line: int = Field(default=0, description="Where the error is.")
    close: list[str] = Field(default=[], description="Names that come closest to a missing one.")
    output: str = Field(default="", description="What was printed.")


def probe_tool(sandbox: Sandbox) -> Tool[Any, Any]:
    """The tool.

    Args:
        sandbox: Where the lines are run, and nowhere else.
    """

    def probe(asked: ProbeAsked) -> ProbeTold:
        job = Job.of(MAIN, entry="main.py:probe", inputs={"source": asked.code}, limits=LIMITS)
        result = sandbox.run(job)
        if not result.ok:
            raise ToolError(f"probe: {why_not(result)}")
        if not result.values:
            raise ToolError("probe: the program ended itself before its last line")
        try:
            told = ProbeTold.model_validate(dict(result.values))
        except ValueError as error:
            raise ToolError("probe: what came back makes no sense") from error
        return told.model_copy(update={"output": result.stdout[:_MOST_OUTPUT]})

    return Tool(
        "probe",
        "Runs a few lines of Python in a sandbox without a network and describes the value of the "
        "last expression: type, attributes, keys, shape, repr. Use it to learn what a call "
        "returns. An error comes back with its line and, for a missing attribute, close names.",
        ProbeAsked,
        ProbeTold,
        probe,
    )


def why_not(result: Result) -> str:
    """In one line, why a run came to no end."""
    if result.limit is not None:
        return f"stopped: it used up its {result.limit} limit"
    lines = result.stderr.strip().splitlines()
    return (lines[-1] if lines else result.reason or f"ended by {result.signal or 'itself'}")[:300]
