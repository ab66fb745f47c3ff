"""Hashed n-grams: stable ids, unit length, the same score before and after the file."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import (
    CHAR_BITS,
    DIMENSION,
    HEAD_CHARACTERS,
    PASSAGE_CHARACTERS,
    WORD_BITS,
    NgramModel,
    features,
    passages,
    weigh,
    whole,
)
from spamfilter.document import extract, render
from spamfilter.facts import NAMES

EXAMPLES = Path(__file__).parents[2] / "examples" / "messages"
MASK = (1 << 64) - 1


def plain_counts(text: str) -> Counter[int]:
    """The definition of a text's features, one by one: what every bundle's weights were fitted on."""
    hashes, previous = [], 0
    for word in re.findall(r"[^\W_]+(?:['’][^\W_]+)?|[^\w\s]", text):
        value = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        hashes += [value, (value * 31 + previous * 17 + 7) % (1 << 32)]
        previous = value
    for line in text[:600].split("\n")[:5]:
        name, colon, rest = line.partition(": ")
        if colon and name in ("from", "subject", "links", "files", "flags"):
            salt = zlib.crc32(name.encode())
            hashes += [zlib.crc32(word.encode("utf-8", "surrogatepass"), salt) for word in rest.split()[:40]]
    found = Counter((value * 0x9E3779B97F4A7C15 & MASK) >> 46 for value in hashes)
    data = b" " + text.encode("utf-8", "surrogatepass") + b" "
    for n in (3, 4, 5):
        for start in range(len(data) - n + 1):
            value = n
            for byte in data[start : start + n]:
                value = value * 257 + byte
            found[((value * 0x9E3779B97F4A7C15 & MASK) >> 45) + (1 << 18)] += 1
    return found


def plain_score(model: NgramModel, text: str) -> float:
    """The definition of a text's score, from the plain features."""
    counts = plain_counts(text)
    parts = []
    for part in ([i for i in counts if i < 1 << 18], [i for i in counts if i >= 1 << 18]):
        values = np.array([(1 + np.log(counts[i])) * float(model.idf[i]) for i in part])
        norm = np.linalg.norm(values)
        parts.append(float(values @ model.weights[part]) / float(norm) if norm > 0 else 0.0)
    return sum(parts) + model.bias


def random_model() -> NgramModel:
    rng = np.random.default_rng(3)
    idf = rng.uniform(1, 8, DIMENSION) * (rng.random(DIMENSION) < 0.9)
    return NgramModel(rng.normal(size=DIMENSION).astype(np.float32), idf.astype(np.float32), 0.25)


MODEL = random_model()
WORDS = st.one_of(
    st.text(st.characters(), max_size=12),  # lone surrogates and all
    st.text("abcXYZ019_'’", max_size=12),
    st.text("a'", max_size=12),
    st.text(" \t\n\x0b\x1c\x1f\x85\xa0_", max_size=4),
    st.sampled_from(
        ["free", "don't", "it's", "é", "祝您好", "\U0001f600", "\ud83d", "$$$", "x" * 64, "y" * 65, "z" * 700]
    ),
    st.sampled_from(
        ["\nsubject: a prize, really", "from: Bob <b@example.org>\n", "flags: html\x1cbare\n", "\nlinks: "]
    ),
)
SEPARATORS = st.sampled_from([" ", " ", " ", "", "  ", "\n", "\n\n", ", "])
PIECES = st.lists(st.tuples(WORDS, SEPARATORS), max_size=40).map(lambda found: "".join(a + b for a, b in found))
TEXTS = st.builds(lambda text, times: text * times, PIECES, st.sampled_from([1, 1, 2, 7, 40]))


@given(st.text(max_size=2000))
def test_features_are_sorted_unique_and_in_range(text: str) -> None:
    ids, counts = features(text)
    assert ids.dtype == np.int32 and counts.dtype == np.float32
    assert (np.diff(ids) > 0).all()
    assert len(ids) == 0 or (ids[0] >= 0 and ids[-1] < DIMENSION)
    assert (counts >= 1).all()


@settings(max_examples=200, deadline=None)
@given(TEXTS.map(lambda text: text[:1500]))
@example("")
@example("a'b'c 'd' e''f g'")
@example("a'" * 12 + " and many letters without any of them" * 8)
@example("x" * 64 + "'" + "y" * 64)
@example("subject: one\x1ftwo three\n" + "w " * 600)
def test_features_are_those_of_the_plain_definition(text: str) -> None:
    plain = plain_counts(text)
    ids, counts = features(text)
    assert ids.tolist() == sorted(plain)
    assert np.array_equal(counts, 1 + np.log(np.array([plain[i] for i in ids.tolist()], np.float32)))


@settings(max_examples=120, deadline=None)
@given(TEXTS, st.one_of(st.just(""), TEXTS))
@example("", "e")
@example("abc", "tail")
@example("word " * 300, "t")
@example("w" * 5000, "")  # words that are cut in two
@example("it's " + "a'" * 2000, "end'")
@example("é" * 1300 + " \ud83d " + "don’t " * 300, "\ude00 end")
@example(("x" * 509 + " ") * 9, "")  # a first passage that ends within the preamble
def test_all_at_once_is_what_each_passage_gives_alone(head: str, tail: str) -> None:
    texts = passages(head, tail)
    score, worst = MODEL.judge(head, tail)
    expected = plain_score(MODEL, whole(head, tail))
    if not texts:
        assert score == pytest.approx(expected, abs=1e-5) and worst == ""
        return
    scores = [plain_score(MODEL, text) for text in texts]
    assert score == pytest.approx((expected + max(scores)) / 2, abs=1e-5)
    close = [text for text, one in zip(texts, scores, strict=True) if one > max(scores) - 1e-5]
    assert worst in close or (worst == "" and texts[0] in close)


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_example_messages_score_as_the_plain_definition_has_it(path: Path) -> None:
    head, tail = render(extract(path.read_bytes()))
    long = f"{head}\n{tail} " * 3
    for text in (head, long):
        texts = passages(text, tail)
        scores = [plain_score(MODEL, one) for one in texts]
        expected = plain_score(MODEL, whole(text, tail))
        worst = int(np.argmax(scores)) if texts else 0
        score, found = MODEL.judge(text, tail)
        assert score == pytest.approx((expected + scores[worst]) / 2 if texts else expected, abs=1e-5)
        assert found == (texts[worst] if worst else "")


def test_ids_never_change() -> None:
    """A bundle's weights stand at these places: other ids would silently make it another model."""
    ids, _ = features("win cash")
    words = ids[ids < 1 << WORD_BITS].tolist()
    assert len(words) == 4  # two words, two pairs with what came before
    assert int(ids.sum()) == IDS_SUM
    assert DIMENSION == (1 << WORD_BITS) + (1 << CHAR_BITS)


IDS_SUM = 12831865


def test_words_of_the_subject_also_count_as_such() -> None:
    subject = set(features("subject: prize\nhello")[0].tolist())
    body = set(features("hello prize")[0].tolist())
    assert len({i for i in subject - body if i < 1 << WORD_BITS}) > 0


def test_both_parts_have_unit_length() -> None:
    ids, counts = features("some words of a mail, some more")
    values = weigh(ids, counts.copy(), np.ones(DIMENSION, np.float32))
    cut = np.searchsorted(ids, 1 << WORD_BITS)
    assert np.linalg.norm(values[:cut]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(values[cut:]) == pytest.approx(1, abs=1e-5)


@given(st.text("ab \n", max_size=6000), st.text("c ", max_size=1500))
def test_passages_are_the_text_in_bounded_pieces(head: str, tail: str) -> None:
    found = passages(head, tail)
    assert len(found) != 1
    assert all(len(text) <= PASSAGE_CHARACTERS * 5 // 4 for text in found)
    if found:
        assert "".join(found).startswith(head[:HEAD_CHARACTERS])
        assert not tail or found[-1] == tail[-PASSAGE_CHARACTERS:]


def test_good_words_around_a_spam_do_not_dilute_it_away() -> None:
    weights = np.zeros(DIMENSION, np.float32)
    spam, ham = features("prize")[0], features("lunch")[0]
    weights[spam], weights[ham] = 1.0, -1.0
    model = NgramModel(weights, np.ones(DIMENSION, np.float32), 0.0)
    bad, good = "prize " * 60, "lunch " * 200
    score, worst = model.judge(f"{good}{bad}{good}")
    assert "prize" in worst and score > model.score_text(whole(f"{good}{bad}{good}"))
    assert model.judge("prize") == (model.score_text("prize"), "")
    assert model.judge(bad + good * 2)[1] == ""  # the first passage is read anyway


def test_the_model_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=DIMENSION).astype(np.float16).astype(np.float32)
    model = NgramModel(half, np.ones(DIMENSION, np.float32), 0.25)
    model.save(tmp_path / "n.npz")
    assert NgramModel.load(tmp_path / "n.npz").score("hello", "end") == pytest.approx(model.score("hello", "end"))


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "n.npz", weights=np.zeros(5), idf=np.zeros(5), bias=np.float64(0))
    with pytest.raises(ValueError, match="expected arrays"):
        NgramModel.load(tmp_path / "n.npz")


def test_facts_add_their_weights_and_unknown_ones_nothing(tmp_path: Path) -> None:
    model = FactsModel(np.arange(len(NAMES), dtype=np.float32), 0.5)
    assert model.score({}) == 0.5
    assert model.score({NAMES[3]: True, NAMES[7]: True, NAMES[9]: False}) == 10.5
    model.save(tmp_path / "f.npz")
    assert FactsModel.load(tmp_path / "f.npz").score({NAMES[2]: True}) == 2.5


def test_facts_of_another_version_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", weights=np.zeros(1), bias=np.float64(0), names=np.array(["old"]))
    with pytest.raises(ValueError, match="not those"):
        FactsModel.load(tmp_path / "f.npz")
