"""Verdicts for programs: what goes in, what comes out as described, who may ask, and what is logged."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from spamfilter.console.api import MOST_JSON_BYTES
from spamfilter.console.openapi import DOCUMENT
from spamfilter.message import Kind
from spamfilter.store.history import Filter
from spamfilter.verdict import Failure, FailureKind, Label, Recall, Score
from tests.console.conftest import Serve
from tests.console.fakes import ExplainingEngine
from tests.console.schemas import faults
from tests.console.serving import Served, Settings

MAIL = b"Subject: VIAGRA\r\nFrom: a@example.org\r\n\r\nBuy VIAGRA now\r\n"
JSON = {"Content-Type": "application/json"}


def described(name: str, answer: httpx.Response) -> dict[str, Any]:
    """The answer, which is as the document says."""
    plain: dict[str, Any] = answer.json()
    schemas = DOCUMENT["components"]["schemas"]
    assert [*faults(plain, schemas[name], schemas)] == []
    return plain


async def test_a_mail_gets_its_verdict(served: Served) -> None:
    client = await served.client()
    answer = await client.post("/v1/scan", content=MAIL, headers={"Content-Type": "message/rfc822"})
    plain = described("Verdict", answer)
    assert (answer.status_code, plain["label"], plain["action"], plain["kind"]) == (200, "spam", "tag", "mail")
    assert plain["probability"] == 0.99 and plain["thresholds"] == {"unsure_at": 0.5, "spam_at": 0.9}
    assert plain["headers"][0] == {"name": "X-Spam-Flag", "value": "YES"}
    assert "explanation" not in plain
    assert served.engine.seen[0].raw == MAIL  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"message": "Subject: hi\n\nhello"}, Kind.MAIL),
        ({"message": "hello"}, Kind.TEXT),
        ({"message": "hello", "kind": "mail"}, Kind.MAIL),
        ({"message": "Subject: hi\n\nhello", "kind": "text"}, Kind.TEXT),
        ({"message": "\ud800 您好", "kind": "auto", "mail_from": "", "rcpt_tos": ["b@example.org"]}, Kind.TEXT),
        ({"message": ""}, Kind.TEXT),
    ],
)
async def test_json_holds_a_message(served: Served, given: dict[str, Any], kind: Kind) -> None:
    answer = await (await served.client()).post("/v1/scan", content=json.dumps(given), headers=JSON)
    assert described("Verdict", answer)["label"] == "ham"
    seen = served.engine.seen[0]  # type: ignore[attr-defined]
    assert seen.kind is kind
    assert (seen.envelope.mail_from, list(seen.envelope.rcpt_tos)) == (
        given.get("mail_from"),
        given.get("rcpt_tos", []),
    )


@pytest.mark.parametrize(
    ("media_type", "query", "body", "kind"),
    [
        ("text/plain; charset=utf-8", "", b"hello", Kind.TEXT),
        ("text/plain", "?kind=mail", b"hello", Kind.MAIL),
        ("application/octet-stream", "", MAIL, Kind.MAIL),
        ("message/rfc822", "", b"no header", Kind.MAIL),
        ("message/rfc822", "?kind=text", MAIL, Kind.TEXT),
        ("text/plain", "", b"\xff\x00\xfe", Kind.TEXT),
    ],
)
async def test_raw_bytes_are_read_as_they_say_or_look(
    served: Served, media_type: str, query: str, body: bytes, kind: Kind
) -> None:
    client = await served.client()
    answer = await client.post(f"/v1/scan{query}", content=body, headers={"Content-Type": media_type})
    assert described("Verdict", answer)["kind"] == kind
    assert served.engine.seen[0].raw == body  # type: ignore[attr-defined]


async def test_why_is_told_where_it_is_asked(served: Served) -> None:
    client = await served.client()
    answer = await client.post("/v1/scan?explain=1", content=MAIL, headers={"Content-Type": "message/rfc822"})
    plain = described("Verdict", answer)["explanation"]
    assert plain["reasons"][0]["moved"] > 0 and "viagra" in plain["reasons"][0]["sentence"]
    moved = sum(span["gpt"] + span["ngram"] for span in plain["spans"]) + sum(f["moved"] for f in plain["facts"])
    assert plain["base"] + moved + plain["memory"] == pytest.approx(plain["logit"])


async def test_a_scan_is_logged_as_reported_unless_told_otherwise(served: Served) -> None:
    client = await served.client()
    headers = {"Content-Type": "message/rfc822"}
    first = (await client.post("/v1/scan", content=MAIL, headers=headers)).json()
    silent = (await client.post("/v1/scan?log=0", content=MAIL, headers=headers)).json()
    explained = (await client.post("/v1/explain", content=MAIL, headers=headers)).json()
    asked = (await client.post("/v1/explain?log=1", content=MAIL, headers=headers)).json()
    assert [one["logged"] for one in (first, silent, explained, asked)] == [True, False, False, True]
    served.store.close()
    rows = await served.services.read(lambda history: history.page(Filter(channel="http")))
    assert {row.id for row in rows} == {first["id"], asked["id"]}
    assert {(row.disposition, row.label, row.peer) for row in rows} == {("reported", "spam", "unknown[127.0.0.1]")}


@pytest.mark.parametrize(
    ("path", "media_type", "body", "status", "told"),
    [
        ("/v1/scan", "application/json", b"no json", 422, "no JSON"),
        ("/v1/scan", "application/json", b"[" * 100_000, 422, "no JSON"),
        ("/v1/scan", "application/json", b"[]", 422, '{"message"'),
        ("/v1/scan", "application/json", b'{"message": 7}', 422, '{"message"'),
        ("/v1/scan", "application/json", b'{"message": "", "text": ""}', 422, "Unknown: text"),
        ("/v1/scan", "application/json", b'{"message": "", "kind": "fax"}', 422, "mail, text or auto"),
        ("/v1/scan", "application/json", b'{"message": "", "kind": []}', 422, "mail, text or auto"),
        ("/v1/scan", "application/json", b'{"message": "", "mail_from": 7}', 422, "mail_from"),
        ("/v1/scan", "application/json", b'{"message": "", "rcpt_tos": "x"}', 422, "rcpt_tos"),
        ("/v1/scan?explain=yes", "text/plain", b"x", 422, "0 or 1"),
        ("/v1/scan?kind=fax", "text/plain", b"x", 422, "mail, text or auto"),
        ("/v1/scan", "application/json", b" " * (MOST_JSON_BYTES + 1), 413, "message/rfc822"),
        ("/v1/scan", "image/png", b"x", 415, "application/json"),
        ("/v1/none", "text/plain", b"x", 404, "nothing"),
        ("/v1/health", "text/plain", b"x", 405, "does not take"),
    ],
)
async def test_what_is_no_message_is_refused_and_says_why(
    served: Served, path: str, media_type: str, body: bytes, status: int, told: str
) -> None:
    answer = await (await served.client()).post(path, content=body, headers={"Content-Type": media_type})
    assert answer.headers["content-type"] == "application/problem+json"
    plain = described("Problem", answer)
    assert (answer.status_code, plain["status"]) == (status, status)
    assert told in plain["detail"]


async def test_a_body_beyond_the_limit_is_refused(serve: Serve) -> None:
    served = await serve(engine__max_message_mib=1)
    client = await served.client()
    answer = await client.post("/v1/scan", content=b"x" * 1_500_000, headers={"Content-Type": "text/plain"})
    assert described("Problem", answer)["status"] == answer.status_code == 413
    assert "engine.max_message_mib" in answer.json()["detail"]
    assert "content-security-policy" in answer.headers


async def test_a_message_beyond_the_limit_is_a_failure_with_an_action(serve: Serve) -> None:
    served = await serve(engine__max_message_mib=1)
    client = await served.client()
    for query in ("", "?log=0"):
        answer = await client.post(
            f"/v1/scan{query}", content=b"x" * (1024 * 1024 + 1), headers={"Content-Type": "text/plain"}
        )
        plain = described("Verdict", answer)
        assert (answer.status_code, plain["label"], plain["failure"]["kind"]) == (200, None, "too_large")
        assert plain["action"] == "accept"


@pytest.mark.parametrize("kind", list(FailureKind))
async def test_what_cannot_be_scanned_says_what_to_do(serve: Serve, kind: FailureKind) -> None:
    served = await serve(engine=ExplainingEngine(Failure(kind, "as told")))
    client = await served.client()
    answer = await client.post("/v1/scan?explain=1", content=b"x", headers={"Content-Type": "text/plain"})
    plain = described("Verdict", answer)
    assert plain["probability"] is None and plain["failure"] == {"kind": kind, "detail": "as told"}
    assert plain["explanation"] == {"failure": {"kind": kind, "detail": "as told"}}
    health = await client.get("/v1/health")
    assert health.status_code == 503 and described("Health", health)["failure"] == kind


async def test_a_recalled_message_is_described(serve: Serve) -> None:
    recalled = Recall("c" * 64, Label.SPAM, 1.7e9, 0.97)
    served = await serve(engine=ExplainingEngine(Score(0.99, {"memory": 1.0}, "m", recalled=recalled)))
    answer = await (await served.client()).post("/v1/scan", content=b"x", headers={"Content-Type": "text/plain"})
    assert described("Verdict", answer)["recalled"]["similarity"] == 0.97


async def test_health_asks_the_engine(served: Served) -> None:
    answer = await (await served.client()).get("/v1/health")
    assert described("Health", answer) == {"status": "ok", "version": answer.json()["version"], "model": "fake-1"}


class TestWhoMayAsk:
    """On loopback every program of this machine may; elsewhere, and behind a proxy, a token is asked for."""

    async def test_a_token_opens_the_interface_and_nothing_else(self, serve: Serve) -> None:
        served = await serve(Settings(hosts=["filter.example"]))
        secret = served.services.security.tokens.add("gateway", "2026-01-01")
        client = await served.client()
        client.headers["Authorization"] = f"Bearer {secret}"
        answer = await client.post("/v1/scan", content=b"x", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 200
        assert (await client.get("/try")).status_code == 303

    @pytest.mark.parametrize("shown", [None, "Bearer wrong", "Bearer", "Basic YTpi", "Bearer spamfilter_"])
    async def test_behind_further_names_nobody_comes_in_without(self, serve: Serve, shown: str | None) -> None:
        served = await serve(Settings(hosts=["filter.example"]))
        headers = {"Content-Type": "text/plain"} | ({} if shown is None else {"Authorization": shown})
        answer = await (await served.client()).post("/v1/scan", content=b"x", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert served.engine.seen == []  # type: ignore[attr-defined]

    @pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"])
    async def test_what_passed_a_proxy_is_not_of_this_machine(self, served: Served, field: str) -> None:
        headers = {"Content-Type": "text/plain", field: "for=192.0.2.1"}
        answer = await (await served.client()).post("/v1/scan", content=b"x", headers=headers)
        assert answer.status_code == 401

    async def test_a_wrong_token_is_refused_on_loopback_too(self, served: Served) -> None:
        headers = {"Content-Type": "text/plain", "Authorization": "Bearer wrong"}
        assert (await (await served.client()).post("/v1/scan", content=b"x", headers=headers)).status_code == 401

    async def test_a_session_works_and_needs_its_secret(self, serve: Serve) -> None:
        served = await serve(Settings(hosts=["filter.example"]))
        client = await served.client("viewer")
        headers = {"Content-Type": "text/plain"}
        assert (await client.post("/v1/scan", content=b"x", headers=headers)).status_code == 403
        headers["X-CSRF-Token"] = client.csrf
        assert (await client.post("/v1/scan", content=b"x", headers=headers)).status_code == 200
