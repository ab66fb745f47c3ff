"""A decision log on disk, and decisions to put into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from spamfilter.message import Envelope, Message, Peer
from spamfilter.policy import Policy, decide
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.labels import LabelStore
from spamfilter.verdict import Decision, Failure
from tests.fakes import THRESHOLDS, score
from tests.store.labelling import Open

Make = Callable[..., tuple[Message, Decision]]


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return store_url("", tmp_path)


@pytest.fixture
def store(url: URL) -> Iterator[DecisionStore]:
    store = DecisionStore(url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def make() -> Make:
    """A function that makes a message and its decision: of a probability, or a Failure; ids count up."""
    numbers = itertools.count()

    def made(
        outcome: float | Failure = 0.01,
        *,
        raw: bytes = b"Subject: hi\n\nhello",
        channel: str = "smtp",
        mail_from: str | None = "alice@example.org",
        rcpt_tos: tuple[str, ...] = ("bob@example.net",),
        id: str | None = None,
    ) -> tuple[Message, Decision]:
        envelope = Envelope(mail_from, rcpt_tos, Peer("192.0.2.1", 25, "mail.example.org"))
        message = Message(raw, channel, envelope, id=id or f"{next(numbers):016x}")
        found = outcome if isinstance(outcome, Failure) else score(outcome)
        return message, decide(message.id, found, Policy(THRESHOLDS))

    return made


@pytest.fixture
def opened(url: URL) -> Iterator[Open]:
    """A function that opens the labels with options; all are closed at the end."""
    made: list[LabelStore] = []

    def opened(at: URL = url, **options: object) -> LabelStore:
        store = LabelStore(at, **options)  # type: ignore[arg-type]
        store.open()
        made.append(store)
        return store

    yield opened
    for store in made:
        store.close()


@pytest.fixture
def labels(opened: Open) -> LabelStore:
    return opened()
