"""A laboratory over HTTP, and how its errors travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from ray_matdesign.agents.laboratory.interface import (
    Busy,
    KeyReused,
    LabError,
    LabUnreachable,
    NotReady,
    Unauthorised,
    UnknownJob,
    Unsafe,
)
from ray_matdesign.agents.laboratory.messages import About, Job, Order, Result

API = "/v1"
ERRORS: Mapping[type[LabError], tuple[int, str]] = {
    Unsafe: (422, "unsafe"),
    UnknownJob: (404, "unknown"),
    NotReady: (409, "not_ready"),
    KeyReused: (409, "key_reused"),
    Busy: (429, "busy"),
    Unauthorised: (401, "unauthorised"),
    LabError: (400, "invalid"),
}
"""Status and kind of each error of a laboratory."""

Told = TypeVar("Told")
_KINDS = {kind: error for error, (_, kind) in ERRORS.items()}
_JOBS: TypeAdapter[list[Job]] = TypeAdapter(list[Job])
_JOB: TypeAdapter[Job] = TypeAdapter(Job)
_ABOUT: TypeAdapter[About] = TypeAdapter(About)
_RESULT: TypeAdapter[Result] = TypeAdapter(Result)


class HttpLab:
    """A ``Lab`` behind HTTP; also the door of its staff, for those who have that token.

    Args:
        url: Of the laboratory, without ``/v1``.
        token: Sent as bearer token, if there is one.
        timeout_s: Longest wait for an answer.
        transport: Of httpx, if not the network.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url + API,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_s,
            transport=transport,
        )

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def about(self) -> About:
        """See :class:`~.interface.Lab`."""
        return self._read(_ABOUT, self._ask("GET", "/lab"))

    def submit(self, order: Order) -> Job:
        """See :class:`~.interface.Lab`."""
        return self._read(_JOB, self._ask("POST", "/jobs", order.model_dump(mode="json")))

    def jobs(self) -> list[Job]:
        """See :class:`~.interface.Lab`."""
        return self._read(_JOBS, self._ask("GET", "/jobs"))

    def job(self, job: str) -> Job:
        """See :class:`~.interface.Lab`."""
        return self._read(_JOB, self._ask("GET", f"/jobs/{_part(job)}"))

    def result(self, job: str) -> Result:
        """See :class:`~.interface.Lab`."""
        return self._read(_RESULT, self._ask("GET", f"/jobs/{_part(job)}/result"))

    def cancel(self, job: str) -> Job:
        """See :class:`~.interface.Lab`."""
        return self._read(_JOB, self._ask("DELETE", f"/jobs/{_part(job)}"))

    def approve(self, job: str, by: str) -> Job:
        """See :class:`~.interface.Operated`; the token must be the staff's."""
        body = {"by": by}
        return self._read(_JOB, self._ask("POST", f"/jobs/{_part(job)}/approval", body))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise LabUnreachable(f"{self._url}: {error or type(error).__name__}") from error
        if response.is_success:
            return response.content
        raise self._error(response)

    def _error(self, response: httpx.Response) -> LabError:
        try:
            told = response.json()["error"]
            kind, message = str(told["kind"]), str(told["message"])
        except (ValueError, KeyError, TypeError):
            # Not the laboratory's own words: a proxy, or a server that is starting or going.
            told_by = f"{self._url}: status {response.status_code}"
            return LabUnreachable(told_by) if response.status_code >= 500 else LabError(told_by)
        return _KINDS.get(kind, LabError)(message)

    def _read(self, adapter: TypeAdapter[Told], content: bytes) -> Told:
        try:
            return adapter.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise LabError(
                f"{self._url}: not an answer of a laboratory: {where}: {first['msg']}"
            ) from error


def _part(text: str) -> str:
    """A job's id as one part of a path."""
    from urllib.parse import quote

    return quote(text, safe="")
