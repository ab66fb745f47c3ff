"""The real bogofilter, where it is installed; what is said where it is not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.errors import TrainerError
from trainer.evaluation.bogofilter import Bogofilter, absence, without_verdicts

Require = Callable[[str, str], str]


def _mails(count: int) -> tuple[list[bytes], np.ndarray]:
    raws = []
    for n in range(count):
        body = b"win a free prize, click here now" if n % 2 else b"minutes of the meeting, see you on monday"
        raws.append(b"From: a%d@example.org\nSubject: number %d\n\n%s\n" % (n, n, body))
    return raws, np.arange(count) % 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, to see that none stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_learns_answers_in_order_and_leaves_nothing_behind(require_program: Require, folder: Path) -> None:
    require_program("bogofilter", "bogofilter")
    raws, spam = _mails(60)
    with Bogofilter() as filter_:
        filter_.fit(raws[:40], spam[:40])
        score = filter_.score(raws[40:])
        assert list(folder.iterdir())
    assert score.shape == (20,)
    np.testing.assert_array_equal(score >= filter_.threshold, spam[40:])
    assert not list(folder.iterdir())


def test_learning_in_parts_is_learning(require_program: Require, folder: Path) -> None:
    require_program("bogofilter", "bogofilter")
    raws, spam = _mails(40)
    scores = []
    for parts in ([slice(0, 40)], [slice(0, 10), slice(10, 40)]):
        with Bogofilter() as filter_:
            for part in parts:
                filter_.fit(raws[part], spam[part])
            scores.append(filter_.score([*raws, b"", b"\n\xff\x00 no header"]))
    np.testing.assert_allclose(*scores)


def test_an_error_of_the_program_is_told(require_program: Require, folder: Path) -> None:
    require_program("bogofilter", "bogofilter")
    with Bogofilter() as filter_, pytest.raises(TrainerError, match="bogofilter -TT -b ended with"):
        filter_.score([b"Subject: nobody taught it\n\nhello\n"])


def test_where_it_is_missing_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert absence() == "bogofilter is not installed: apt-get install bogofilter"
    with pytest.raises(TrainerError, match="apt-get install bogofilter"):
        Bogofilter()


def test_verdicts_of_other_filters_are_taken_off() -> None:
    raw = b"X-Spam-Status: Yes,\n\tscore=9\nSubject: hi\nX-Spam-Level: ***\nTo: me\n\nX-Spam-Flag: in the body\n"
    assert without_verdicts(raw) == b"Subject: hi\nTo: me\n\nX-Spam-Flag: in the body\n"
    assert without_verdicts(b"\r\nbody") == b"\r\nbody"
    assert without_verdicts(b"") == b""
