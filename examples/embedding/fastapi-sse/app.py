"""A web service that streams a job's events to whoever asked for them.

    uvicorn app:app --timeout-graceful-shutdown 10

    GET /ask?q=…            a new job
    GET /ask?job=…          an interrupted job, carried on
    GET /ask?job=…&q=…      a job at rest, with a further question

A client that goes away interrupts its job. Every event has the job as its id, so an
EventSource whose connection broke names it in Last-Event-ID, and the job goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from perstack import (
    CannotContinue,
    Event,
    Expert,
    JobInUse,
    NoSuchJob,
    PerstackError,
    Runtime,
    Stream,
    UsageError,
)

TEACHER = Expert(
    "teacher",
    "You explain things to children of ten, in three sentences.",
    # What strangers ask for must not reach files or commands.
    base_tools=["attemptCompletion"],
)

KEPT_BACK = {"startRun"}
"""What clients need not see: it holds the Expert's instruction."""

STATUSES = {NoSuchJob: 404, UsageError: 400, JobInUse: 409, PerstackError: 503}
"""Kinds of errors, each before the kinds it is one of."""

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One runtime for all requests: one set of connections to the model, one store."""
    async with Runtime(max_steps=20) as runtime:
        app.state.runtime = runtime
        yield


app = FastAPI(lifespan=lifespan)


class Answering:
    """A job that has begun: its first event has come, so what is asked for can be done."""

    def __init__(self, first: Event, events: Stream) -> None:
        self.first = first
        self.events = events


async def answering(
    request: Request,
    q: str | None = None,
    job: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncGenerator[Answering]:
    """The job, until the response ends. Where it ends too soon, leaving interrupts the job."""
    job = last_event_id or job
    query = None if last_event_id else q  # who reconnects has asked already
    runtime: Runtime = request.app.state.runtime
    async with runtime.stream(TEACHER, query, continue_job=job) as events:
        yield Answering(await anext(events), events)


@app.get("/ask", response_class=EventSourceResponse)
async def ask(job: Annotated[Answering, Depends(answering)]) -> AsyncIterator[ServerSentEvent]:
    """Every event of the job under its own name, then `result`."""
    yield told(job.first)
    async for event in job.events:
        if event.type not in KEPT_BACK:
            yield told(event)
    result = job.events.result
    ended = json.dumps({"status": result.status, "text": result.text})
    yield ServerSentEvent(raw_data=ended, event="result", id=result.job_id)


def told(event: Event) -> ServerSentEvent:
    """The line that `perstack run` would write, as a server-sent event."""
    return ServerSentEvent(raw_data=event.to_json().decode(), event=event.type, id=event.job_id)


@app.exception_handler(PerstackError)
async def refused(request: Request, error: PerstackError) -> Response:
    """Before the first event there is still a status to say what is wrong.

    The message is for whoever runs the service: it may name folders and variables.
    """
    if isinstance(error, CannotContinue) and "last-event-id" in request.headers:
        return Response(status_code=204)  # it has ended: tells an EventSource not to come back
    log.warning("%s", error)
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    return JSONResponse({"error": type(error).__name__}, status)
