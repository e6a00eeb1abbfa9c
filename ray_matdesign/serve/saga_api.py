"""Campaigns over HTTP: begin, follow, review and read them; documented at ``/docs``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ray_matdesign import __version__
from ray_matdesign.agents.saga.reviews import Review, ReviewError
from ray_matdesign.config.loading import ConfigError
from ray_matdesign.report.run_data import RunDirectoryError
from ray_matdesign.serve.saga_campaigns import (
    Campaigns,
    Conflict,
    NewCampaign,
    NoSuchCampaign,
    Verdict,
)

_STATUSES: dict[type[Exception], int] = {
    NoSuchCampaign: 404,
    Conflict: 409,
    ReviewError: 409,
    ConfigError: 422,
    RunDirectoryError: 500,
}
"""Of errors that a client can read something from."""

_EVENTS = "text/event-stream"
_BEAT_S = 15.0
"""A stream that is silent for so long gets a comment, so that nobody in between ends it."""


def _kept(request: Request) -> Campaigns:
    found: Campaigns = request.app.state.campaigns
    return found


Kept = Annotated[Campaigns, Depends(_kept)]
Status = dict[str, Any]
"""See :meth:`Campaigns.status`."""

router = APIRouter()


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the service answers."""
    return {"status": "ok", "version": __version__}


@router.post("/campaigns", status_code=201)
def begin(kept: Kept, asked: NewCampaign) -> Status:
    """Begins a campaign; it goes on when the client has gone."""
    return kept.begin(asked)


@router.get("/campaigns")
def statuses(kept: Kept) -> list[Status]:
    """How every campaign is doing."""
    return kept.statuses()


@router.get("/campaigns/{name}")
def status(kept: Kept, name: str) -> Status:
    """How a campaign is doing."""
    return kept.status(name)


@router.post("/campaigns/{name}/resume")
def resume(kept: Kept, name: str) -> Status:
    """Goes on with a campaign that stopped or broke off."""
    return kept.resume(name)


@router.post("/campaigns/{name}/stop")
def stop(kept: Kept, name: str) -> Status:
    """Stops work on a campaign; it can be resumed."""
    return kept.stop(name)


@router.get(
    "/campaigns/{name}/events",
    response_model=None,
    responses={200: {"content": {_EVENTS: {}}, "description": "A list, or a stream of events"}},
)
async def events(
    kept: Kept,
    request: Request,
    name: str,
    after: Annotated[int, Query(ge=0, description="Number of the last event known.")] = 0,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> list[dict[str, Any]] | Response:
    """What has happened so far, or, to who accepts text/event-stream, what happens from then on.

    The stream ends with an event ``end`` when nobody works on the campaign any more.
    """
    after = max(after, last_event_id)
    found = await run_in_threadpool(kept.events, name, after)
    if _EVENTS not in accept:
        return [dict(event) for event in found]
    poll_s: float = request.app.state.poll_s
    return StreamingResponse(_stream(kept, name, after, poll_s), media_type=_EVENTS)


@router.get("/campaigns/{name}/reviews")
def reviews(kept: Kept, name: str, state: str | None = None) -> list[Review]:
    """All reviews, or those in a state, such as ``pending``."""
    return [one for one in kept.reviews(name) if state in (None, one.state)]


@router.get("/campaigns/{name}/reviews/{number}")
def review(kept: Kept, name: str, number: int) -> Review:
    """One review, with the plan or analysis that it is about."""
    return kept.review(name, number)


@router.post("/campaigns/{name}/reviews/{number}")
def decide(kept: Kept, name: str, number: int, verdict: Verdict) -> Review:
    """Approves, edits or rejects a plan or analysis."""
    return kept.decide(name, number, verdict)


@router.get("/campaigns/{name}/report", response_class=HTMLResponse)
def report(kept: Kept, name: str) -> HTMLResponse:
    """The report of a campaign as it stands: one page that loads nothing."""
    return HTMLResponse(kept.report(name))


def build_api(campaigns: Campaigns, poll_s: float) -> FastAPI:
    """The HTTP interface.

    Args:
        campaigns: What it is an interface to.
        poll_s: Between two looks at a campaign that somebody follows.
    """
    api = FastAPI(
        title="Campaigns with evolving objectives",
        version=__version__,
        description="Errors are `{detail}`, one line; wrong settings are a line each.",
    )
    api.state.campaigns = campaigns
    api.state.poll_s = poll_s
    api.include_router(router)
    for kind, code in _STATUSES.items():
        api.add_exception_handler(kind, _handler(code))
    return api


def _handler(code: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, code)

    return answer


async def _stream(kept: Campaigns, name: str, after: int, poll_s: float) -> AsyncIterator[str]:
    """Events as they come, each with its number for an id, so that a client can take up again."""
    silent_s = 0.0
    while True:
        # Before the events: what comes in between is found by the next look.
        state = await run_in_threadpool(kept.state, name)
        found = await run_in_threadpool(kept.events, name, after)
        for event in found:
            after = int(event["number"])
            yield f"id: {after}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
        if state != "running":
            yield f"event: end\ndata: {json.dumps({'state': state})}\n\n"
            return
        silent_s = 0.0 if found else silent_s + poll_s
        if silent_s >= _BEAT_S:
            silent_s = 0.0
            yield ": still here\n\n"
        await anyio.sleep(poll_s)
