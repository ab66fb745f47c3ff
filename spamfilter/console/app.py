"""The console's application: every route in one list, the gate before them, and calm pages for what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import cast

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from spamfilter.config import ConfigError
from spamfilter.console import api
from spamfilter.console.page import STATIC, problem
from spamfilter.console.pages import (
    account,
    decisions,
    keys,
    marking,
    models,
    overview,
    quarantine,
    sign_in,
    thresholds,
    training,
    try_page,
)
from spamfilter.console.security.gate import Gate
from spamfilter.console.services import Services
from spamfilter.store.database import StoreError
from spamfilter.store.history import UnknownDecisionError

ROUTES: tuple[BaseRoute, ...] = (
    *overview.routes,
    *try_page.routes,
    *decisions.routes,
    *marking.routes,
    *quarantine.routes,
    *thresholds.routes,
    *models.routes,
    *training.routes,
    *account.routes,
    *sign_in.routes,
    *keys.routes,
    *api.routes,
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
)

log = structlog.get_logger(__name__)


def application(services: Services) -> ASGIApp:
    """The ASGI application, behind its gate. Raises LookupError for a route that does not say who may call it."""
    for route in every_route(ROUTES):
        if not hasattr(route.endpoint, "opened_to"):
            raise LookupError(f"{route.path}: decorate its endpoint with `needs` or `anybody`")
    app = Starlette(
        routes=ROUTES,
        exception_handlers={
            HTTPException: _refused,
            ConfigError: _unavailable,
            StoreError: _unavailable,
            UnknownDecisionError: _unknown,
            Exception: _failed,
        },
        max_body_size=services.most_body_bytes,
    )
    app.state.services = services
    return Gate(app, services, problem)


def every_route(routes: Sequence[BaseRoute]) -> Iterator[Route]:
    """All routes with an endpoint: static files have none, and are for everybody."""
    for route in routes:
        if isinstance(route, Route):
            yield route


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing under this address. It may have been removed meanwhile.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take such a request.",
    }
    detail = details.get(HTTPStatus(refusal.status_code), refusal.detail)
    return problem(request, refusal.status_code, detail, **dict(refusal.headers or {}))


async def _unknown(request: Request, error: Exception) -> Response:
    return problem(request, HTTPStatus.NOT_FOUND, str(error))


async def _unavailable(request: Request, error: Exception) -> Response:
    return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))


async def _failed(request: Request, error: Exception) -> Response:
    log.error("console.failed", path=request.url.path, error=type(error).__name__)
    detail = "That is a fault of this program. The log of the daemon says more. No mail is touched by it."
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
