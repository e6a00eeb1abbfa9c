"""Code to be run, with all that it may know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ray_matdesign.agents.sandbox.limits import MIB, Limits
from ray_matdesign.agents.sandbox.scratch import checked_name

RESULT_FILES = ("result.json", "result.npz")
"""Taken back from every run that wrote them."""


_PAGE = 4096


class BadJob(ValueError):
    """A job that could not be run anywhere."""


@dataclass(frozen=True)
class Job:
    """Files, which of them to run, and what to take back.

    Attributes:
        files: Contents by name, all of the scratch folder at the start.
        entry: ``main.py`` runs a file as a program; ``main.py:score`` calls a function of it with
            the inputs as keyword arguments, and takes what it returns: a mapping as values by
            name, anything else as ``value``.
        outputs: Files to take back when the code ended, beside ``result.json`` and ``result.npz``.
        limits: What it may use.
        seed: Of Python's, NumPy's and torch's generators.

    Raises:
        BadJob: The entry is not among the files, or these do not fit into the scratch folder.
        BadName: A file name is not plain.
    """

    files: Mapping[str, bytes]
    entry: str = "main.py"
    outputs: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.files, *self.outputs):
            checked_name(name)
        if self.entry.partition(":")[0] not in self.files:
            raise BadJob(f"entry {self.entry}: not among the files {', '.join(self.files)}")
        pages = sum(-(-len(content) // _PAGE) for content in self.files.values())
        if pages * _PAGE > self.limits.scratch_mib * MIB or len(self.files) > self.limits.files:
            raise BadJob(
                f"{len(self.files)} files of {pages * _PAGE / MIB:.1f} MiB: more than the scratch "
                f"folder takes ({self.limits.files} of {self.limits.scratch_mib} MiB)"
            )

    @classmethod
    def of(
        cls,
        code: str | Mapping[str, str | bytes],
        *,
        entry: str = "main.py",
        inputs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        limits: Limits | None = None,
        seed: int = 0,
    ) -> Self:
        """Puts a job together.

        Args:
            code: Source of ``main.py``, or files by name.
            entry: See the class.
            inputs: JSON values and arrays by name; they become ``inputs.json`` and ``inputs.npz``.
            outputs: See the class.
            limits: The usual ones by default.
            seed: See the class.

        Raises:
            BadJob: The entry is not among the files.
            BadExchange: An input is neither JSON nor a plain array.
        """
        sources = {"main.py": code} if isinstance(code, str) else dict(code)
        files = {n: c.encode() if isinstance(c, str) else c for n, c in sources.items()}
        if inputs:
            # NumPy is not to be loaded into processes that only pass jobs on.
            from ray_matdesign.agents.sandbox.exchange import INPUTS, write_values

            files |= write_values(INPUTS, inputs)
        return cls(files, entry, tuple(outputs), limits or Limits(), seed)

    def head(self) -> dict[str, Any]:
        """All but the files, as plain JSON."""
        return {
            "entry": self.entry,
            "outputs": list(self.outputs),
            "limits": asdict(self.limits),
            "seed": self.seed,
        }

    @classmethod
    def from_head(cls, head: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """The inverse of :meth:`head`."""
        limits = Limits(**head["limits"])
        return cls(files, head["entry"], tuple(head["outputs"]), limits, head["seed"])
