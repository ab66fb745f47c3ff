"""What people say of decisions: marks them spam or ham, one or several at a time, and takes that back."""

from __future__ import annotations

from functools import partial

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spamfilter.console.aside import aside
from spamfilter.console.decision_query import Query
from spamfilter.console.notices import notice
from spamfilter.console.page import audited, form, needs, problem, see_other, services, user, wants_json
from spamfilter.console.security.roles import Role
from spamfilter.correction import Provenance
from spamfilter.learning import Learned
from spamfilter.store.at_hand import Places
from spamfilter.store.database import StoreError
from spamfilter.store.history import History, LoggedDecision
from spamfilter.verdict import Failure, Label

MOST_AT_ONCE = 200
NOT_KEPT = "This message is not kept here. Move it into Junk, or out of it, in its mailbox, or use `spamfilter learn`."
_CHANNEL = "console"
log = structlog.get_logger(__name__)


class NotMarkedError(Exception):
    """Why a message could not be marked; made to be shown as it is."""


@needs(Role.OPERATOR)
async def mark(request: Request) -> Response:
    """Say that a message is spam, or ham."""
    try:
        label = _label(await form(request))
        one = await _decision(request)
        learned = await _learn(request, one, label)
    except NotMarkedError as error:
        return problem(request, 409, str(error))
    await audited(request, "decision.mark", one.id, str(label))
    return _done(request, one.id, str(label) if learned.changed else "known", learned.after)


@needs(Role.OPERATOR)
async def mark_many(request: Request) -> Response:
    """The same for the decisions whose boxes are ticked; those that are not kept are left and counted."""
    ids = [str(value) for value in (await request.form()).getlist("id")][:MOST_AT_ONCE]
    posted = await form(request)
    done = left = 0
    try:
        query, label = Query.read(posted), _label(posted)
        for id_ in ids:
            one = await services(request).read(partial(_found, id_))
            try:
                await _learn(request, one, label)
            except NotMarkedError:
                left += 1
            else:
                done += 1
                await audited(request, "decision.mark", one.id, str(label))
    except (NotMarkedError, StoreError, ValueError) as error:
        return problem(request, 409, str(error))
    return see_other(query.address(did="partly" if left else "bulk", done=str(done), left=str(left)))


@needs(Role.OPERATOR)
async def undo(request: Request) -> Response:
    """Take back the last mark of a message; the one before it stands again."""
    one, take_back = await _decision(request), services(request).undo
    if take_back is None or one.content is None:
        return problem(request, 409, "There is nothing to take back: nothing can be taught here.")
    try:
        learned = await take_back(one.content, Provenance(user(request).name, _CHANNEL, _CHANNEL))
    except StoreError as error:
        return problem(request, 409, str(error))
    if learned.changed:
        await audited(request, "decision.undo", one.id)
    return _done(request, one.id, "undone" if learned.changed else "nothing", learned.after)


async def _decision(request: Request) -> LoggedDecision:
    """Raises StoreError."""
    return await services(request).read(partial(_found, request.path_params["id"]))


def _found(id_: str, history: History) -> LoggedDecision:
    return history.get(id_)


async def _learn(request: Request, one: LoggedDecision, label: Label) -> Learned:
    """Raises NotMarkedError."""
    behind = services(request)
    if behind.learn is None:
        raise NotMarkedError("Nothing can be taught here: no labels are kept.")
    found = await aside(lambda: Places.of(behind.config).find(one))
    if found is None:
        raise NotMarkedError(NOT_KEPT)
    try:
        learned = await behind.learn(found.message(one), label, Provenance(user(request).name, _CHANNEL, _CHANNEL))
    except StoreError as error:
        raise NotMarkedError(str(error)) from None
    if isinstance(learned, Failure):
        raise NotMarkedError(f"It was not marked: {learned.detail or learned.kind}")
    log.info("console.marked", id=one.id, label=str(label), who=user(request).name)
    return learned


def _label(given: dict[str, str]) -> Label:
    """Raises NotMarkedError."""
    if given.get("label") not in (Label.HAM, Label.SPAM):
        raise NotMarkedError("A mark is ham or spam.")
    return Label(given["label"])


def _done(request: Request, id_: str, did: str, stands: Label | None) -> Response:
    if wants_json(request):
        return JSONResponse({"said": notice({"did": did}), "label": stands})
    return see_other(f"/decisions/{id_}?did={did}")


routes = [
    Route("/decisions/mark", mark_many, methods=["POST"]),
    Route("/decisions/{id}/mark", mark, methods=["POST"]),
    Route("/decisions/{id}/undo", undo, methods=["POST"]),
]
