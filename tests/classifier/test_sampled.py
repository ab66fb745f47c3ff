"""Samples: what is kept of a message, and that it is neither its text nor read back where it is damaged."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier import load
from spamfilter.classifier.bundle import default_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.ngram import DIMENSION, WORD_BITS, NgramModel, features, whole
from spamfilter.classifier.sampled import RARE, Sampled, hardly_met, is_open, occurrences, unknown_share, unpack
from spamfilter.facts import NAMES
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure
from tests.hostile.mails import MAILS

MAIL = (
    b"From: Ann <ann@example.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: minutes\n\n"
    b"These are the minutes of the meeting, and you will have the rest of it on Monday. Xylotomous regards.\n"
)
GERMAN = b"Sehr geehrte Damen, die Ware wird nicht vor Montag von uns verschickt und ist nun bezahlt worden."


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    made = load(default_bundle())
    assert isinstance(made, Ensemble)
    return made


def test_a_sample_holds_what_the_stages_read(ensemble: Ensemble) -> None:
    message = Message(MAIL, "test")
    sample, examined = ensemble.sample(message), ensemble.examine(message)
    assert isinstance(sample, Sampled) and isinstance(examined, Examined)
    assert (sample.model_id, sample.language) == (ensemble.model_id, "en")
    assert sample.probability == examined.score.probability
    ids, counts = features(whole(examined.head, examined.tail))
    weighed = NgramModel.load(default_bundle() / "ngram.npz").idf[ids] != 0
    found = unpack(sample.inputs)
    assert found.ids.tolist() == ids[weighed].tolist()
    assert np.log(found.times.astype(float)) + 1 == pytest.approx(counts[weighed])
    facts = dict(zip(NAMES, found.facts.tolist(), strict=True))
    assert {name: facts[name] for name in examined.document.facts} == examined.document.facts
    assert found.pooled.tolist() == examined.pooled.tolist()


def test_what_is_not_known_of_bare_text_stays_unknown(ensemble: Ensemble) -> None:
    sample = ensemble.sample(Message(b"see you at noon", "test", kind=Kind.TEXT))
    assert isinstance(sample, Sampled)
    facts = unpack(sample.inputs).facts
    assert np.isnan(facts[0]) and not np.isnan(facts).all()


def test_nobodys_text_is_in_it(ensemble: Ensemble) -> None:
    sample = ensemble.sample(Message(MAIL, "test"))
    assert isinstance(sample, Sampled)
    plain = zlib.decompress(sample.inputs[sample.inputs.index(b"\x78") :])
    for word in (b"ann", b"minutes", b"xylotomous", b"Monday"):
        assert word not in plain.lower() and word.lower() not in repr(sample).lower().encode()


def test_another_language_is_hardly_known(ensemble: Ensemble) -> None:
    english, german = (ensemble.sample(Message(raw, "test", kind=Kind.TEXT)) for raw in (MAIL, GERMAN))
    assert isinstance(english, Sampled) and isinstance(german, Sampled)
    assert german.language == "de"
    assert german.unknown > 2 * english.unknown


@pytest.mark.parametrize("name", sorted(MAILS))
def test_any_message_is_sampled_or_fails_as_a_value(ensemble: Ensemble, name: str) -> None:
    found = ensemble.sample(Message(MAILS[name](), "test"))
    assert not isinstance(found, Failure), found.detail
    assert 0 <= found.unknown <= 1 and len(found.inputs) < 200_000
    assert len(unpack(found.inputs).facts) == len(NAMES)


def test_the_unknown_share_counts_occurrences_of_words() -> None:
    idf = np.full(DIMENSION, 5.0, np.float32)
    idf[[3, 9]] = 0.0, 5.0 + np.log((1 + RARE) / 3) + 1e-3  # never met; of two messages, the others of twenty and more
    rare = hardly_met(idf)
    assert np.flatnonzero(rare).tolist() == [3, 9] and rare.shape == (1 << WORD_BITS,)
    ids = np.array([1, 3, 9, (1 << WORD_BITS) + 7], np.int32)
    assert unknown_share(ids, np.array([4, 3, 1, 90]), rare) == 0.5
    assert unknown_share(ids[3:], np.array([90]), rare) == 0.0
    assert occurrences(np.log(np.array([1, 2, 250], np.float32)) + 1).tolist() == [1, 2, 250]


def test_damaged_inputs_are_refused(ensemble: Ensemble) -> None:
    sample = ensemble.sample(Message(MAIL, "test"))
    assert isinstance(sample, Sampled)
    inputs = sample.inputs
    assert is_open(inputs) and not is_open(b"\0" + inputs)
    header = inputs[:16]
    for damaged in (b"", inputs[:10], inputs[:-9], b"smp2" + inputs[4:], inputs[:4] + b"\0\0\0\0" + inputs[8:]):
        with pytest.raises(ValueError, match="not a sample"):
            unpack(damaged)
    with pytest.raises(ValueError, match="header wants"):
        unpack(header + zlib.compress(b"\0" * 10))
    plain = bytearray(zlib.decompress(inputs[16:]))
    plain[:4] = b"\xff\xff\xff\x7f"
    with pytest.raises(ValueError, match="n-grams"):
        unpack(header + zlib.compress(bytes(plain)))


@given(st.binary(max_size=200))
def test_bytes_from_anywhere_are_a_value_error_at_most(data: bytes) -> None:
    for some in (data, b"smp1" + data):
        with pytest.raises(ValueError, match="sample"):
            unpack(some)
