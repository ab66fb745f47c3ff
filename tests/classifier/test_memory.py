"""The memory recalls what is like a corrected message and nothing else, and survives whatever happens to its file."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import structlog

from spamfilter.classifier import memory as memory_module
from spamfilter.classifier.fingerprint import fingerprint, similarity
from spamfilter.classifier.memory import (
    AGREEING,
    AGREEING_WELL,
    CERTAIN,
    LEAST,
    MARGIN,
    STEP,
    SURE,
    Exemplar,
    Memory,
    MemoryFile,
    cosine,
    file_of,
    files_of_others,
    moved,
)
from spamfilter.verdict import Label, Recall

WORDS = [f"{a}{b}{c}{d}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs" for d in "aeiou"]
STATE = np.array([3, 0, 0, 0], np.float16)
OTHER_STATE = np.array([0, 2, 0, 0], np.float16)


def _text(seed: int, words: int = 120) -> str:
    chosen = np.random.default_rng(seed).choice(WORDS, words)
    return " ".join(chosen.tolist())


def _mixed(seed: int, share: float) -> str:
    """A text of which the first part is that of `seed`."""
    return f"{_text(seed)[: int(share * 599)]} {_text(seed + 1000, int(120 * (1 - share)))}"


def _exemplar(text: str, label: Label = Label.SPAM, time: float = 1.0, *, content: str = "", state=STATE) -> Exemplar:  # type: ignore[no-untyped-def]
    return Exemplar(content or text, label, time, fingerprint(text), state)


def test_a_near_identical_text_is_recalled_without_a_state() -> None:
    memory = Memory("m", [_exemplar(_text(1), time=7.0, content="c1"), _exemplar(_text(2), Label.HAM)])
    assert memory.look(fingerprint("4711 " + _text(1)), None) == Recall("c1", Label.SPAM, 7.0, 1.0)
    recalled = memory.look(fingerprint(_text(2)), OTHER_STATE)
    assert recalled is not None and recalled.label is Label.HAM
    assert memory.look(fingerprint(_text(3)), STATE) is None


def test_between_sure_and_least_the_state_must_agree() -> None:
    text = _mixed(1, 0.76)
    share = similarity(fingerprint(text), fingerprint(_text(1)))
    assert LEAST <= share < SURE
    memory = Memory("m", [_exemplar(_text(1))])
    assert [one.similarity for one in memory.candidates(fingerprint(text))] == [pytest.approx(share, abs=1e-4)]
    assert memory.look(fingerprint(text), None) is None
    assert memory.look(fingerprint(text), OTHER_STATE) is None
    assert memory.look(fingerprint(text), np.zeros(4, np.float16)) is None
    assert memory.look(fingerprint(text), np.ones(3, np.float16)) is None  # of another network
    recalled = memory.look(fingerprint(text), (STATE * 2).astype(np.float16))
    assert recalled is not None and recalled.similarity == pytest.approx(share, abs=1e-4)


def test_below_least_nothing_agrees() -> None:
    text = _mixed(1, 0.4)
    assert 0.1 < similarity(fingerprint(text), fingerprint(_text(1))) < LEAST
    memory = Memory("m", [_exemplar(_text(1))])
    assert memory.candidates(fingerprint(text)) == []
    assert memory.look(fingerprint(text), STATE) is None


def test_of_several_the_nearest_counts_and_of_equals_the_newest() -> None:
    near, far = _exemplar(_text(1), Label.HAM, 1.0), _exemplar(_mixed(1, 0.95), Label.SPAM, 9.0)
    recalled = Memory("m", [near, far]).look(fingerprint(_text(1)), STATE)
    assert recalled is not None and recalled.label is Label.HAM
    old, new = _exemplar(_text(1), Label.HAM, 1.0, content="old"), _exemplar(_text(1), Label.SPAM, 2.0, content="new")
    for both in ([old, new], [new, old]):
        recalled = Memory("m", both).look(fingerprint(_text(1)), STATE)
        assert recalled is not None and recalled.content == "new"


def test_ham_speaks_only_for_mail_with_the_same_link_hosts() -> None:
    head, other = (f"subject: news\nlinks: {host}\n{_text(1)}" for host in ("news.example.org", "evil.example.biz"))
    ham, spam = (Memory("m", [_exemplar(head, label)]) for label in (Label.HAM, Label.SPAM))
    assert ham.look(fingerprint(head), STATE) is not None
    assert ham.look(fingerprint(other), STATE) is None
    assert spam.look(fingerprint(other), STATE) is not None  # a campaign changes its hosts


def test_a_short_text_above_a_lists_footer_is_another_message() -> None:
    footer = "-- the list of those who make maps of old towns and rivers: to leave it, write to its owner. see you soon"
    memory = Memory("m", [_exemplar(f"subject: buy now\n{footer}")])  # an image above it was all there was
    reply = fingerprint(f"subject: maps of rivers\nunsubscribe {footer}")
    assert similarity(reply, memory.exemplars[0].fingerprint) > SURE
    near = np.array([1, 0.45, 0, 0], np.float16)
    assert AGREEING < cosine(STATE, near) < AGREEING_WELL
    assert memory.look(reply, None) is None and memory.look(reply, near) is None
    assert memory.look(reply, STATE) is not None
    for same in (f"subject: look here\n{footer}", f"subject: buy now\nunsubscribe {footer}"):
        assert memory.look(fingerprint(same), None) is not None


def test_the_newest_of_each_label_are_kept_and_one_of_a_content() -> None:
    spam = [_exemplar(_text(i), Label.SPAM, float(i), content=f"s{i}") for i in range(9)]
    ham = [_exemplar(_text(99), Label.HAM, 0.5, content="h")]
    again = _exemplar(_text(8), Label.HAM, 20.0, content="s8")  # the last word on a content counts
    memory = Memory("m", [*spam, *ham, again], most_per_label=3)
    assert sorted(one.content for one in memory.exemplars) == ["h", "s5", "s6", "s7", "s8"]
    recalled = memory.look(fingerprint(_text(8)), None)
    assert recalled is not None and recalled.label is Label.HAM
    with pytest.raises(ValueError, match="ham or spam"):
        Memory("m", [_exemplar(_text(1), Label.UNSURE)])


def test_the_index_finds_what_comparing_with_each_would() -> None:
    exemplars = [_exemplar(_mixed(i // 4, 0.5 + 0.15 * (i % 4)), time=float(i), content=str(i)) for i in range(200)]
    exemplars += [_exemplar("see you at noon", content="short"), _exemplar("", content="empty")]
    memory = Memory("m", exemplars)
    for text in [_text(i) for i in range(0, 60, 7)] + ["see you at noon", "", "see you"]:
        wanted = {
            one.content: round(share, 4)
            for one in exemplars
            if (share := similarity(one.fingerprint, fingerprint(text))) >= LEAST
        }
        found = {memory.exemplars[one.place].content: one.similarity for one in memory.candidates(fingerprint(text))}
        assert found == wanted


@pytest.mark.parametrize("turns", [(), (-1.0, 2.0), (3.0, 6.0), (-math.inf, math.inf), (-9.0, -8.0)])
def test_a_near_identical_message_ends_beyond_both_thresholds(turns: tuple[float, ...]) -> None:
    finite = [turn for turn in turns if math.isfinite(turn)]
    for logit in (-20.0, -1.0, 0.0, 4.0, 20.0):
        spam = moved(logit, Recall("c", Label.SPAM, 0, 0.97), turns)
        ham = moved(logit, Recall("c", Label.HAM, 0, 0.97), turns)
        assert spam >= max([CERTAIN, logit, *(turn + MARGIN for turn in finite)])
        assert ham <= min([-CERTAIN, logit, *(turn - MARGIN for turn in finite)])
    assert 1 / (1 + math.exp(-CERTAIN)) >= 0.99


def test_the_less_alike_the_smaller_the_step() -> None:
    steps = [moved(-30.0, Recall("c", Label.SPAM, 0, s / 100), (0.0, 4.0)) + 30.0 for s in range(50, 101)]
    assert steps[0] == pytest.approx(STEP)
    assert steps == sorted(steps)
    assert steps[-1] == pytest.approx(30 + CERTAIN)
    ham = moved(30.0, Recall("c", Label.HAM, 0, LEAST), (0.0, 4.0))
    assert ham == pytest.approx(30.0 - STEP)
    assert moved(50.0, Recall("c", Label.SPAM, 0, 1.0), ()) == 50.0  # what is beyond the goal stays


def test_it_survives_its_file(tmp_path: Path) -> None:
    exemplars = [_exemplar(_text(i), list(Label)[2 * (i % 2)], 1.5 * i, content=f"c{i}") for i in range(20)]
    memory = Memory("model-1", exemplars)
    memory.save(tmp_path / "memory.npz")
    again = Memory.load(tmp_path / "memory.npz")
    assert again.model_id == "model-1" and len(again) == 20
    for one, other in zip(memory.exemplars, again.exemplars, strict=True):
        assert (one.content, one.label, one.time) == (other.content, other.label, other.time)
        assert one.fingerprint.tolist() == other.fingerprint.tolist() and one.pooled.tolist() == other.pooled.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["memory.npz"]
    Memory("model-1").save(tmp_path / "memory.npz")
    assert len(Memory.load(tmp_path / "memory.npz")) == 0


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memory.npz"
    Memory("m", [_exemplar(_text(1))]).save(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory_module.np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        Memory("m").save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["memory.npz"]


def _damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": b"\0" * 999, "cut": data[: len(data) // 2]}.get(how, data))
    if how == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])
    if how == "pickle":
        np.savez(path, version=np.array([{}], dtype=object))


@pytest.mark.parametrize("how", ["empty", "noise", "cut", "flipped", "pickle"])
def test_a_damaged_file_is_told_once_and_the_old_memory_stays(tmp_path: Path, how: str) -> None:
    path, now = tmp_path / "memory-m.npz", [0.0]
    Memory("m", [_exemplar(_text(1))]).save(path)
    file = MemoryFile(tmp_path / "memory.npz", "m", clock=lambda: now[0])
    assert len(file.current()) == 1
    Memory("m", [_exemplar(_text(i)) for i in range(30)]).save(path)
    _damaged(path, how)
    with structlog.testing.capture_logs() as told:
        for _ in range(5):
            now[0] += 1
            assert len(file.current()) == 1
    assert [one["event"] for one in told] == ["memory.damaged"] and told[0]["path"] == str(path)
    Memory("m", [_exemplar(_text(i)) for i in range(3)]).save(path)
    now[0] += 1
    assert len(file.current()) == 3


def test_a_file_of_another_model_is_ignored(tmp_path: Path) -> None:
    path, now = tmp_path / "memory.npz", [0.0]
    Memory("old", [_exemplar(_text(1))]).save(file_of(path, "old"))
    old, new = (MemoryFile(path, name, clock=lambda: now[0]) for name in ("old", "new"))
    assert (len(old.current()), len(new.current())) == (1, 0)
    Memory("new", [_exemplar(_text(i)) for i in range(2)]).save(file_of(path, "new"))
    now[0] += 1
    assert (len(old.current()), len(new.current())) == (1, 2)
    Memory("old", [_exemplar(_text(i)) for i in range(5)]).save(file_of(path, "new"))  # put there by hand
    now[0] += 1
    assert (len(old.current()), len(new.current())) == (1, 2)
    assert [one.name for one in files_of_others(path, "new")] == ["memory-old.npz"]


def test_the_file_of_an_odd_model_stays_in_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "memory.npz"
    odd = ["../out", "a/b", "", ".hidden", "x" * 300, "a", "A"]
    names = {file_of(path, model_id) for model_id in odd}
    assert len(names) == len(odd)
    assert all(one.parent == tmp_path and len(one.name) < 200 for one in names)


def test_the_file_is_looked_at_now_and_then_and_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now, looks = tmp_path / "memory-m.npz", [0.0], [0]
    stat = os.stat

    def counted(*args, **kwargs):  # type: ignore[no-untyped-def]
        looks[0] += str(args[0]) == str(path)
        return stat(*args, **kwargs)

    file = MemoryFile(tmp_path / "memory.npz", "m", every_s=0.2, clock=lambda: now[0])
    monkeypatch.setattr(os, "stat", counted)
    assert len(file.current()) == 0
    Memory("m", [_exemplar(_text(1))]).save(path)
    now[0] = 0.1
    assert len(file.current()) == 0 and looks[0] == 1
    now[0] = 0.21
    assert len(file.current()) == 1
    path.unlink()
    now[0] = 0.5
    assert len(file.current()) == 0


def test_cosine() -> None:
    assert cosine(STATE, (STATE * 3).astype(np.float16)) == pytest.approx(1.0)
    assert cosine(STATE, OTHER_STATE) == 0.0
    assert cosine(STATE, (-STATE).astype(np.float16)) == pytest.approx(-1.0)
    assert 0.0 < AGREEING < 1.0
