"""Marking in pieces gives what marking at once gives."""

from __future__ import annotations

import asyncio

import pytest

from spamfilter import headers
from spamfilter.frontends.folder.memory import ByteBudget
from spamfilter.frontends.folder.results import marked
from spamfilter.message import Kind, Message
from spamfilter.verdict import Action, Decision, Failure, FailureKind
from tests.frontends.folder_setup import MARKUP

DECISION = Decision("id", Failure(FailureKind.TOO_LARGE, "9 bytes, limit 8"), Action.ACCEPT)


@pytest.mark.parametrize("read", [9, 30, 64, 1000])
@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Kind.MAIL, b"A: b\r\nX-Spam: Yes\r\n folded\r\n\r\nbody\r\nX-Spam: kept\r\n" + b"z" * 200),
        (Kind.MAIL, b"From someone\nA: b\n\nbody" + b"z" * 200),
        (Kind.TEXT, b"only text\n\n" + b"z" * 200),
    ],
    ids=["mail", "mbox", "text"],
)
def test_pieces_make_up_the_whole(kind: Kind, raw: bytes, read: int) -> None:
    whole = headers.mark(Message(raw, "folder", kind=kind), DECISION, MARKUP)
    beginning = Message(raw[:read], "folder", kind=kind)
    pieces = b"".join(marked(beginning, DECISION, MARKUP, lambda offset: [raw[offset:]]))
    if read >= 30 or kind is Kind.TEXT:
        assert pieces == whole
    else:  # the head does not end within what was read: its full lines are stripped, nothing is lost
        assert pieces.endswith(raw[raw.index(b"\n") + 1 :]) and b"unscanned" in pieces


async def test_a_budget_lets_in_what_fits_and_a_giant_alone() -> None:
    budget = ByteBudget(10)
    order: list[str] = []

    async def small() -> None:
        async with budget.held(1):
            order.append("small")

    async with budget.held(100):
        waiting = asyncio.create_task(small())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("giant")
    await waiting
    async with budget.held(5), budget.held(5):
        order.append("two that fit")
    assert order == ["giant", "small", "two that fit"]
