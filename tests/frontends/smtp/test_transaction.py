"""What a transaction says when DATA comes."""

from __future__ import annotations

from spamfilter.frontends.smtp.parameters import parse_path
from spamfilter.frontends.smtp.reply import Reply
from spamfilter.frontends.smtp.transaction import Transaction
from spamfilter.message import Envelope, Peer

ORIGIN = Peer("192.0.2.1", 25, "client.test")


def test_the_envelope_has_the_accepted_recipients_without_source_routes() -> None:
    transaction = Transaction(parse_path("FROM:<>", "FROM"), None, "ESMTP", ORIGIN)
    transaction.recipients.append(parse_path("TO:<@x:b@c.d> NOTIFY=NEVER", "TO"))
    assert transaction.envelope == Envelope("", ("b@c.d",), ORIGIN)
    assert transaction.refuse_data() is None


def test_without_recipients_data_is_refused_for_good_only_when_all_were() -> None:
    transaction = Transaction(parse_path("FROM:<a@b.c>", "FROM"), None, "ESMTP", ORIGIN)
    assert (transaction.refuse_data() or Reply.of(250, "")).code == 554
    transaction.deferred = True
    assert (transaction.refuse_data() or Reply.of(250, "")).code == 451
    transaction.broken = Reply.of(421, "gone")
    assert transaction.refuse_data() is transaction.broken
