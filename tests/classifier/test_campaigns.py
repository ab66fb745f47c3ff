"""The campaign cache gives what would have been found anew, for a while, within bounds."""

from __future__ import annotations

import pytest

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.campaigns import Campaigns, TextScores
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.message import Message
from spamfilter.verdict import Score

BODY = b"\n\nwin a prize, click here\n"
ONE = b"From: B <b@example.biz>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: WIN" + BODY
OTHER_HEADERS = b"Received: from mail.example.biz by mx.example.org\nX-Mailer: Bulk 3\n" + ONE
OTHER_TEXT = ONE.replace(b"prize", b"price")


def test_the_least_recently_seen_goes_first() -> None:
    campaigns = Campaigns(2, 60)
    keys = [Campaigns.key(text, "") for text in ("a", "b", "c")]
    for key in keys[:2]:
        campaigns.keep(key, TextScores(1.0, ""))
    assert campaigns.find(keys[0]) is not None
    campaigns.keep(keys[2], TextScores(2.0, ""))
    assert campaigns.find(keys[1]) is None
    assert campaigns.find(keys[0]) is not None
    assert len(campaigns) == 2


def test_a_text_is_forgotten_when_its_time_is_over() -> None:
    now = [0.0]
    campaigns = Campaigns(8, 60, clock=lambda: now[0])
    key = Campaigns.key("a", "")
    campaigns.keep(key, TextScores(1.0, ""))
    now[0] = 59.9
    assert campaigns.find(key) is not None  # looking does not make it younger
    now[0] = 60.0
    assert campaigns.find(key) is None
    assert len(campaigns) == 0


def test_no_room_keeps_nothing() -> None:
    campaigns = Campaigns(0, 60)
    campaigns.keep(Campaigns.key("a", ""), TextScores(1.0, ""))
    assert len(campaigns) == 0


@pytest.mark.parametrize("pair", [(("ab", ""), ("a", "b")), (("a\nb", ""), ("a", "b")), (("a", "b"), ("b", "a"))])
def test_head_and_tail_do_not_run_together(pair: tuple[tuple[str, str], tuple[str, str]]) -> None:
    assert Campaigns.key(*pair[0]) != Campaigns.key(*pair[1])


def test_a_lone_surrogate_has_a_key() -> None:
    assert Campaigns.key("\ud800", "") != Campaigns.key("\ud801", "")


def _score(ensemble: Ensemble, raw: bytes) -> Score:
    [outcome] = ensemble.score([Message(raw, "test")])
    assert isinstance(outcome, Score)
    return outcome


def test_what_is_known_is_what_would_have_been_found(tiny: tuple[Bundle, object]) -> None:
    remembering = Ensemble.load(tiny[0].path, campaigns=8, campaign_s=60)
    fresh = Ensemble.load(tiny[0].path)
    first = _score(remembering, ONE)
    assert not first.known
    for raw in (ONE, OTHER_HEADERS, OTHER_TEXT):
        again, anew = _score(remembering, raw), _score(fresh, raw)
        assert (again.probability, dict(again.stages)) == (anew.probability, dict(anew.stages))
        assert again.known is (raw != OTHER_TEXT)
        assert not anew.known
    # other headers, other facts, another score: only the text's part was at hand
    assert _score(remembering, OTHER_HEADERS).probability != first.probability


def test_another_loaded_model_knows_nothing(tiny: tuple[Bundle, object]) -> None:
    one, another = (Ensemble.load(tiny[0].path, campaigns=8, campaign_s=60) for _ in range(2))
    _score(one, ONE)
    assert not _score(another, ONE).known
