"""Facts of the header block: shapes of trace fields, identities, dates, subjects, lists and mailers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.facts import HEADER_FACTS, clean_subject, header_facts
from spamfilter.mime import parse_headers


def present(*lines: str, prefix: str) -> set[str]:
    """The present facts of one family, its prefix taken off."""
    found = header_facts(parse_headers("\n".join(lines).encode()))
    assert set(found) == set(HEADER_FACTS)
    return {name.removeprefix(prefix) for name, value in found.items() if value and name.startswith(prefix)}


PUBLIC = "Received: from {helo} ({client}) by mx.example.net with ESMTP; Mon, 2 Jun 2025 10:00:00 +0000"


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        pytest.param([], {"none"}, id="none"),
        pytest.param([PUBLIC.format(helo="a.example.org", client="a.example.org [192.0.2.1]")], {"one"}, id="honest"),
        pytest.param(
            [PUBLIC.format(helo="a.example.org", client="unknown [192.0.2.1]")],
            {"one", "unverified_client"},
            id="unverified",
        ),
        pytest.param(
            [PUBLIC.format(helo="bank.example", client="a.other.org [192.0.2.1]")],
            {"one", "helo_differs"},
            id="differs",
        ),
        pytest.param(
            [PUBLIC.format(helo="[192.0.2.1]", client="mail.other.org [192.0.2.1]")],
            {"one", "numeric_helo", "helo_differs", "dynamic_client"},
            id="numeric",
        ),
        pytest.param(
            [PUBLIC.format(helo="friend", client="adsl-1-2-3-4.isp.example [192.0.2.1]")],
            {"one", "helo_bare_name", "helo_differs", "dynamic_client"},
            id="dynamic",
        ),
        pytest.param(
            [
                "Received: from localhost (localhost [127.0.0.1]) by mx; x",
                "Received: by mx (Postfix, from userid 5); x",
            ],
            {"two", "local_origin"},
            id="local",
        ),
        pytest.param(["Received: from a by b with HTTP; x"], {"one", "by_webmail"}, id="webmail"),
        pytest.param(["Received: x"] * 7, {"many"}, id="many"),
        pytest.param(["Received:", "Received: from", "Received: from ("], set(), id="broken"),
    ],
)
def test_received(hops: list[str], expected: set[str]) -> None:
    assert present(*hops, prefix="received_") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<abc@mail.example.org>", {"host_is_senders"}),
        ("<abc@other.example.net>", set()),
        ("", {"missing"}),
        ("<abc>", {"malformed", "host_bare"}),
        ("abc@other.net", {"angle_missing"}),
        ("<a b@other.net>", {"malformed"}),
        ("<000$1@host>", {"host_bare", "has_dollar"}),
        ("<123456@192.0.2.1>", {"only_digits", "host_numeric"}),
        ("<ABCDEFGH@other.net>", {"upper"}),
        (f"<{'a' * 80}@other.net>", {"long"}),
    ],
)
def test_message_id(value: str, expected: set[str]) -> None:
    assert present("From: ann@example.org", f"Message-ID: {value}", prefix="message_id_") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 2 Jun 2025 10:00:00 +0000", set()),
        ("Mon, 2 Jun 2025 05:00:00 -0500 (CDT)", set()),
        ("Mon, 2 Jun 2025 10:00:00 GMT", set()),
        ("2 Jun 2025 10:00:00 +0000", {"weekday_missing"}),
        ("Mon, 2 Jun 2025 10:00:00", {"without_zone"}),
        ("Mon, 2 Jun 2025 07:00:00 +0000", {"off_by_an_hour"}),
        ("Sun, 1 Jan 2040 10:00:00 +0000", {"off_by_a_day", "in_future"}),
        ("Sun, 1 Jan 2023 10:00:00 +0000", {"off_by_a_day", "long_ago"}),
        ("Mon, 2 Jun 2025 10:00:00 +0017", {"zone_odd"}),
        ("yesterday", {"malformed", "without_zone"}),
        ("Mon, 32 Jun 2025 10:00:00 +0000", {"malformed"}),
        ("", {"missing"}),
    ],
)
def test_date(value: str, expected: set[str]) -> None:
    received = "Received: from a by b; Mon, 2 Jun 2025 10:00:30 +0000"
    assert present(received, f"Date: {value}", prefix="date_") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Ann Lee <ann@example.org>", set()),
        ("ann@example.org", {"without_name"}),
        ('"Ann Lee" <ann@gmail.com>', {"name_quoted", "freemail"}),
        ("ann <ann@example.org>", {"name_is_user"}),
        ("ANN LEE <ann@example.org>", {"name_upper"}),
        ("Ann <ann99@shop24.top>", {"user_has_digits", "domain_has_digits", "cheap_domain"}),
        ('"pay@bank.example" <x@evil.example>', {"name_quoted", "name_holds_address"}),
        ("Ann", {"malformed"}),
        ("=?utf-8?q?Ann_Lee?= <ann@example.org>", {"encoded"}),
        ("Ann <aaaaaaaaaaaaaaaaaaaaaaaaa@example.org>", {"user_long"}),
        ("PayPal Support <ann@example.org>", {"name_claims_brand", "name_claims_role"}),
        ("PayPal <service@paypal.com>", set()),
        ("Ann <xkqzt7a8b9@bcdfgh.example>", {"user_random", "domain_random"}),
    ],
)
def test_from(value: str, expected: set[str]) -> None:
    assert present(f"From: {value}", prefix="from_") == expected


def test_from_missing_is_not_malformed() -> None:
    assert present("To: a@b.example", prefix="from_") == {"missing"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["Reply-To: ann@example.org", "Return-Path: <ann@example.org>"],
            {"reply_to_present", "reply_to_same", "return_path_same"},
        ),
        (
            ["Reply-To: x@gmail.com"],
            {"reply_to_present", "reply_to_other_domain", "reply_to_freemail", "reply_to_another_freemail"},
        ),
        (["Return-Path: <list-return-7-ann=b.example@example.org>"], {"return_path_verp"}),
        (["Return-Path: <>"], {"return_path_null"}),
        (["Return-Path: <b@bounces.example.org>"], set()),
        (["Return-Path: <b@other.net>"], {"return_path_other_domain"}),
    ],
)
def test_other_senders(lines: list[str], expected: set[str]) -> None:
    assert present("From: ann@example.org", *lines, prefix="re") - {"ceived_none"} == {
        name.removeprefix("re") for name in expected
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["To: Bob <bob@example.net>"], {"named"}),
        (["To: bob@example.net"], {"without_name"}),
        (["To: ann@example.org"], {"without_name", "is_sender"}),
        (["To: undisclosed-recipients:;"], {"undisclosed"}),
        (["To: a@b.example, c@d.example"], {"several", "without_name"}),
        (["To: a@b.example", "Cc: " + ", ".join(["c@d.example"] * 9)], {"many", "without_name"}),
        ([], {"missing"}),
    ],
)
def test_to(lines: list[str], expected: set[str]) -> None:
    assert present("From: ann@example.org", *lines, prefix="to_") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Lunch on Friday", set()),
        ("Re: Lunch", {"reply", "reply_without_reference"}),
        ("AW: Mittag", {"reply", "reply_without_reference"}),
        ("Fwd: Lunch", {"forward"}),
        ("BUY NOW!!!", {"upper", "exclaims"}),
        ("Free $500 Now?", {"money", "asks"}),
        ("hello", {"starts_lower", "short_greeting"}),
        ("V i a g r a here", {"spaced"}),
        ("Invoice for ann@b.example", {"names_address"}),
        ("[list] Hello", {"tag"}),
        ("Lunch          xk3j", {"trailing_id"}),
        ("Lunch for all 9ab7c", {"trailing_id"}),
        ("=?utf-8?q?Lunch?=", {"encoded"}),
        ("", {"empty"}),
        ("[SPAM] Lunch", set()),
    ],
)
def test_subject(value: str, expected: set[str]) -> None:
    assert present("To: bob@b.example", f"Subject: {value}", prefix="subject_") == expected


def test_a_reply_with_a_reference() -> None:
    assert present("Subject: Re: x", "In-Reply-To: <a@b>", prefix="subject_reply") == {"", "_with_reference"}


@pytest.mark.parametrize(
    ("lines", "fact", "value"),
    [
        (["X-Mailer: Microsoft Outlook 16.0"], "mailer_outlook_forged", True),
        (["X-Mailer: Microsoft Outlook 16.0", "Thread-Index: x"], "mailer_outlook_forged", False),
        (["List-Unsubscribe: <mailto:x@y.example>"], "list_unsubscribe_only", True),
        (["List-Unsubscribe: <mailto:x@y.example>", "List-Id: <l>"], "list_unsubscribe_only", False),
        (["Precedence: bulk"], "list_precedence", True),
        (["X-Priority: 1 (Highest)"], "priority_high", True),
        (["X-Priority: 3"], "priority_high", False),
        (["MIME-Version: 1.0 (x)"], "mime_version_odd_spelling", True),
        (["Content-Type: text/plain"], "mime_version_missing", True),
        (["From: a@b.example", "Received: x"], "header_order_from_before_received", True),
        (["Received: x", "From: a@b.example"], "header_order_from_before_received", False),
        (["X-Bcdfgh: 1"], "x_headers_random", True),
        ([f"X-H{n}: 1" for n in range(13)], "x_headers_many", True),
        ([f"X-H{n}: 1" for n in range(12)], "x_headers_many", False),
    ],
)
def test_lists_and_mailers(lines: list[str], fact: str, value: bool) -> None:
    assert header_facts(parse_headers("\n".join(lines).encode()))[fact] is value


@pytest.mark.parametrize(
    ("subject", "clean"),
    [
        ("[SPAM] x", "x"),
        ("***SPAM*** x", "x"),
        ("x ***SPAM***", "x "),
        ("{Spam?} x", "x"),
        ("[SPAM:####] x", "x"),
        ("[list] spam recipes", "[list] spam recipes"),
        ("Spam and eggs", "Spam and eggs"),
        ("[spammers] x", "[spammers] x"),
    ],
)
def test_clean_subject(subject: str, clean: str) -> None:
    assert clean_subject(subject) == clean


@pytest.mark.timeout(90)
@pytest.mark.parametrize("unit", ["*", " ", "1a", "a", "[", "* ", "x 1", "(", "-", "1.", "dyn1"])
@pytest.mark.parametrize("field", ["From", "To", "Subject", "Received", "Message-ID", "Date", "X-Mailer"])
def test_long_runs(field: str, unit: str) -> None:
    run = unit * (8000 // len(unit))
    clean_subject(unit * (200_000 // len(unit)))
    present(f"{field}: from 1{run}!", prefix="")


@given(st.lists(st.tuples(st.sampled_from("From To Subject Date Received Message-ID Reply-To X-Mailer".split()),
                          st.text(max_size=50)), max_size=6))  # fmt: skip
def test_never_raises(fields: list[tuple[str, str]]) -> None:
    present(*(f"{name}: {value}" for name, value in fields), prefix="")


HONEST = [
    "Received: from mail.example.org (mail.example.org [192.0.2.1]) by mx.b.example with ESMTPSA; x",
    "From: Ann <ann@example.org>",
    "Message-ID: <1@mail.example.org>",
]


def test_an_honest_road_names_the_sender() -> None:
    found = header_facts(parse_headers("\n".join(HONEST).encode()))
    for name in (
        "received_client_is_senders", "received_names_sender", "received_authenticated", "received_encrypted",
        "message_id_host_in_received", "newsletter_consistent",
    ):  # fmt: skip
        assert found[name], name


@pytest.mark.parametrize(
    ("lines", "fact"),
    [
        (["Received: from x.other.net (x.other.net [192.0.2.1]) by b; x", "From: a@hotmail.com"],
         "from_freemail_not_received"),
        (["X-Mailer: Microsoft Outlook Express 6.00", "Message-ID: <7.1@x.example>"], "mailer_outlook_message_id_odd"),
        (["From: Example Helpdesk <a@evil.example>", "To: bob@b-example.org, c@d.example"], "from_name_claims_role"),
        (["From: Bigcorp IT <a@evil.example>", "To: bob@bigcorp.com"], "from_name_claims_recipient"),
        (["List-Id: <l.example.org>", "Precedence: list", "Return-Path: <l-bounces@example.org>"], "list_consistent"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_a_fact(lines: list[str], fact: str) -> None:
    assert header_facts(parse_headers("\n".join(lines).encode()))[fact]
    assert not header_facts(parse_headers("\n".join(HONEST).encode()))[fact]
