"""Augmentation: the same for the same draw, blind to labels, bounded, and off where it is switched off."""

from __future__ import annotations

import inspect
import time

import numpy as np
import pytest

from spamfilter.document import joined
from trainer import augment
from trainer.augment import REACH, Augment, GoodWords, disguised, varied

TEXT = "dear friend, claim your exclusive prize money today; click here now to receive the cheapest offer " * 12
PREAMBLE = "from: ann @example.org\nsubject: your prize\nlinks: a.example b.example\nflags: html only"
HAM = ["the minutes of tuesday are in the shared folder, see you on thursday at the library committee"] * 3
OFF = Augment(
    header_dropout=0, line_dropout=0, crop=0, odd_letters=0, stray=0, spaced=0, leet=0, markup=0, good_before=0,
    good_after=0,
)  # fmt: skip
TRICKS = [augment.odd_letters, augment.leet, augment.stray, augment.spaced, augment.markup]


def test_switched_off_nothing_changes() -> None:
    assert varied(PREAMBLE, TEXT, np.random.default_rng(1), OFF, GoodWords(HAM)) == joined(PREAMBLE, TEXT)


def test_the_same_draw_gives_the_same_view() -> None:
    settings, good = Augment(leet=0.5, stray=0.5, good_before=0.5), GoodWords(HAM)
    views = [[varied(PREAMBLE, TEXT, np.random.default_rng(n), settings, good) for n in range(40)] for _ in range(2)]
    assert views[0] == views[1]
    assert len(set(views[0])) > 20


def test_nothing_takes_a_label() -> None:
    for function in (varied, disguised, augment.cropped, *TRICKS, GoodWords.draw):
        assert not {"spam", "label", "ham"} & set(inspect.signature(function).parameters)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_a_trick_changes_some_words_and_stays_bounded(trick: object) -> None:
    assert callable(trick)
    changed = trick(TEXT * 10, np.random.default_rng(3), 0.5)
    assert changed != TEXT * 10
    assert changed.endswith((TEXT * 10)[REACH:])
    assert len(changed) <= len(TEXT * 10) + 2 * REACH + 2000
    kept = sum(word in changed[: REACH * 2] for word in ("dear", "claim", "prize", "money", "today"))
    assert kept >= 3
    assert trick("", np.random.default_rng(3), 1.0) == ""


@pytest.mark.parametrize("text", ["", " ", "\n", "a", "!!", "word", "ab cd", "你好"])
def test_any_text_has_a_view(text: str) -> None:
    everything = Augment(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, share=1)
    for seed in range(20):
        view = varied("", text, np.random.default_rng(seed), everything, GoodWords(HAM))
        assert len(view) <= 10 * len(text) + 2500


def test_good_words_stand_around_the_text_and_come_from_ham() -> None:
    good = GoodWords(HAM)
    settings = Augment(0, 0, 0, 0, 0, 0, 0, 0, good_before=1, good_after=1)
    view = varied("subject: x", "click here", np.random.default_rng(5), settings, good)
    before, middle, after = view.partition("click here")
    assert before.startswith("subject: x\n") and middle
    for words in (before.split("\n", 1)[1].split(), after.split()):
        assert 20 <= len(words) <= 150
        assert set(words) <= set(HAM[0].split())
    assert len(good.draw(np.random.default_rng(1), 7, 7).split()) == 7


def test_good_words_need_words() -> None:
    with pytest.raises(ValueError, match="five words"):
        GoodWords(["", "one two"])


def test_headers_are_dropped_as_often_as_asked() -> None:
    settings = Augment(0.3, 0.15, 0, 0, 0, 0, 0, 0, 0, 0)
    rng = np.random.default_rng(0)
    views = [varied(PREAMBLE, "text", rng, settings) for _ in range(2000)]
    links = sum("links:" in view for view in views) / len(views)
    assert links == pytest.approx(0.7 * 0.85, abs=0.04)
    subjects = sum("subject:" in view for view in views) / len(views)
    assert subjects == pytest.approx(0.7 * 0.85 + 0.15, abs=0.04)


def test_a_long_text_is_cropped_at_a_word() -> None:
    views = {augment.cropped(TEXT, np.random.default_rng(n), 1.0) for n in range(10)}
    assert all(TEXT.endswith(view) and len(view) < len(TEXT) for view in views)
    assert augment.cropped("short", np.random.default_rng(0), 1.0) == "short"


def test_it_is_quick_enough_to_vanish_beside_a_training_step() -> None:
    good, settings, rng = GoodWords(HAM), Augment(), np.random.default_rng(0)
    started = time.process_time()
    for _ in range(2000):
        varied(PREAMBLE, TEXT, rng, settings, good)
    assert time.process_time() - started < 2.0  # 5,000 a second are wanted and 1,000 are asked: machines differ
