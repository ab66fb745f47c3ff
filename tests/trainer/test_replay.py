"""What a bundle carries of its training: small, exact enough, chosen for what thresholds hang on, and no text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier.ngram import DIMENSION
from tests.trainer import site
from trainer.replay import FILE, Origin, chosen, load, replay_of, save, standing_of
from trainer.stacking import Unseen, units_of


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    made = site.replay()
    save(tmp_path / FILE, made)
    read = load(tmp_path / FILE)
    assert np.array_equal(read.inputs.counts.whole.indices, made.inputs.counts.whole.indices)
    assert read.inputs.counts.whole.data == pytest.approx(made.inputs.counts.whole.data, abs=1e-5)
    assert np.array_equal(np.isnan(read.inputs.facts), np.isnan(made.inputs.facts))
    assert np.array_equal(np.nan_to_num(read.inputs.facts), np.nan_to_num(made.inputs.facts))
    assert read.inputs.pooled == pytest.approx(made.inputs.pooled, abs=2e-3)
    assert np.array_equal(read.spam, made.spam) and np.array_equal(read.source, made.source)
    assert read.names == made.names == ("elsewhere",)
    assert read.calibrating.standing == pytest.approx(made.calibrating.standing, abs=5e-3)
    assert np.array_equal(read.calibrating.row, made.calibrating.row)


def test_the_calibrations_messages_point_at_their_rows() -> None:
    made = site.replay(most=50)
    known = made.calibrating
    assert len(known.spam) == 500 and (known.row >= 0).sum() == 50
    assert np.array_equal(known.spam[known.row >= 0], made.spam[known.row[known.row >= 0]])


def test_features_that_the_model_does_not_weigh_are_left_out() -> None:
    raws, spam = site.mails(500, 7, spam_words=["viagra"], ham_words=["kernel"])
    inputs = site.inputs(raws, spam)
    idf = np.zeros(DIMENSION, np.float32)
    kept = inputs.counts.whole.indices[:5]
    idf[kept] = 1.0
    scores = {name: spam * 1.0 for name in ("ngram", "facts", "gpt")}
    origin = Origin(
        np.arange(500),
        Unseen("x", scores, spam, inputs.mail, np.array(["x"] * 500), units_of(scores, spam, inputs.mail)),
    )
    rows = np.arange(10)
    made = replay_of([origin], rows, inputs[rows], spam[rows], np.array(["x"] * 10), idf)
    assert set(made.inputs.counts.whole.indices.tolist()) <= set(kept.tolist())
    assert made.inputs.counts.passages.shape[0] == 0


def test_half_are_the_worst_judged_and_no_group_comes_twice() -> None:
    spam = np.arange(400) % 2
    rng = np.random.default_rng(0)
    scores = {name: spam * 2.0 - 1 + rng.normal(size=400) for name in ("ngram", "facts", "gpt")}
    mail = np.ones(400, bool)
    unseen = Unseen("x", scores, spam, mail, np.array(["x"] * 400), units_of(scores, spam, mail))
    groups = np.array([f"g{row // 4}" for row in range(400)])
    rows = chosen([Origin(np.arange(400), unseen)], groups, most=40)
    assert len(rows) == 40 == len(set(groups[rows]))
    assert 15 <= spam[rows].sum() <= 25
    total = standing_of(unseen).sum(1)
    ham = np.flatnonzero(spam == 0)
    assert ham[np.argmax(total[ham])] in rows  # what would be called spam first


def test_another_version_is_refused(tmp_path: Path) -> None:
    save(tmp_path / FILE, site.replay())
    with np.load(tmp_path / FILE) as kept:
        arrays = {name: kept[name] for name in kept.files}
    np.savez(tmp_path / FILE, **{**arrays, "format": np.int64(99)})
    with pytest.raises(ValueError, match="another version"):
        load(tmp_path / FILE)


def test_no_word_stands_in_the_file(tmp_path: Path) -> None:
    save(tmp_path / FILE, site.replay())
    with np.load(tmp_path / FILE) as kept:
        content = b"".join(kept[name].tobytes() for name in kept.files)
    assert b"lottery" not in content and b"example.org" not in content
