"""The cascade spares the GPT only where its word cannot turn the verdict, at whatever thresholds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.bundle import Bundle, default_bundle, open_bundle, write_manifest
from spamfilter.classifier.cascade import Band, Cascade, logit
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.message import Message
from spamfilter.policy import judge
from spamfilter.verdict import Score, Thresholds

BAND = Band(edges=(-1.0, 1.0), low=(-0.5, -1.0, -0.2), middle=(-0.1, 0.0, 0.3), high=(0.5, 1.0, 0.8))
MAILS = [
    b"From: A <a@example.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: lunch\n\nlunch on monday?\n",
    b"From: B <b@example.biz>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: WIN\n\nwin a prize, click here\n",
]


@pytest.mark.parametrize(
    ("fast", "turns", "instead"),
    [
        (0.0, (5.0,), 0.0),
        (0.0, (0.9,), None),
        (0.0, (1.0,), None),  # the high value itself reaches the threshold
        (0.0, (-1.0,), 0.0),  # and the low value stands on it: it has passed already
        (0.0, (9.0, 0.5), None),
        (4.0, (4.5,), None),
        (4.0, (3.0,), 0.3),
        (-7.0, (3.0,), -0.1),
        (4.0, (math.inf,), 0.3),
    ],
)
def test_the_gpt_is_asked_where_a_threshold_lies_within_its_reach(
    fast: float, turns: tuple[float, ...], instead: float | None
) -> None:
    assert BAND.instead(fast, turns) == instead


@given(st.floats(-20, 20), st.floats(0, 1), st.lists(st.floats(-10, 10), min_size=1, max_size=3))
def test_within_the_band_no_verdict_turns(fast: float, share: float, turns: list[float]) -> None:
    instead = BAND.instead(fast, turns)
    if instead is not None:
        at = sum(edge < fast for edge in BAND.edges)
        added = BAND.low[at] + share * (BAND.high[at] - BAND.low[at])
        assert [fast + added >= turn for turn in turns] == [fast + instead >= turn for turn in turns]


@pytest.mark.parametrize(
    "broken",
    [
        {"edges": [1, 0], "low": [0, 0, 0], "middle": [0, 0, 0], "high": [0, 0, 0]},
        {"edges": [0], "low": [0], "middle": [0, 0], "high": [0, 0]},
        {"edges": [], "low": [0], "middle": [-1], "high": [1]},
    ],
    ids=["edges unsorted", "a value missing", "middle below low"],
)
def test_a_damaged_band_is_refused(broken: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="band"):
        Band.from_json(broken)


def test_a_band_survives_the_manifest() -> None:
    assert Band.from_json(json.loads(json.dumps(BAND.as_json()))) == BAND


def test_without_thresholds_or_bands_there_is_no_cascade() -> None:
    assert Cascade.of({"cascade": {"bands": {"mail": BAND.as_json()}}}, ()) is None
    assert Cascade.of({}, (0.5,)) is None
    assert Cascade.of({"cascade": {"bands": {}}}, (0.5,)) is None
    cascade = Cascade.of({"cascade": {"bands": {"mail": BAND.as_json()}}}, (0.5, 0.9))
    assert cascade is not None
    assert cascade.instead("text", 0.0) is None  # a mode without a band asks the GPT
    assert cascade.turns == (logit(0.5), logit(0.9))


def _with_band(path: Path, wide: float) -> Path:
    manifest = dict(open_bundle(path).manifest)
    band = Band((), (-wide,), (0.0,), (wide,)).as_json()
    content = {key: manifest[key] for key in ("context", "ensemble", "thresholds", "metrics", "training")}
    write_manifest(path, "tiny", {**content, "cascade": {"bands": {"mail": band, "text": band}}})
    return path


def _scores(ensemble: Ensemble) -> list[Score]:
    outcomes = ensemble.score([Message(raw, "test") for raw in MAILS])
    assert all(isinstance(outcome, Score) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Score)]


def test_a_wide_band_asks_always_and_changes_nothing(tiny: tuple[Bundle, object], bundle_copy: Path) -> None:
    asked = Ensemble.load(_with_band(bundle_copy, 1e6), turns_at=(0.5, 0.9))
    assert [s.probability for s in _scores(asked)] == [s.probability for s in _scores(Ensemble.load(tiny[0].path))]
    assert all("gpt" in score.stages for score in _scores(asked))


def test_a_narrow_band_spares_the_gpt_and_says_so(bundle_copy: Path) -> None:
    spared = _scores(Ensemble.load(_with_band(bundle_copy, 0.0), turns_at=(0.5, 0.9)))
    for score in spared:
        assert "gpt" not in score.stages
        assert set(score.timings) == {"document", "ngram", "total"}
    for everything in (Ensemble.load(bundle_copy), Ensemble.load(bundle_copy, turns_at=(0.5, 0.9), cascade=False)):
        assert all("gpt" in score.stages for score in _scores(everything))  # it judges every message


def test_the_self_test_has_all_stages(bundle_copy: Path) -> None:
    Ensemble.load(_with_band(bundle_copy, 0.0), turns_at=(0.5,)).self_test()


def test_the_shipped_bundle_spares_the_gpt_and_keeps_its_examples_verdicts() -> None:
    bundle = open_bundle(default_bundle())
    point = bundle.thresholds(max_false_positive_rate=0.005, max_unsure_rate=0.1)
    thresholds = Thresholds(unsure_at=point.unsure_at, spam_at=point.spam_at)
    measured = bundle.manifest["cascade"]["measured"]
    origins = [row for mode in ("mail", "text") for row in measured[mode]["origins"].values()]
    turned = sum(row["turned"] * row["messages"] for row in origins)
    assert turned <= 0.001 * sum(row["messages"] for row in origins)
    fast = Ensemble.load(default_bundle(), turns_at=(thresholds.unsure_at, thresholds.spam_at))
    full = Ensemble.load(default_bundle())
    for one, other in zip(_scores(fast), _scores(full), strict=True):
        assert judge(one, thresholds).label == judge(other, thresholds).label
