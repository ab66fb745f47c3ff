"""The first page: how much mail comes, what became of it, how fast, with which model, and whether that still fits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spamfilter.console.aside import aside
from spamfilter.console.live import stream
from spamfilter.console.own_process import own_command
from spamfilter.console.page import needs, page, problem, services
from spamfilter.console.pulse import FRESH_S, PERIODS, Figures, Pulse
from spamfilter.console.security.roles import Role
from spamfilter.console.services import Services

MOST_STREAMS = 20
"""So many pages are kept live at a time; the others are as fresh as they were loaded."""
DRIFT_S = 600.0
"""How long an answer about drift is good for: reading a year's decisions takes seconds."""
_DRIFT_LIMIT_S = 60.0


class Looking:
    """What everybody who looks at the overview shares."""

    def __init__(self, behind: Services) -> None:
        self.pulse = Pulse(behind.config, behind.database, behind.engine)
        self.streams = 0
        self._behind = behind
        self._turn = asyncio.Lock()
        self._drift: dict[str, Any] = {}
        self._asked = float("-inf")

    async def drift(self) -> dict[str, Any]:
        """What `spamfilter drift` says: its sentence and whether a retraining is due; by a process of its own."""
        async with self._turn:
            if time.monotonic() - self._asked > DRIFT_S:
                self._drift = await _drift(self._behind)
                self._asked = time.monotonic()
            return self._drift


@needs(Role.VIEWER)
async def index(request: Request) -> Response:
    """The overview of a period, live where the browser lets it be."""
    period = _period(request)
    return page(request, "overview.html", period=period, periods=tuple(PERIODS), now=await _figures(request, period))


@needs(Role.VIEWER)
async def events(request: Request) -> Response:
    """The part of the overview that changes, every two seconds."""
    looking, period = _looking(request), _period(request)
    if looking.streams >= MOST_STREAMS:
        return problem(request, 503, "Too many pages are kept live; load this one again to see what is new.")
    return stream(request, _changes(request, looking, period))


@needs(Role.VIEWER)
async def drift(request: Request) -> Response:
    """Whether mail still looks like what the model was made for: JSON with `sentence` and `due`."""
    found = await _looking(request).drift()
    return JSONResponse({"sentence": found.get("sentence", "That cannot be said now; `spamfilter drift` says why."),
                         "due": found.get("due") is True})  # fmt: skip


async def _changes(request: Request, looking: Looking, period: str) -> AsyncIterator[dict[str, Any]]:
    looking.streams += 1
    last = b""
    try:
        while True:
            made = page(request, "overview_live.html", now=await looking.pulse.figures(period)).body
            if bytes(made) != last:
                last = bytes(made)
                yield {"html": last.decode()}
            await asyncio.sleep(FRESH_S)
    finally:
        looking.streams -= 1


async def _figures(request: Request, period: str) -> Figures:
    return await _looking(request).pulse.figures(period)


def _period(request: Request) -> str:
    asked = request.query_params.get("period", "")
    return asked if asked in PERIODS else next(iter(PERIODS))


def _looking(request: Request) -> Looking:
    state = request.app.state
    if not hasattr(state, "looking"):
        state.looking = Looking(services(request))
    found: Looking = state.looking
    return found


async def _drift(behind: Services) -> dict[str, Any]:
    command, environ = await aside(own_command, behind.config, "drift", "--json")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "nice", *command, stdin=quiet, stdout=asyncio.subprocess.PIPE, stderr=quiet, env=environ
    )
    try:
        async with asyncio.timeout(_DRIFT_LIMIT_S):
            told, _ = await process.communicate()
            found = json.loads(told)
            return found if isinstance(found, dict) else {}
    except (TimeoutError, ValueError):
        return {}
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


routes = [
    Route("/", index),
    Route("/overview/events", events),
    Route("/overview/drift", drift),
]
