"""The laboratory as its users know it, whether simulated, real, or behind HTTP.

An adapter of a real laboratory (one of AlabOS, say) implements :class:`Lab` where the instruments
are and puts :func:`~.safety.judge` before them; users reach it over HTTP and can go no other way.
"""

from __future__ import annotations

from typing import Protocol

from ray_matdesign.agents.laboratory.messages import About, Job, Order, Result


class LabError(RuntimeError):
    """A request that a laboratory does not fulfil; the message says why, in one line."""


class Unsafe(LabError):
    """An order beyond the laboratory's limits. Ordering it again changes nothing."""


class UnknownJob(LabError):
    """There is no job, sample or precursor of that name."""


class NotReady(LabError):
    """A result that is not there: the job has not ended, or ended without one."""


class KeyReused(LabError):
    """The key stands for other work."""


class Busy(LabError):
    """Too many jobs are open; wait for one to end."""


class Unauthorised(LabError):
    """The token is missing or not the right one."""


class LabUnreachable(LabError):
    """No answer came; whether an order arrived is unknown, so send it again with the same key."""


class Lab(Protocol):
    """What may be asked of a laboratory; safe to ask from several threads at once.

    Everything raises :class:`LabError`: ``LabUnreachable`` and ``Unauthorised`` where there is a
    network between.
    """

    def about(self) -> About:
        """Limits, stock, devices and the time."""
        ...

    def submit(self, order: Order) -> Job:
        """Takes an order, or says where the one with this key stands; never does work twice.

        Raises:
            Unsafe: Limits forbid it.
            KeyReused: The key stands for other work.
            UnknownJob: The sample to measure is not there.
            Busy: Too many jobs are open.
        """
        ...

    def jobs(self) -> list[Job]:
        """All jobs, in the order they were submitted."""
        ...

    def job(self, job: str) -> Job:
        """Where a job stands.

        Raises:
            UnknownJob: There is none with this id.
        """
        ...

    def result(self, job: str) -> Result:
        """What a job that is done gave.

        Raises:
            UnknownJob: There is none with this id.
            NotReady: It is not done, or failed.
        """
        ...

    def cancel(self, job: str) -> Job:
        """Stops a job, or takes it out of the queue; one that has ended stays as it is.

        Raises:
            UnknownJob: There is none with this id.
        """
        ...


class Operated(Lab, Protocol):
    """A laboratory with the door its staff uses, which is not the one of those who order."""

    def approve(self, job: str, by: str) -> Job:
        """Lets a job that awaits approval into the queue; one that does not stays as it is.

        Args:
            job: Its id.
            by: Name of the person, for the record.

        Raises:
            UnknownJob: There is none with this id.
        """
        ...
