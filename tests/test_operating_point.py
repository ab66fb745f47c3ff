"""Budgets, numbers and the bundle's table become one policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter import operating_point
from spamfilter.classifier.bundle import Bundle
from spamfilter.config import Config, ConfigError, load
from spamfilter.operating_point import bundle_path, resolve_policy, serving_options
from spamfilter.verdict import Action, FailureKind, Label, Thresholds

_TABLE = ((0.001, 0.9), (0.002, 0.8), (0.1, 0.4))
BUNDLE = Bundle(
    Path(),
    {
        "model_id": "table-1",
        "thresholds": [{"false_positive_rate": rate, "probability": probability} for rate, probability in _TABLE],
    },
)


def _resolved(**overrides: object) -> Thresholds:
    policy = load(environ={}, **{f"policy__{key}": value for key, value in overrides.items()}).policy  # type: ignore[arg-type]
    return resolve_policy(policy, BUNDLE).thresholds


def test_the_budgets_go_to_the_bundles_table() -> None:
    assert _resolved() == Thresholds(0.4, 0.8)
    assert _resolved(max_false_positive_rate=0.001, max_unsure_rate=0.002) == Thresholds(0.8, 0.9)


@pytest.mark.parametrize(
    ("overrides", "thresholds"),
    [
        ({"spam_at": 0.95}, Thresholds(0.4, 0.95)),
        ({"unsure_at": 0.1}, Thresholds(0.1, 0.8)),
        ({"spam_at": 0.3}, Thresholds(0.3, 0.3)),
        ({"spam_at": 0.95, "unsure_at": 0.9}, Thresholds(0.9, 0.95)),
        ({"spam_at": 0.0}, Thresholds(0.0, 0.0)),
    ],
)
def test_numbers_override_the_table(overrides: dict[str, object], thresholds: Thresholds) -> None:
    assert _resolved(**overrides) == thresholds


def test_an_unsure_threshold_above_the_tables_spam_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"policy.unsure_at \(0.9\) lies above the spam threshold of table-1 \(0.8000\)"
    ):
        _resolved(unsure_at=0.9)


def test_actions_and_failures_are_carried_over() -> None:
    config = load(environ={}, policy__actions__spam="reject", policy__failures__timeout="tempfail")
    policy = resolve_policy(config.policy, BUNDLE)
    assert policy.actions[Label.SPAM] is Action.REJECT
    assert policy.failures[FailureKind.TIMEOUT] is Action.TEMPFAIL


def _configured(tmp_path: Path, bundle: str) -> Config:
    return load(environ={}, state_dir=str(tmp_path), model__bundle=bundle)


def test_where_a_bundle_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating_point, "default_bundle", lambda: Path("/shipped"))
    (tmp_path / "models" / "better").mkdir(parents=True)
    assert bundle_path(_configured(tmp_path, "default")) == Path("/shipped")
    assert bundle_path(_configured(tmp_path, "better")) == tmp_path / "models" / "better"
    assert bundle_path(_configured(tmp_path, "elsewhere/b")) == tmp_path / "elsewhere" / "b"
    assert bundle_path(_configured(tmp_path, "/opt/b")) == Path("/opt/b")


@pytest.mark.parametrize(("cascade", "on"), [("on", True), ("off", False)])
def test_the_verdict_turns_at_the_policys_thresholds_with_or_without_a_cascade(
    cascade: str, on: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPAMFILTER__ENGINE__CASCADE", cascade)
    config = load(engine__campaigns=5, engine__campaign_s=60, state_dir=str(tmp_path))
    options = serving_options(config, resolve_policy(config.policy, BUNDLE))
    assert options == {
        "turns_at": [0.4, 0.8],
        "cascade": on,
        "campaigns": 5,
        "campaign_s": 60,
        "memory": str(tmp_path / "memory.npz"),
    }
