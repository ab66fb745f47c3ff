"""Drift: what counts as change, what does not, and what is said of too little mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spamfilter.correction import Correction, Provenance
from spamfilter.drift import (
    BINS,
    EDGES,
    SNAPSHOT,
    Drift,
    DriftSettings,
    Scored,
    histogram,
    psi,
    reference_in,
    scored,
    snapshot_of,
    watched,
)
from spamfilter.message import Message
from spamfilter.policy import Policy, decide
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.samples import Trait
from spamfilter.traits import TRAITS, Mix, traits_of
from spamfilter.verdict import Failure, FailureKind, Label, Score
from tests.fakes import THRESHOLDS

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MODEL = "m-1"


def drawn(count: int, spam_share: float, seed: int, *, ham: float = 0.25, spam: float = 5.0) -> np.ndarray:
    """Probabilities: ham lies near 0, spam near 1; other numbers lie otherwise."""
    rng = np.random.default_rng(seed)
    is_spam = rng.random(count) < spam_share
    return np.where(is_spam, rng.beta(spam, 0.2, count), rng.beta(ham, 5.0, count))


def manifest(seed: int = 1) -> dict[str, Any]:
    ham, spam = drawn(3000, 0, seed), drawn(3000, 1, seed)
    labels = [0] * 3000 + [1] * 3000
    return {"model_id": MODEL, SNAPSHOT: snapshot_of([*ham, *spam], labels, 0.5, 0.9)}


def log(probabilities: np.ndarray, *, days: float = 1.0, model: str = MODEL) -> list[Scored]:
    """Messages with these scores, spread over the last days, oldest first."""
    step = timedelta(days=days) / max(len(probabilities), 1)
    start = NOW - timedelta(days=days)
    found = []
    for number, p in enumerate(probabilities.tolist()):
        label = Label.SPAM if p >= 0.9 else Label.UNSURE if p >= 0.5 else Label.HAM
        found.append(Scored(start + number * step, p, label, model))
    return found


def watch(messages: list[Scored], *said: Correction, kept: dict[str, Any] | None = None) -> Drift:
    return watched(messages, said, MODEL, manifest() if kept is None else kept, now=NOW)


def correction(hours_ago: float, label: Label | None = Label.SPAM) -> Correction:
    return Correction("c", label, Provenance("ann", "a test"), NOW - timedelta(hours=hours_ago))


def test_mail_as_in_training_is_no_drift() -> None:
    found = watch(log(drawn(4000, 0.5, 2), days=5))
    assert not found.due
    assert found.sentence == "No sign of drift: scores are distributed as in the training of m-1."
    assert found.window.psi is not None and found.window.psi < 0.02
    assert sum(day.messages for day in found.days) == found.window.messages == 4000
    assert len(found.days) == 6


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_another_share_of_spam_is_no_drift(share: float) -> None:
    found = watch(log(drawn(4000, share, 3)))
    assert not found.due, found.sentence
    assert found.window.spam_share == pytest.approx(share, abs=0.05)


def test_other_scores_are() -> None:
    found = watch(log(drawn(4000, 0.3, 4, ham=1.5)))
    assert found.due
    assert found.window.psi is not None and found.window.psi > 0.25
    assert found.sentence.startswith("A retraining is due: scores are distributed unlike the training of m-1 (PSI ")


def test_more_unsure_than_expected_is_a_reason() -> None:
    messages = [Scored(NOW, 0.01, Label.UNSURE if n % 4 == 0 else Label.HAM, MODEL) for n in range(400)]
    assert any("25.0 % of mail is unsure, where" in reason for reason in watch(messages).reasons)


def test_corrections_are_counted_on_a_thousand() -> None:
    messages = log(drawn(1000, 0.5, 5))
    few = watch(messages, *[correction(1)] * 4, correction(1, None), correction(24 * 30))
    assert (few.window.corrections_per_1000, few.due) == (4.0, False)
    many = watch(messages, *[correction(1)] * 6)
    assert "people corrected 6.0 on 1,000 messages" in many.sentence


def test_too_few_messages_say_nothing() -> None:
    found = watch(log(drawn(50, 0.5, 6, ham=1.5)), *[correction(1)] * 20)
    assert not found.due
    assert found.sentence == "Too few messages to say: 50 in 7 days, 200 are wanted."
    assert watch([]).metrics() == {"drift_messages": 0.0, "drift_unscanned": 0.0, "drift_retraining_due": 0.0}


def test_only_the_model_in_service_and_the_window_count() -> None:
    others = log(drawn(3000, 0.3, 7, ham=1.5), model="m-0")
    old = [Scored(NOW - timedelta(days=20), p, Label.HAM, MODEL) for p in drawn(3000, 0.3, 7, ham=1.5).tolist()]
    failed = [Scored(NOW, None, None, None)] * 7
    found = watch([*old, *others, *log(drawn(600, 0.5, 8)), *failed])
    assert (found.window.messages, found.window.unscanned, found.due) == (600, 7, False)
    assert found.days[0].messages == 3000


def test_without_a_snapshot_the_first_messages_stand_in() -> None:
    bare = {"model_id": MODEL}
    early = watch(log(drawn(900, 0.3, 9)), kept=bare)
    assert (early.reference, early.window.messages) == (None, 0)
    same = watch(log(drawn(3000, 0.3, 10)), kept=bare)
    assert not same.due and "the first 1,000 messages that m-1 judged here" in same.sentence
    turned = watch(log(np.r_[drawn(1000, 0.3, 11), drawn(2000, 0.3, 12, ham=1.5)]), kept=bare)
    assert turned.due and turned.window.messages == 2000


@pytest.mark.parametrize(
    "damage", [{"edges": [0.5]}, {"ham": [0] * BINS}, {"spam": "none"}, {"ham": [1]}, {"unsure": 0.1}]
)
def test_a_snapshot_of_another_kind_is_none(damage: dict[str, Any]) -> None:
    kept = manifest()
    assert reference_in(kept) is not None
    assert reference_in({**kept, SNAPSHOT: {**kept[SNAPSHOT], **damage}}) is None


def test_bins_and_the_index() -> None:
    assert histogram([0.0, 0.001, 0.5, 0.9999, 1.0]) == (1, 1, 0, 0, 0, 1, 0, 0, 0, 2)
    assert len(EDGES) + 1 == BINS
    alike = psi([50, 50] + [0] * 8, [0.5, 0.5] + [0.0] * 8, 1000)
    assert alike == pytest.approx(-9 * (1 / 100 + 1 / 1000))
    moved = psi([9000, 1000] + [0] * 8, [0.5, 0.5] + [0.0] * 8, 10_000)
    # (.9 - .5) ln(.9 / .5) + (.1 - .5) ln(.1 / .5), less 9 (1/10,000 + 1/10,000)
    assert moved == pytest.approx(0.4 * np.log(1.8) - 0.4 * np.log(0.2) - 0.0018, abs=1e-6)


def test_metrics_hold_what_is_known() -> None:
    found = watch(log(drawn(1000, 0.5, 13)), *[correction(1)] * 2).metrics()
    assert found["drift_messages"] == 1000 and found["drift_corrections_per_1000"] == 2
    assert {"drift_psi", "drift_spam_share", "drift_unsure_share"} <= set(found)


def test_the_log_is_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = store_url("", tmp_path)
    with pytest.raises(StoreError):
        [*scored(url, NOW)]
    store = DecisionStore(url)
    store.open()
    policy = Policy(THRESHOLDS)
    for number in range(25):
        failed = number % 5 == 0
        outcome = Failure(FailureKind.TIMEOUT) if failed else Score(number / 100, {}, MODEL)
        message = Message(b"x", "smtp")
        store.record(message, decide(message.id, outcome, policy))
    store.close()
    monkeypatch.setattr("spamfilter.drift._PAGE", 4)
    found = [*scored(url, datetime.now(UTC) - timedelta(hours=1))]
    assert sorted((one.probability is None, one.probability or 0) for one in found) == sorted(
        (number % 5 == 0, 0 if number % 5 == 0 else number / 100) for number in range(25)
    )
    assert [*scored(url, datetime.now(UTC) + timedelta(hours=1))] == []


def test_settings_move_what_is_a_reason() -> None:
    messages = log(drawn(4000, 0.3, 4, ham=1.5))
    lax = DriftSettings(psi=9, unsure=1)
    assert not watched(messages, [], MODEL, manifest(), now=NOW, settings=lax).due


def sampled(count: int, language: str, unknown: float, *, days_ago: float = 0.5, model: str = MODEL) -> list[Trait]:
    return [Trait(NOW - timedelta(days=days_ago), model, language, unknown)] * count


def with_traits() -> dict[str, Any]:
    return {**manifest(), TRAITS: traits_of([number / 1000 for number in range(200)], ["en"] * 190 + ["de"] * 10)}


def test_samples_stand_beside_the_training_day_by_day() -> None:
    traits = [
        *sampled(30, "de", 0.3, days_ago=20),
        *sampled(30, "en", 0.1, days_ago=2.4),
        *sampled(10, "de", 0.5, days_ago=2.4, model="m-0"),
        *sampled(20, "en", 0.2),
    ]
    found = watched(log(drawn(600, 0.5, 14)), [], MODEL, with_traits(), sampled=traits, now=NOW)
    by_day = {day.begin.isoformat(): day.mix for day in found.days}
    assert by_day["2026-03-18"].languages == {"en": 0.75, "de": 0.25}
    assert by_day["2026-03-18"].unknown == pytest.approx(0.1)  # of the other model's nothing is known
    assert by_day["2026-02-28"] == Mix(30, pytest.approx(0.3), {"de": 1.0})
    assert (found.window.mix.messages, found.window.mix.unknown) == (60, pytest.approx(0.14))
    assert found.traits is not None and (found.unlike, found.due) == ([], False)
    plain = found.as_json()
    assert plain["window"]["mix"]["languages"] == {"en": pytest.approx(5 / 6), "de": pytest.approx(1 / 6)}
    assert plain["traits"]["mix"]["languages"] == {"en": 0.95, "de": 0.05}
    assert found.metrics()["drift_languages_moved"] == pytest.approx(0.95 - 5 / 6)
    assert found.metrics()["drift_unknown_share"] == pytest.approx(0.14)


def test_mail_unlike_the_trainings_is_told_and_is_no_reason_to_retrain() -> None:
    traits = sampled(60, "de", 0.4)
    found = watched(log(drawn(600, 0.5, 15)), [], MODEL, with_traits(), sampled=traits, now=NOW)
    assert not found.due
    assert found.sentence == (
        "No sign of drift: scores are distributed as in the training of m-1. Mail is unlike that of the training: "
        "40 % of its words are hardly known to the model, more than in nine of ten of the training's messages (18 %); "
        "100 % is in language 'de', where the training had 5 %. "
        "What people correct will show whether the model copes with it."
    )
    bare = watched(log(drawn(600, 0.5, 15)), [], MODEL, manifest(), sampled=traits, now=NOW)
    assert (bare.traits, bare.unlike, bare.as_json()["traits"]) == (None, [], None)
    assert "drift_languages_moved" not in bare.metrics()


def test_chance_alone_does_not_move_the_languages_of_few_samples_to_the_bound() -> None:
    rng, settings = np.random.default_rng(3), DriftSettings()
    kept = {TRAITS: traits_of([0.1] * 100, ["en"] * 70 + ["de"] * 15 + ["fr"] * 10 + ["zh"] * 5), "model_id": MODEL}
    far = []
    for _ in range(300):
        drawn_languages = rng.choice(["en", "de", "fr", "zh"], settings.least_sampled, p=[0.7, 0.15, 0.1, 0.05])
        traits = [Trait(NOW, MODEL, str(language), 0.1) for language in drawn_languages]
        far.append(watched([], [], MODEL, kept, sampled=traits, now=NOW).metrics()["drift_languages_moved"])
    assert 0.1 < max(far) < settings.languages
