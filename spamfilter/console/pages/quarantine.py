"""What people do to mail that was kept back: send it on after all, or delete it for good."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.console.aside import aside
from spamfilter.console.page import audited, needs, problem, see_other, services, user
from spamfilter.console.security.roles import Role
from spamfilter.release import Release, Released
from spamfilter.store.database import StoreError


@needs(Role.OPERATOR)
async def release(request: Request) -> Response:
    """Send a message from the quarantine on to its recipients."""
    release = Release(services(request).config)
    return await _act(request, "quarantine.release", lambda id_: release.release(id_, user(request).name))


@needs(Role.OPERATOR)
async def delete(request: Request) -> Response:
    """Remove a message from the quarantine for good."""
    release = Release(services(request).config)
    return await _act(request, "quarantine.delete", lambda id_: release.delete(id_, user(request).name))


async def _act(request: Request, what: str, act: Callable[[str], Released]) -> Response:
    id_ = request.path_params["id"]
    await audited(request, what, id_)
    try:
        done = await aside(act, id_)
    except StoreError as error:
        await audited(request, f"{what}.failed", id_, str(error))
        return problem(request, 409, str(error))
    return see_other(f"/decisions/{id_}?did={done.disposition}")


routes = [
    Route("/decisions/{id}/release", release, methods=["POST"]),
    Route("/decisions/{id}/delete", delete, methods=["POST"]),
]
