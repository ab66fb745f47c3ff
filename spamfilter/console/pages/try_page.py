"""The page on which one tries it: paste or drop a message, and see what the filter makes of it, and why.

A form sends everything at once. The page's script sends the bare message instead, as it is being typed, and gets parts
of the same page back: the verdict at once, the reasons when the typing rests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spamfilter.classifier.explanation import Explanation
from spamfilter.console.meter import meter
from spamfilter.console.page import form, needs, page, services
from spamfilter.console.pages.examples import EXAMPLES
from spamfilter.console.security.roles import Role
from spamfilter.console.try_view import pieces, undone, weighed
from spamfilter.console.verdicts import CHANNEL, tried
from spamfilter.headers import fields
from spamfilter.message import Kind, Message, kind_of
from spamfilter.policy import judge
from spamfilter.verdict import Action, Decision, Failure, Verdict

KINDS: Mapping[str, str] = {"auto": "Detect", "mail": "Mail", "text": "Text, SMS"}
MEANINGS: Mapping[Action, str] = {
    Action.ACCEPT: "delivered as it came",
    Action.TAG: "delivered with headers that say so",
    Action.QUARANTINE: "kept here, not delivered",
    Action.REJECT: "refused for good",
    Action.TEMPFAIL: "to be sent again later",
}
MOST_FACTS = 8
"""So many facts are shown at once, the strongest; the rest can be unfolded."""
_MOST_REPEATED = 200_000
"""Characters of a text that the page of a form's answer holds again."""


@needs(Role.VIEWER)
async def show(request: Request) -> Response:
    """GET /try, perhaps with an example"""
    example = EXAMPLES.get(request.query_params.get("example", ""))
    if example is None:
        return _page(request)
    message = _message(example.text.encode(), "auto")
    return await _answered(request, message, text=example.text)


@needs(Role.VIEWER)
async def submit(request: Request) -> Response:
    """POST /try: a form with the text or a file, for browsers without scripts."""
    given = await form(request)
    upload = (await request.form()).get("file")
    kind = given.get("kind", "auto")
    if isinstance(upload, UploadFile) and upload.filename:
        return await _answered(request, _message(await upload.read(), kind), kind=kind)
    text = given.get("text", "")
    if not text.strip():
        return _page(request, kind=kind, notice="Paste a message, or choose a file.")
    return await _answered(request, _message(text.encode("utf-8", "replace"), kind), kind=kind, text=text)


@needs(Role.VIEWER)
async def verdict(request: Request) -> Response:
    """POST /try/verdict: the bare message; the part of the page that holds the verdict."""
    message = await _bare(request)
    decision = await tried(services(request), message)
    return page(request, "try_verdict.html", **_verdict_shown(request, message, decision))


@needs(Role.VIEWER)
async def reasons(request: Request) -> Response:
    """POST /try/reasons: the bare message; the part of the page that says why."""
    explained = await services(request).engine.explain(await _bare(request))
    return page(request, "try_reasons.html", **reasons_shown(request, explained))


async def _answered(request: Request, message: Message, *, kind: str = "auto", text: str = "") -> Response:
    behind = services(request)
    decision = await tried(behind, message)
    unscanned = decision.outcome if isinstance(decision.outcome, Failure) else None
    explained = unscanned or await behind.engine.explain(message)
    shown = {**_verdict_shown(request, message, decision), **reasons_shown(request, explained)}
    return _page(request, kind=kind, text=text[:_MOST_REPEATED], answer=shown)


def _page(
    request: Request, *, kind: str = "auto", text: str = "", notice: str = "", answer: Mapping[str, Any] | None = None
) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if notice else HTTPStatus.OK
    limit = services(request).most_bytes
    around = {"kind": kind if kind in KINDS else "auto", "text": text, "notice": notice, "answered": answer is not None}
    return page(
        request, "try.html", status=status, kinds=KINDS, examples=EXAMPLES, limit=limit, **around, **(answer or {})
    )


def _verdict_shown(request: Request, message: Message, decision: Decision) -> dict[str, Any]:
    outcome = decision.outcome
    verdict = outcome if isinstance(outcome, Verdict) else None
    return {
        "message": message,
        "decision": decision,
        "meaning": MEANINGS[decision.action],
        "verdict": verdict,
        "failure": None if verdict is not None else outcome,
        "meter": None if verdict is None else meter(verdict.score.probability, verdict.thresholds),
        "headers": fields(decision, services(request).config.markup),
    }


def reasons_shown(request: Request, explained: Explanation | Failure) -> dict[str, Any]:
    """What the template of reasons wants of an explanation, or of why there is none."""
    if isinstance(explained, Failure):
        return {"explained": None, "unexplained": explained}
    thresholds = services(request).scanner.policy_of(explained.score.model_id).thresholds
    without = [
        (one, judge(replace(explained.score, probability=one.probability), thresholds).label)
        for one in explained.counterfactuals
    ]
    return {
        "explained": explained,
        "unexplained": None,
        "head": pieces(explained, "head"),
        "tail": pieces(explained, "tail"),
        "reasons": weighed(explained),
        "undone": undone(explained),
        "without": without,
        "facts": [fact for fact in explained.facts if fact.present],
        "most_facts": MOST_FACTS,
    }


async def _bare(request: Request) -> Message:
    return _message(await request.body(), request.query_params.get("kind", "auto"))


def _message(raw: bytes, kind: str) -> Message:
    return Message(raw, CHANNEL, kind=Kind(kind) if kind in [*Kind] else kind_of(raw))


routes = [
    Route("/try", show),
    Route("/try", submit, methods=["POST"]),
    Route("/try/verdict", verdict, methods=["POST"]),
    Route("/try/reasons", reasons, methods=["POST"]),
]
