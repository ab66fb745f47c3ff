"""Whose policy reads a score: that of the model that gave it, while one model takes over from another; and reports."""

from __future__ import annotations

import asyncio

import pytest

from spamfilter.classifier.explanation import Explanation
from spamfilter.headers import Report, Reported
from spamfilter.message import Message
from spamfilter.policy import Policy
from spamfilter.scanner import _POLICIES_KEPT, Scanner
from spamfilter.verdict import Action, Disposition, Failure, FailureKind, Label, Score, Thresholds
from tests.classifier.made_explanation import made
from tests.fakes import THRESHOLDS, FakeEngine, FakeLog, fake_scanner, score

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


class FakeExplainer:
    """Answers with `answer`, raises it, or never answers."""

    def __init__(self, answer: Explanation | Failure | Exception | None) -> None:
        self.answer = answer
        self.seconds: list[float] = []

    async def explain(self, message: Message, seconds: float) -> Explanation | Failure:
        self.seconds.append(seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer


def reporting(
    explainer: FakeExplainer,
    probability: float,
    report: Report,
    action: Action = Action.TAG,
    log: FakeLog | None = None,
) -> Scanner:
    return Scanner(
        FakeEngine(score(probability)),
        Policy(THRESHOLDS, dict.fromkeys(Label, action)),
        log or FakeLog(),
        max_message_bytes=1000,
        explainer=explainer,
        report=report,
        report_s=0.01,
    )


@pytest.mark.parametrize(
    ("probability", "report", "action", "reported"),
    [
        (0.99, Report.SPAM, Action.TAG, True),
        (0.6, Report.SPAM, Action.TAG, True),
        (0.1, Report.SPAM, Action.TAG, False),
        (0.1, Report.ALL, Action.TAG, True),
        (0.99, Report.NEVER, Action.TAG, False),
        (0.99, Report.ALL, Action.ACCEPT, False),
    ],
)
async def test_who_gets_a_report(probability: float, report: Report, action: Action, reported: bool) -> None:
    explainer, log = FakeExplainer(made()), FakeLog()
    scanner = reporting(explainer, probability, report, action, log)
    decision = await scanner.scan(MAIL)
    assert isinstance(decision, Reported) is reported
    assert explainer.seconds == ([0.01] if reported else [])
    assert decision.probability == probability and decision.action is action
    assert not isinstance(decision, Reported) or decision.lines == made().report()
    [(_, logged)] = log.recorded
    assert logged.message_id == decision.message_id
    scanner.settle(decision, Disposition.DELIVERED)
    assert log.settled[0][0].message_id == decision.message_id


@pytest.mark.parametrize("answer", [None, Failure(FailureKind.OVERLOAD), RuntimeError("as told")], ids=repr)
async def test_without_an_explanation_mail_goes_on_without_a_report(answer: Failure | Exception | None) -> None:
    explainer = FakeExplainer(answer)
    decision = await reporting(explainer, 0.99, Report.ALL).scan(MAIL)
    assert explainer.seconds == [0.01]
    assert decision.label is Label.SPAM and not isinstance(decision, Reported)


async def test_what_was_not_scanned_gets_no_report() -> None:
    explainer = FakeExplainer(made())
    decision = await reporting(explainer, 0.99, Report.ALL).scan(Message(b"x" * 1001, "cli"))
    assert isinstance(decision.outcome, Failure) and explainer.seconds == []
