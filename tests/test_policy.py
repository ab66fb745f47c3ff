"""Policy: a table from labels and failures to actions, and nothing that nobody read is ever rejected."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.policy import Policy, decide, judge
from spamfilter.verdict import Action, Failure, FailureKind, Label, Score, Thresholds

THRESHOLDS = Thresholds(unsure_at=0.5, spam_at=0.9)


def score(probability: float) -> Score:
    return Score(probability, {}, "m")


@pytest.mark.parametrize(
    ("probability", "label"),
    [
        (0.0, Label.HAM), (0.49999, Label.HAM), (0.5, Label.UNSURE), (0.89999, Label.UNSURE),
        (0.9, Label.SPAM), (1.0, Label.SPAM),
    ],
)  # fmt: skip
def test_thresholds_count_from_their_own_value(probability: float, label: Label) -> None:
    verdict = judge(score(probability), THRESHOLDS)
    assert (verdict.label, verdict.thresholds, verdict.score.probability) == (label, THRESHOLDS, probability)


@pytest.mark.parametrize("at", [0.0, 0.3, 1.0])
def test_equal_thresholds_leave_no_unsure(at: float) -> None:
    labels = {judge(score(p / 10), Thresholds(at, at)).label for p in range(11)}
    assert Label.UNSURE not in labels and Label.SPAM in labels


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("action", Action)
def test_each_label_has_its_action(label: Label, action: Action) -> None:
    probability = {Label.HAM: 0.1, Label.UNSURE: 0.6, Label.SPAM: 0.95}[label]
    decision = decide("id", score(probability), Policy(THRESHOLDS, {label: action}))
    assert (decision.message_id, decision.label, decision.action) == ("id", label, action)
    assert decision.probability == probability


def test_defaults_tag_every_label() -> None:
    assert {decide("id", score(p), Policy(THRESHOLDS)).action for p in (0.0, 0.6, 1.0)} == {Action.TAG}


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (FailureKind.TIMEOUT, Action.ACCEPT), (FailureKind.OVERLOAD, Action.TEMPFAIL),
        (FailureKind.UNPARSABLE, Action.ACCEPT), (FailureKind.TOO_LARGE, Action.ACCEPT),
        (FailureKind.ENGINE_DOWN, Action.TEMPFAIL),
    ],
)  # fmt: skip
def test_failures(kind: FailureKind, action: Action) -> None:
    decision = decide("id", Failure(kind, "why"), Policy(THRESHOLDS))
    assert decision.action is action
    assert decision.label is None and decision.probability is None
    other = Action.TEMPFAIL if action is Action.ACCEPT else Action.ACCEPT
    assert decide("id", Failure(kind), Policy(THRESHOLDS, failures={kind: other})).action is other


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_without_a_rule_is_temporary(kind: FailureKind) -> None:
    assert decide("id", Failure(kind), Policy(THRESHOLDS, failures={})).action is Action.TEMPFAIL


@pytest.mark.parametrize("action", [Action.REJECT, Action.QUARANTINE, Action.TAG])
def test_what_nobody_read_is_not_judged(action: Action) -> None:
    with pytest.raises(ValueError, match=r"policy\.failures\.timeout: .* only accept or tempfail"):
        Policy(THRESHOLDS, failures={FailureKind.TIMEOUT: action})


def test_no_number_is_no_verdict() -> None:
    decision = decide("id", score(math.nan), Policy(THRESHOLDS))
    assert decision.label is None and decision.action is Action.TEMPFAIL


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_probable_is_never_milder(p: float, q: float, a: float, b: float) -> None:
    order = list(Label)
    thresholds = Thresholds(min(a, b), max(a, b))
    low, high = (order.index(judge(score(x), thresholds).label) for x in sorted((p, q)))
    assert low <= high
