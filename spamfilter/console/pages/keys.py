"""The page that lists the keyboard's shortcuts, for whoever has no scripts, or looks for them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.console.page import needs, page
from spamfilter.console.security.roles import Role


@needs(Role.VIEWER)
async def show(request: Request) -> Response:
    """GET /keys"""
    return page(request, "keys.html")


routes = [Route("/keys", show)]
