"""The gate where people look at plans and analyses: a file for each review."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt, ValidationError

from ray_matdesign.agents.saga.protocol import Analysis, Plan
from ray_matdesign.agents.saga.settings import Level
from ray_matdesign.config.problems import describe, dotted
from ray_matdesign.config.settings import Settings
from ray_matdesign.crystals.atomic import write_atomic

Gate = Literal["plan", "analysis"]
State = Literal["pending", "approved", "edited", "rejected", "timed-out"]

GATES: Mapping[Level, tuple[Gate, ...]] = {
    "co-pilot": ("plan", "analysis"),
    "semi-pilot": ("analysis",),
    "autopilot": (),
}
"""What people look at, by level of automation."""

_CONTENT: Mapping[Gate, type[Settings]] = {"plan": Plan, "analysis": Analysis}


class ReviewError(ValueError):
    """A review that does not exist, is decided already, or cannot be decided like that."""


class Review(Settings):
    """What people are asked, and what they decided."""

    number: PositiveInt
    key: str
    """The step that it belongs to."""
    round: PositiveInt
    gate: Gate
    state: State = "pending"
    opened: str
    """UTC."""
    timeout_s: PositiveFloat | None = None
    """From then on."""
    content: dict[str, Any]
    """A :class:`~.protocol.Plan` or an :class:`~.protocol.Analysis`."""
    edited: dict[str, Any] | None = None
    """What an editor put in its place."""
    reason: str = ""
    by: str = ""
    decided: str = ""
    """UTC."""

    @property
    def outcome(self) -> dict[str, Any]:
        """The content, as edited where it was."""
        return self.content if self.edited is None else self.edited

    @property
    def overdue(self) -> bool:
        """Whether nobody decided in time."""
        if self.timeout_s is None or self.state != "pending":
            return False
        waited = datetime.now(UTC) - datetime.fromisoformat(self.opened)
        return waited.total_seconds() >= self.timeout_s


class ReviewQueue:
    """The reviews of a campaign, shared by whoever decides and the campaign that waits.

    Args:
        folder: ``reviews/`` of the campaign; made with the first review.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Review]:
        """Every review, oldest first.

        Raises:
            ReviewError: A file is none.
        """
        return [self._read(path) for path in sorted(self._folder.glob("[0-9]*.json"))]

    def pending(self) -> list[Review]:
        """Those nobody has decided, oldest first."""
        return [review for review in self.all() if review.state == "pending"]

    def get(self, number: int) -> Review:
        """One review.

        Raises:
            ReviewError: There is none of that number.
        """
        path = self._path(number)
        if not path.exists():
            known = ", ".join(str(review.number) for review in self.all()) or "none yet"
            raise ReviewError(f"{self._folder}: no review {number}; there are {known}")
        return self._read(path)

    def open(
        self, key: str, gate: Gate, content: Settings, *, in_round: int, timeout_s: float | None
    ) -> Review:
        """Asks for a review; what was asked under this key already is not asked anew."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            held = self.all()
            found = next((review for review in held if review.key == key), None)
            if found is not None:
                return found
            review = Review(
                number=len(held) + 1,
                key=key,
                round=in_round,
                gate=gate,
                opened=_now(),
                timeout_s=timeout_s,
                content=content.model_dump(mode="json"),
            )
            self._write(review)
            return review

    def approve(self, number: int, *, by: str = "") -> Review:
        """Lets a plan or analysis stand as it is.

        Raises:
            ReviewError: There is no such review, or it is decided.
        """
        return self._decide(number, {"state": "approved", "by": by})

    def edit(
        self, number: int, content: Mapping[str, Any], *, reason: str = "", by: str = ""
    ) -> Review:
        """Puts another plan or analysis in its place.

        Args:
            number: Of the review.
            content: Plain JSON, in the form of what is replaced.
            reason: Which the planner is told.
            by: Who says so.

        Raises:
            ReviewError: Also if the content is not of that form; the message says where.
        """
        model = _CONTENT[self.get(number).gate]
        try:
            checked = model.model_validate_json(json.dumps(content))
        except (ValidationError, TypeError, ValueError) as error:
            if not isinstance(error, ValidationError):
                raise ReviewError(f"review {number}: not plain JSON: {error}") from error
            path, problem = describe(error, model, dict(content))[0]
            raise ReviewError(f"review {number}: {dotted(path)}: {problem}") from error
        edited = checked.model_dump(mode="json")
        return self._decide(
            number, {"state": "edited", "edited": edited, "reason": reason, "by": by}
        )

    def reject(self, number: int, reason: str, *, by: str = "") -> Review:
        """Sends a plan or analysis back.

        Raises:
            ReviewError: There is no such review, it is decided, or no reason is given.
        """
        if not reason.strip():
            raise ReviewError(f"review {number}: say why, so that something can be learnt from it")
        return self._decide(number, {"state": "rejected", "reason": reason, "by": by})

    def wait(
        self, number: int, poll_s: float, sleep: Callable[[float], None] = time.sleep
    ) -> Review:
        """Waits until somebody decides, or it is too late to.

        Args:
            number: Of the review.
            poll_s: Pause between two looks.
            sleep: Passes the time.
        """
        while True:
            review = self.get(number)
            if review.state != "pending":
                return review
            if review.overdue:
                # Whoever decided in this very moment was first.
                return self._decide(number, {"state": "timed-out"}, first_only=True)
            sleep(poll_s)

    def _decide(self, number: int, update: dict[str, Any], first_only: bool = False) -> Review:
        self.get(number)
        with self._alone():
            review = self.get(number)
            if review.state != "pending":
                if first_only:
                    return review
                raise ReviewError(f"review {number}: {review.state} already, {review.decided}")
            decided = review.model_copy(update={**update, "decided": _now()})
            self._write(decided)
            return decided

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05d}.json"

    def _read(self, path: Path) -> Review:
        try:
            return Review.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ReviewError(f"{path}: not a review: {error.errors()[0]['msg']}") from error

    def _write(self, review: Review) -> None:
        write_atomic(self._path(review.number), review.model_dump_json(indent=1) + "\n")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(self._folder / ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
