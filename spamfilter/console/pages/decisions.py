"""The decisions page: what was decided, searched and paged; one decision with all that is known of it; CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from spamfilter.console.aside import aside
from spamfilter.console.csv_lines import csv_lines
from spamfilter.console.decision_query import DISPOSITIONS, PERIODS, VERDICTS, Query
from spamfilter.console.notices import notice
from spamfilter.console.page import needs, page, problem, services
from spamfilter.console.pages.try_page import reasons_shown
from spamfilter.console.security.roles import Role
from spamfilter.console.services import Services
from spamfilter.store.at_hand import AtHand, Places
from spamfilter.store.history import History, LoggedDecision
from spamfilter.store.label_reader import LabelReader
from spamfilter.store.statistics import Statistics

ROWS = 50
_LINES_AT_ONCE = 500


@needs(Role.VIEWER)
async def index(request: Request) -> Response:
    """A page of the list, newest first."""
    try:
        query = Query.read(request.query_params)
    except ValueError as error:
        return problem(request, 400, str(error))
    behind = services(request)
    look = await behind.read(lambda history: history.look(query.filter(), limit=ROWS, before=query.before or None))
    labels = await aside(_labels, behind, look.decisions)
    channels, models = await aside(_choices, behind)
    return page(
        request, "decisions.html", query=query, look=look, labels=labels, channels=channels, models=models,
        periods=tuple(PERIODS), verdicts=VERDICTS, dispositions=DISPOSITIONS,
        notice=notice(request.query_params),
    )  # fmt: skip


@needs(Role.VIEWER)
async def show(request: Request) -> Response:
    """One decision: the log's row, what people said of it, and, with `?why`, why, if the message is at hand.

    The page's script asks for the reasons apart: the model takes a second for them.
    """
    behind = services(request)
    one, found = await _asked_for(request)
    why = await _why(request, one, found) if found is not None and "why" in request.query_params else None
    return page(
        request, "decision.html", one=one, kept=found, said=await aside(_said, behind, one),
        can_learn=behind.learn is not None, notice=notice(request.query_params), told=why is not None, **(why or {}),
    )  # fmt: skip


@needs(Role.VIEWER)
async def reasons(request: Request) -> Response:
    """The part of a decision's page that says why."""
    one, found = await _asked_for(request)
    if found is None:
        return problem(request, 404, "The message is not kept here any more, so it cannot be explained.")
    return page(request, "try_reasons.html", **await _why(request, one, found))


async def _asked_for(request: Request) -> tuple[LoggedDecision, AtHand | None]:
    """The decision of the address, and its message, if it is at hand. Raises StoreError."""
    behind = services(request)
    one = await behind.read(lambda history: history.get(request.path_params["id"]))
    return one, await aside(lambda: Places.of(behind.config).find(one))


async def _why(request: Request, one: LoggedDecision, found: AtHand) -> dict[str, Any]:
    return reasons_shown(request, await services(request).engine.explain(found.message(one)))


@needs(Role.VIEWER)
async def export(request: Request) -> Response:
    """All that the list's filter lets through, as CSV, read and sent some at a time."""
    try:
        query = Query.read(request.query_params)
    except ValueError as error:
        return problem(request, 400, str(error))
    name = f"decisions-{datetime.now(UTC):%Y%m%dT%H%M%S}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_csv(services(request), query), media_type="text/csv; charset=utf-8", headers=headers)


async def _csv(behind: Services, query: Query) -> AsyncIterator[str]:
    history = await aside(History, behind.database)
    try:
        lines: Iterator[str] = csv_lines(history.each(query.filter()))
        while some := await aside(lambda: "".join(islice(lines, _LINES_AT_ONCE))):
            if behind.stopping.is_set():
                return
            yield some
    finally:
        await aside(history.close)


def _choices(behind: Services) -> tuple[list[str], list[str]]:
    """The channels and models that there are decisions of."""
    with Statistics(behind.database) as statistics:
        return statistics.channels(), statistics.models()


def _labels(behind: Services, decisions: Iterable[LoggedDecision]) -> dict[str, str]:
    """What people said of the contents of some decisions, by content."""
    with LabelReader(behind.database) as labels:
        contents = {one.content for one in decisions if one.content}
        found = {content: labels.label_of(content) for content in contents}
    return {content: str(label) for content, label in found.items() if label is not None}


def _said(behind: Services, one: LoggedDecision) -> list[Any]:
    """What people said of a decision's content, the last word first."""
    if one.content is None:
        return []
    with LabelReader(behind.database) as labels:
        return [*reversed(labels.corrections(one.content))]


routes = [
    Route("/decisions", index),
    Route("/decisions/export.csv", export),
    Route("/decisions/{id}", show),
    Route("/decisions/{id}/why", reasons),
]
