"""The thresholds page: what an operating point costs in ham and brings in spam, before anybody sets it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.classifier.bundle import BundleError, open_bundle
from spamfilter.config import ConfigError
from spamfilter.console.aside import aside
from spamfilter.console.charts import Line, lines, percent
from spamfilter.console.operating_table import Row, config_lines, expected, nearest, rows
from spamfilter.console.page import needs, page, problem, services
from spamfilter.console.security.roles import Role
from spamfilter.console.services import Services
from spamfilter.operating_point import bundle_path, resolve_policy
from spamfilter.store.statistics import Statistics
from spamfilter.verdict import Label, Thresholds

DAYS = 30


@needs(Role.ADMIN)
async def index(request: Request) -> Response:
    """The sliders over the bundle's table; `?spam=ROW&unsure=ROW`, or `spam_at=` and `unsure_at=` as numbers."""
    return await _answer(request, "thresholds.html")


@needs(Role.ADMIN)
async def answer(request: Request) -> Response:
    """The part of the page that follows the sliders."""
    return await _answer(request, "thresholds_answer.html")


async def _answer(request: Request, template: str) -> Response:
    try:
        found = await aside(_weighed, services(request), request.query_params)
    except (BundleError, ConfigError) as error:
        return problem(request, 409, str(error))
    except ValueError as error:
        return problem(request, 400, str(error))
    return page(request, template, **found)


def _weighed(services: Services, asked: QueryParams) -> dict[str, Any]:
    """Everything the page says of a choice. Raises BundleError, ConfigError, StoreError; ValueError for people."""
    bundle = open_bundle(bundle_path(services.config))
    table, now = rows(bundle), resolve_policy(services.config.policy, bundle).thresholds
    spam_at = chosen(table, asked.get("spam", ""), asked.get("spam_at", ""), now.spam_at)
    unsure_at = min(chosen(table, asked.get("unsure", ""), asked.get("unsure_at", ""), now.unsure_at), spam_at)
    wanted = Thresholds(unsure_at, spam_at)
    since = datetime.now(UTC) - timedelta(days=DAYS)
    with Statistics(services.database) as statistics:
        spread = statistics.probabilities(since, model_id=bundle.model_id)
    caught = [(row.ham_lost, row.caught) for row in table if row.caught is not None]
    return {
        "model_id": bundle.model_id,
        "table": table,
        "now": now,
        "wanted": wanted,
        "places": (nearest(table, spam_at), nearest(table, unsure_at)),
        "spam": expected(table, spam_at),
        "unsure": expected(table, unsure_at),
        "messages": spread.count,
        "would": [(name, spread.at(now)[name], spread.at(wanted)[name]) for name in Label],
        "days": DAYS,
        "lines": config_lines(table, wanted),
        "changed": not (math.isclose(now.spam_at, spam_at) and math.isclose(now.unsure_at, unsure_at)),
        "curve": lines("Spam caught for ham lost", [Line("spam caught", "accent", caught)], x="ham lost",
                       shown=percent, shown_x=percent) if caught else "",
    }  # fmt: skip


def chosen(table: Sequence[Row], place: str, number: str, now: float) -> float:
    """A threshold from a slider's place in the table, or a number, which wins; `now` where neither is given.

    Raises ValueError for people.
    """
    if number:
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"{number!r} is no probability; write a number from 0 to 1") from None
        if not 0 <= value <= 1:
            raise ValueError(f"{number} is no probability; write a number from 0 to 1")
        return value
    if place:
        if not place.isdecimal() or int(place) >= len(table):
            raise ValueError(f"{place!r} is no row of the table; it has {len(table)}")
        return table[int(place)].probability
    return now


routes = [Route("/thresholds", index), Route("/thresholds/answer", answer)]
