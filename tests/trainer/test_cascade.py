"""The cascade's bands keep the verdict on messages that they were not fitted on, or are not made."""

from __future__ import annotations

import numpy as np
import pytest

from spamfilter.classifier.cascade import Band, logit
from trainer import cascade
from trainer.cascade import Contribution
from trainer.stacking import Calibration, Unseen, units_of

TABLE = [
    {"false_positive_rate": rate, "probability": probability, "recall": 0.9}
    for rate, probability in ((0.001, 0.99), (0.005, 0.95), (0.01, 0.9), (0.1, 0.6))
]


def _part(name: str, count: int, seed: int, gpt_noise: float) -> Unseen:
    """Mail whose GPT score follows the n-grams, with noise."""
    draw = np.random.default_rng(seed)
    spam = draw.integers(0, 2, count)
    ngram = (2 * spam - 1) + draw.normal(0, 0.6, count)
    scores = {
        "ngram": ngram,
        "facts": (2 * spam - 1) + draw.normal(0, 1.0, count),
        "gpt": 3 * ngram + draw.normal(0, gpt_noise, count),
    }
    mail = np.ones(count, bool)
    return Unseen(name, scores, spam, mail, np.full(count, name), units_of(scores, spam, mail))


def _fit(gpt_noise: float) -> dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]:
    parts = [_part("one", 3000, 1, gpt_noise), _part("other", 3000, 2, gpt_noise)]
    return cascade.fit(parts, Calibration.fit(parts), TABLE)


def test_bands_spare_most_and_turn_hardly_any() -> None:
    found = _fit(0.3)
    assert set(found["bands"]) == {"mail"}
    for row in found["measured"]["mail"]["origins"].values():
        assert row["messages"] == 3000
        assert row["turned"] <= cascade.MOST_TURNED
        assert row["asked"] < 0.4


def test_a_gpt_that_says_something_else_is_asked_more_often() -> None:
    near, far = (_fit(noise)["measured"]["mail"]["origins"]["one"]["asked"] for noise in (0.3, 6.0))
    assert near < far


def test_the_bound_holds_on_mail_that_nothing_was_fitted_on() -> None:
    parts = [_part("one", 4000, 1, 1.0), _part("other", 4000, 2, 1.0)]
    calibration = Calibration.fit(parts)
    found = cascade.fit(parts, calibration, TABLE)
    band = Band.from_json(found["bands"]["mail"])
    fresh = _part("fresh", 20_000, 3, 1.0)
    fresh = Unseen(fresh.name, fresh.scores, fresh.spam, fresh.mail, fresh.source, parts[0].units)
    [contribution] = cascade.contributions([fresh], calibration, "mail")
    turned = cascade.outcomes(contribution, band, (logit(0.6), logit(0.95)))[:, 1].mean()
    assert turned <= 2 * cascade.MOST_TURNED


def test_what_was_added_makes_the_whole() -> None:
    part = _part("one", 50, 1, 1.0)
    calibration = Calibration.fit([part])
    [found] = cascade.contributions([part], calibration, "mail")
    whole = 1 / (1 + np.exp(-(found.fast + found.added)))
    assert whole == pytest.approx(calibration.probability(part))
    assert cascade.contributions([part], calibration, "text") == []


def test_a_bound_that_cannot_be_kept_makes_no_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "MOST_TURNED", -1.0)
    assert _fit(0.3) == {"bands": {}, "measured": {}}


def test_a_verdict_that_turns_is_counted() -> None:
    band = Band((), (0.0,), (0.0,), (0.1,))
    messages = Contribution("one", np.array([0.0, 0.95, 2.0]), np.array([5.0, 0.0, 0.0]))
    # the first is spared and turns, the second is asked, the third is spared and stays
    assert cascade.outcomes(messages, band, (1.0,)).tolist() == [[False, True], [True, False], [False, False]]
