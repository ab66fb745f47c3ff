"""Explanations of the shipped model: they add up for any message, name what matters, and are the same each time."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from spamfilter.classifier.bundle import default_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.explain import fact_shares
from spamfilter.classifier.explanation import Explanation, SpanKind
from spamfilter.classifier.memory import Exemplar, Memory, file_of
from spamfilter.facts.sentences import SENTENCES
from spamfilter.message import Kind, Message, kind_of
from spamfilter.verdict import Label, Score
from tests.classifier.campaign import FIRST, FOREIGN, NEXT
from tests.hostile import mails

SHORT = 0.05
"""Seconds: one order of the passages, nothing refined."""
SMS = (
    b"Free entry in 2 a wkly comp to win FA Cup final tkts 21st May 2005. Text FA to 87121 to receive entry",
    b"ok lar... joking wif u oni",
    "您好！贵公司负责人：本公司代开发票，点击 http://fapiao.example 了解详情。谢谢！".encode(),
)
DISGUISED = (
    "From: Bob <bob@shop.example>\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nSubject: your order\n"
    "Content-Type: text/plain; charset=utf-8\n\nHello friend,\n\nbuy V\u0456\u0430gr\u0430 and c\u200bi\u200balis "
    "and v.a.l.i.u.m at http://pills.example/x?y=1 today.\nBest regards\n"
).encode()
LINKED = (
    b"From: Ann <ann@news.example>\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nSubject: account suspended\n\n"
    b"Your account was suspended. Verify your password at http://192.0.2.7/login or lose it within 24 hours.\n"
)
MESSAGES = {
    **mails.samples(),
    **{f"sms {number}": raw for number, raw in enumerate(SMS)},
    "disguised": DISGUISED,
    "linked": LINKED,
    "campaign": FIRST,
    "empty": b"",
    "blank": b"\n\n",
    "no text": b"From: a@b.example\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nSubject: \n\n",
    "long": LINKED + b"we talk about the weather, " * 3000,
    "no blanks": LINKED + b"x" * 50_000,
    "lines in the subject": b"From: a@b.example\nSubject: =?utf-8?q?a=0Asubject:_b=0Afrom:_c?=\n\nhi, all of you\n",
}


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble.load(default_bundle(), cascade=False)


def explained(ensemble: Ensemble, raw: bytes, kind: Kind | None = None, seconds: float = SHORT) -> Explanation:
    found = ensemble.explain(Message(raw, "test", kind=kind or kind_of(raw)), seconds)
    assert isinstance(found, Explanation), found
    return found


def check(ensemble: Ensemble, raw: bytes, kind: Kind | None = None) -> Explanation:
    """The promises of every explanation."""
    found = explained(ensemble, raw, kind)
    [score] = ensemble.score([Message(raw, "test", kind=kind or kind_of(raw))])
    assert isinstance(score, Score)
    assert found.score.probability == pytest.approx(score.probability, abs=1e-9)
    assert (found.score.stages, found.score.content) == (pytest.approx(score.stages), score.content)
    assert 1 / (1 + math.exp(-found.logit)) == pytest.approx(score.probability, abs=1e-9)
    assert abs(found.missing) < 1e-9
    assert found.base + sum(found.stages.values()) + found.memory == pytest.approx(found.logit, abs=1e-9)
    text = {"head": found.head, "tail": found.tail}
    end = {"head": 0, "tail": 0}
    for span in found.spans:
        assert text[span.part][span.start : span.end] == span.text
        assert span.start >= end[span.part]
        end[span.part] = span.end
    for fact in found.facts:
        assert fact.sentence == SENTENCES[fact.name]
        assert fact.present or not fact.moved
    assert all(0 <= one.probability <= 1 for one in found.counterfactuals)
    return found


@pytest.mark.parametrize("name", MESSAGES)
def test_the_parts_add_up_to_the_score(ensemble: Ensemble, name: str) -> None:
    check(ensemble, MESSAGES[name])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", mails.MAILS)
def test_the_parts_of_hostile_mail_add_up(ensemble: Ensemble, name: str, kind: Kind) -> None:
    check(ensemble, mails.MAILS[name](), kind)


def test_a_mail_of_20_mb_is_explained_by_what_is_read_of_it(ensemble: Ensemble) -> None:
    found = check(ensemble, LINKED + b"we talk about the weather, " * 750_000)
    assert found.tail
    assert sum(len(span.text) for span in found.spans) < 10_000


def test_bare_text_has_no_facts_of_headers(ensemble: Ensemble) -> None:
    found = check(ensemble, SMS[0])
    assert {fact.name.partition("_")[0] for fact in found.facts} == {"text", "topic"}
    assert {span.kind for span in found.spans} == {SpanKind.WORDS}


def test_the_same_message_gets_the_same_explanation(ensemble: Ensemble) -> None:
    one, other = (explained(ensemble, SMS[1], seconds=60.0) for _ in range(2))
    assert one.as_json() == other.as_json()


def test_more_time_gives_shorter_passages(ensemble: Ensemble) -> None:
    few, many = (explained(ensemble, MESSAGES["long"], seconds=seconds) for seconds in (0.01, 60.0))
    assert len(few.spans) < len(many.spans)
    assert abs(few.missing) < 1e-9


def test_disguised_words_are_named_as_they_were_written(ensemble: Ensemble) -> None:
    found = explained(ensemble, DISGUISED, seconds=60.0)
    written = {span.text: (span.kind, span.written) for span in found.spans if span.written}
    assert written == {
        "viagra": (SpanKind.LOOK_ALIKE, "V\u0456\u0430gr\u0430"),
        "cialis": (SpanKind.HIDDEN, "c\u200bi\u200balis"),
        "valium": (SpanKind.SPACED, "v.a.l.i.u.m"),
    }
    assert "written with look-alike characters" in " ".join(reason.sentence for reason in found.reasons())
    assert next(fact for fact in found.facts if fact.name == "text_look_alikes").moved > 0


def test_what_would_be_without_the_link_is_what_a_mail_without_one_gets(ensemble: Ensemble) -> None:
    found = explained(ensemble, LINKED, seconds=60.0)
    [without] = [one for one in found.counterfactuals if one.without == 'the link to "192.0.2.7"']
    assert without.probability < found.score.probability
    never = explained(ensemble, LINKED.replace(b"http://192.0.2.7/login ", b""))
    assert without.probability == pytest.approx(never.score.probability, abs=0.05)


def test_a_recalled_message_says_so(ensemble: Ensemble, tmp_path: Path) -> None:
    examined = ensemble.examine(Message(FIRST, "test"))
    assert isinstance(examined, Examined)
    exemplar = Exemplar("c" * 64, Label.HAM, time.time(), examined.fingerprint, examined.pooled)
    Memory(ensemble.model_id, [exemplar]).save(file_of(tmp_path / "memory.npz", ensemble.model_id))
    knowing = Ensemble.load(default_bundle(), cascade=False, memory=tmp_path / "memory.npz", turns_at=[0.5, 0.9])
    found = check(knowing, NEXT)
    assert found.memory < 0
    assert found.score.recalled is not None
    assert any(reason.rule == "RECALLED_HAM" for reason in found.reasons())
    [without] = [one for one in found.counterfactuals if one.without == "what people marked before"]
    assert without.probability == pytest.approx(explained(ensemble, NEXT).score.probability)
    assert check(knowing, FOREIGN).memory == 0


@pytest.mark.parametrize("weights", [{}, {"a": 1.5, "b": -0.5}, {"a": 2.0, "b": -2.0}, {"a": 1e-12}, {"a": 9.0}])
def test_shares_of_facts_add_up_through_a_bound(weights: dict[str, float]) -> None:
    shares = fact_shares(weights, lambda total: 2.0 * math.tanh((total - 0.3) / 1.5))
    whole = 2.0 * (math.tanh((sum(weights.values()) - 0.3) / 1.5) - math.tanh(-0.2))
    assert sum(shares.values()) == pytest.approx(whole, abs=1e-9)
    assert all(shares[name] * weight > 0 for name, weight in weights.items())
