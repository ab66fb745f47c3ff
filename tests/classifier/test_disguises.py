"""Disguises: which word was written how, and honest writing left in peace."""

from __future__ import annotations

import pytest

from spamfilter.classifier.disguises import disguises
from spamfilter.classifier.explanation import SpanKind
from spamfilter.document import extract
from spamfilter.message import Kind, Message


def found(text: str, kind: Kind = Kind.TEXT) -> dict[str, tuple[str, SpanKind]]:
    message = Message(text.encode(), "test", kind=kind)
    read = disguises(message, extract(message.raw, kind).facts)
    return {word: (one.written, one.kind) for word, one in read.items()}


@pytest.mark.parametrize(
    ("text", "word", "written", "kind"),
    [
        ("buy V\u0456\u0430gr\u0430 now", "viagra", "V\u0456\u0430gr\u0430", SpanKind.LOOK_ALIKE),
        ("buy vi\u200bag\u200bra now", "viagra", "vi\u200bag\u200bra", SpanKind.HIDDEN),
        ("buy v\u200bi\u200ba\u200bg\u200br\u200ba now", "viagra", None, SpanKind.HIDDEN),
        ("buy v.i.a.g.r.a now", "viagra", "v.i.a.g.r.a", SpanKind.SPACED),
        ("buy \U0001d4e5\U0001d4f2\U0001d4ea\U0001d4f0\U0001d4fb\U0001d4ea now", "viagra", None, SpanKind.LOOK_ALIKE),
        ("get m0ney and v1agra fast", "money", "m0ney", SpanKind.LOOK_ALIKE),
    ],
)
def test_a_disguise_is_seen_through(text: str, word: str, written: str | None, kind: SpanKind) -> None:
    read = found(text)
    assert read[word][1] is kind
    assert written is None or read[word][0] == written
    assert "now" not in read and "buy" not in read


def test_words_that_only_their_neighbours_give_away() -> None:
    text = "Please \u0440\u0430\u0443 and \u0440\u0430\u0443 your \u0441\u043e\u0441\u043e account balance today"
    assert found(text)["pay"] == ("\u0440\u0430\u0443", SpanKind.LOOK_ALIKE)


def test_honest_accents_beside_a_disguise_are_left_alone() -> None:
    assert set(found("un pr\u00eat pour votre caf\u00e9 \u201cV\u0456\u0430gr\u0430\u201d, na\u00efve \ufb01n")) == {
        "viagra"
    }


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "pr\u00eat \u00e0 partir",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
        "发票",
    ],
)
def test_nothing_is_looked_for_where_nothing_was_undone(text: str) -> None:
    assert found(text) == {}


def test_mail_is_read_part_by_part_and_with_its_subject() -> None:
    mail = (
        "From: a@b.example\nSubject: =?utf-8?q?V=D1=96=D0=B0gr=D0=B0?=\nContent-Type: text/html; charset=utf-8\n\n"
        "<p>cheap c\u200bi\u200balis</p><p style='display:none'>m0ney v1agra</p>\n"
    )
    read = found(mail, Kind.MAIL)
    assert read["viagra"] == ("V\u0456\u0430gr\u0430", SpanKind.LOOK_ALIKE)
    assert read["cialis"][1] is SpanKind.HIDDEN
    assert "money" not in read
