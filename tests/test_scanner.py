"""Whose policy reads a score: that of the model that gave it, while one model takes over from another."""

from __future__ import annotations

from spamfilter.message import Message
from spamfilter.policy import Policy
from spamfilter.scanner import _POLICIES_KEPT
from spamfilter.verdict import Failure, FailureKind, Label, Score, Thresholds
from tests.fakes import FakeEngine, fake_scanner

MAIL = Message(b"Subject: hello\r\n\r\nhello\r\n", "cli")


def policy(spam_at: float) -> Policy:
    return Policy(Thresholds(unsure_at=spam_at / 2, spam_at=spam_at))


async def test_a_score_is_read_by_its_own_models_policy() -> None:
    engine = FakeEngine()
    scanner = fake_scanner(engine, policy=policy(0.99))

    async def label(model_id: str) -> Label | None:
        engine.answer = Score(0.6, {}, model_id)
        return (await scanner.scan(MAIL)).label

    scanner.serve(policy(0.9), "old")
    scanner.serve(policy(0.5), "new")
    assert [await label(model) for model in ("old", "new", "old", "never named")] == [
        Label.UNSURE,
        Label.SPAM,
        Label.UNSURE,
        Label.SPAM,
    ]
    scanner.serve(policy(0.9), "old")  # called off
    assert [await label(model) for model in ("old", "new", "never named")] == [Label.UNSURE, Label.SPAM, Label.UNSURE]


async def test_before_a_model_is_named_and_for_failures_the_policy_in_force_holds() -> None:
    engine = FakeEngine(Score(0.6, {}, "any"))
    scanner = fake_scanner(engine, policy=policy(0.5))
    assert (await scanner.scan(MAIL)).label is Label.SPAM
    scanner.serve(policy(0.9), "new")
    engine.answer = Failure(FailureKind.TIMEOUT)
    assert (await scanner.scan(MAIL)).action is policy(0.9).failures[FailureKind.TIMEOUT]


async def test_policies_do_not_pile_up() -> None:
    scanner = fake_scanner()
    for number in range(100):
        scanner.serve(policy(0.9), f"model-{number}")
    assert [*scanner._policies] == [f"model-{number}" for number in range(100 - _POLICIES_KEPT, 100)]
