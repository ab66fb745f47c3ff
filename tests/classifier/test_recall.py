"""A corrected message in the served model: its campaign moves at once, everything else stays as it was."""

from __future__ import annotations

import csv
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier.bundle import Bundle, default_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.fingerprint import fingerprint, similarity
from spamfilter.classifier.memory import LEAST, SURE, Exemplar, Memory, State, file_of
from spamfilter.document import extract, render
from spamfilter.message import Kind, Message
from spamfilter.policy import judge
from spamfilter.verdict import Label, Score, Thresholds
from tests.classifier.campaign import FIRST, FOREIGN, NEXT
from tests.classifier.test_cascade import _with_band

TURNS = (0.6, 0.97)


def _score(ensemble: Ensemble, raw: bytes) -> Score:
    [outcome] = ensemble.score([Message(raw, "test")])
    assert isinstance(outcome, Score)
    return outcome


def _exemplar(ensemble: Ensemble, raw: bytes, label: Label, when: float = 1.0) -> Exemplar:
    examined = ensemble.examine(Message(raw, "test"))
    assert isinstance(examined, Examined)
    return Exemplar(f"{hash(raw):x}", label, when, examined.fingerprint, examined.pooled)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.npz"


@pytest.fixture
def served(tiny: tuple[Bundle, object], path: Path) -> Ensemble:
    return Ensemble.load(tiny[0].path, turns_at=TURNS, campaigns=8, campaign_s=60, memory=path)


def _remember(ensemble: Ensemble, path: Path, *exemplars: Exemplar) -> None:
    Memory(ensemble.model_id, exemplars).save(file_of(path, ensemble.model_id))
    time.sleep(0.25)


@pytest.mark.parametrize("label", [Label.SPAM, Label.HAM])
def test_the_campaign_moves_and_the_rest_stays(served: Ensemble, path: Path, label: Label) -> None:
    before, foreign = _score(served, NEXT), _score(served, FOREIGN)
    assert before.recalled is None and "memory" not in before.stages and "memory" not in before.timings
    _remember(served, path, _exemplar(served, FIRST, label, 7.0))
    after = _score(served, NEXT)
    assert after.recalled is not None and after.known
    assert (after.recalled.label, after.recalled.time) == (label, 7.0)
    assert after.stages == {**before.stages, "memory": float(label is Label.SPAM)}
    assert judge(after, Thresholds(*TURNS)).label is label
    assert after.probability >= 0.99 if label is Label.SPAM else after.probability <= 0.01
    again = _score(served, FOREIGN)
    assert (again.probability, again.stages, again.recalled) == (foreign.probability, foreign.stages, None)


def test_what_is_forgotten_counts_no_more(served: Ensemble, path: Path) -> None:
    before = _score(served, NEXT)
    _remember(served, path, _exemplar(served, FIRST, Label.SPAM))
    assert _score(served, NEXT).recalled is not None
    _remember(served, path)
    after = _score(served, NEXT)
    assert (after.probability, after.stages, after.recalled) == (before.probability, before.stages, None)


def test_a_recall_is_the_same_alone_in_company_and_in_another_process(
    tiny: tuple[Bundle, object], served: Ensemble, path: Path
) -> None:
    _remember(served, path, _exemplar(served, FIRST, Label.SPAM))
    alone = _score(served, NEXT)
    together = served.score([Message(raw, "test") for raw in (FOREIGN, FIRST, NEXT, b"", NEXT)])
    fresh = _score(Ensemble.load(tiny[0].path, turns_at=TURNS, memory=path), NEXT)
    for other in (together[2], together[4], fresh):
        assert isinstance(other, Score)
        assert (other.probability, other.stages, other.recalled) == (alone.probability, alone.stages, alone.recalled)


def test_the_self_test_and_an_examination_ask_no_memory(served: Ensemble, path: Path) -> None:
    before = served.examine(Message(NEXT, "test"))
    _remember(served, path, _exemplar(served, FIRST, Label.SPAM))
    after = served.examine(Message(NEXT, "test"))
    assert isinstance(before, Examined) and isinstance(after, Examined)
    assert after.score.probability == before.score.probability and after.score.recalled is None
    served.self_test()


def test_a_doubtful_candidate_makes_the_gpt_speak(bundle_copy: Path, path: Path) -> None:
    sparing = Ensemble.load(_with_band(bundle_copy, 0.0), turns_at=(0.5, 0.9), memory=path)
    half = FIRST.replace(b"Answer this mail", b"Ring us up today and ask for Jim who knows more of it")
    half = half.replace(b"our work is honest", b"our people like it")
    assert LEAST <= similarity(*(fingerprint(*render(extract(raw))) for raw in (FIRST, half))) < SURE
    _remember(sparing, path, _exemplar(sparing, FIRST, Label.SPAM))
    assert "gpt" not in _score(sparing, FOREIGN).stages
    assert "gpt" not in _score(sparing, NEXT).stages  # sure without it
    doubtful = _score(sparing, half)
    assert "gpt" in doubtful.stages  # whatever came of it
    _remember(sparing, path)
    assert "gpt" not in _score(sparing, half).stages


def test_without_a_memory_or_with_an_empty_one_scores_are_the_same(tiny: tuple[Bundle, object], path: Path) -> None:
    Memory(tiny[0].model_id).save(file_of(path, tiny[0].model_id))
    without, with_empty = Ensemble.load(tiny[0].path), Ensemble.load(tiny[0].path, memory=path)
    for raw in (FIRST, FOREIGN, b""):
        one, other = _score(without, raw), _score(with_empty, raw)
        assert (one.probability, one.stages, set(one.timings)) == (other.probability, other.stages, set(other.timings))


def _texts(corpus_dir: Path) -> Iterator[tuple[str, str, bool]]:
    """(head, tail, is spam) of real mail and messages: a third of SpamAssassin's, all of the SMS collection."""
    with tarfile.open(corpus_dir / "spamassassin.tar.xz") as archive:
        for number, member in enumerate(archive):
            file = archive.extractfile(member) if number % 3 == 0 else None
            if file is not None:
                yield (*render(extract(file.read())), "/spam-" in member.name)
    with (corpus_dir / "sms-spam-collection.tsv").open(encoding="utf-8", newline="") as lines:
        for label, text in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield (*render(extract(text.encode(), Kind.TEXT)), label == "spam")


def test_no_ham_of_the_corpora_is_recalled_by_all_their_spam(corpus_dir: Path) -> None:
    found = [(fingerprint(head, tail), spam) for head, tail, spam in _texts(corpus_dir)]
    spam = [one for one, is_spam in found if is_spam]
    ham = [one for one, is_spam in found if not is_spam]
    assert len(spam) > 1_000 and len(ham) > 5_000
    nothing: State = np.ones(1, np.float16)
    memory = Memory("m", [Exemplar(str(i), Label.SPAM, i, one, nothing) for i, one in enumerate(spam)], len(spam))
    recalled = sum(memory.look(one, None) is not None for one in ham)
    assert recalled == 0
    alike = sum(len(memory.candidates(one)) > 0 for one in ham)
    assert alike <= len(ham) // 1000  # whose states have to be compared
    assert sum(len(memory.candidates(one)) > 1 for one in spam) > len(spam) // 5  # campaigns are found


def test_the_shipped_model_knows_a_campaign_again(path: Path) -> None:
    shipped = Ensemble.load(default_bundle(), turns_at=TURNS, memory=path)
    before = judge(_score(shipped, NEXT), Thresholds(*TURNS)).label
    other = Label.HAM if before is Label.SPAM else Label.SPAM
    _remember(shipped, path, _exemplar(shipped, FIRST, other))
    assert judge(_score(shipped, NEXT), Thresholds(*TURNS)).label is other
    assert json.loads(json.dumps(_score(shipped, NEXT).stages))["memory"] == float(other is Label.SPAM)
