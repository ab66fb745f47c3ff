"""The codec: any bytes, any pieces, and a clear error for what is no frame."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.sampled import Sampled
from spamfilter.document import extract, render
from spamfilter.engine import frames
from spamfilter.message import Envelope, Kind, Message, Peer
from spamfilter.verdict import Failure, FailureKind, Label, Recall, Score

# What SMTP puts into an envelope is not always text: undecodable bytes arrive as lone surrogates.
text = st.text(st.characters(), max_size=40)
peers = st.builds(Peer, text, st.integers(0, 65535), text)
envelopes = st.builds(Envelope, st.none() | text, st.lists(text, max_size=4).map(tuple), st.none() | peers)
messages = st.builds(Message, st.binary(max_size=3000), text, envelopes, st.sampled_from(Kind), text)
units = st.floats(0, 1)
scores = st.builds(
    Score,
    units,
    st.dictionaries(text, units, max_size=4),
    text,
    st.dictionaries(text, units, max_size=3),
    st.booleans(),
    st.none() | st.builds(Recall, text, st.sampled_from([Label.HAM, Label.SPAM]), st.floats(0, 2e9), units),
)
outcomes = scores | st.builds(Failure, st.sampled_from(FailureKind), text)
headers = st.dictionaries(text, text | st.integers() | st.booleans(), max_size=5)


@given(st.integers(0), messages, st.booleans())
def test_message_survives(number: int, message: Message, last: bool) -> None:
    (frame,) = frames.Decoder().feed(frames.encode_message(number, message, last=last))
    assert frames.decode_message(frame) == (number, message, last)


@given(st.integers(0), outcomes)
def test_answer_survives(number: int, outcome: Score | Failure) -> None:
    (frame,) = frames.Decoder().feed(frames.encode_answer(number, outcome))
    assert frames.decode_answer(frame) == (number, outcome)


@given(st.lists(st.tuples(headers, st.binary(max_size=500)), max_size=6), st.lists(st.integers(1, 300), min_size=1))
def test_frames_survive_any_split(wanted: list[tuple[dict[str, Any], bytes]], sizes: list[int]) -> None:
    stream = b"".join(frames.encode(header, body) for header, body in wanted)
    decoder, found, at, turn = frames.Decoder(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert found == wanted


@given(st.lists(st.tuples(headers, st.binary(max_size=500)), max_size=6))
def test_blocking_read_gives_the_same(wanted: list[tuple[dict[str, Any], bytes]]) -> None:
    stream = io.BytesIO(b"".join(frames.encode(header, body) for header, body in wanted))
    assert [frames.read(stream) for _ in wanted] == wanted
    assert frames.read(stream) is None


@given(st.integers(0), st.builds(Sampled, text, units, text, units, st.binary(max_size=3000)))
def test_a_sample_survives(number: int, sample: Sampled) -> None:
    (frame,) = frames.Decoder().feed(frames.encode_answer(number, sample))
    assert frames.decode_answer(frame) == (number, sample)


@given(st.integers(0), scores, st.binary(max_size=300), st.sampled_from(Kind))
def test_what_was_examined_survives(number: int, score: Score, raw: bytes, kind: Kind) -> None:
    document = extract(raw, kind)
    fingerprint, pooled = np.arange(64, dtype=np.uint32) << 20, np.linspace(-3, 3, 7).astype(np.float16)
    examined = Examined(score, document, *render(document), fingerprint, pooled)
    (frame,) = frames.Decoder().feed(frames.encode_answer(number, examined))
    back_number, back = frames.decode_answer(frame)
    assert back_number == number and isinstance(back, Examined)
    assert (back.score, back.document, back.head, back.tail) == (score, document, *render(document))
    assert back.fingerprint.tolist() == fingerprint.tolist() and back.pooled.tolist() == pooled.tolist()


def test_a_message_may_ask_to_be_examined() -> None:
    message = Message(b"x", "cli")
    for ask in frames.Ask:
        (frame,) = frames.Decoder().feed(frames.encode_message(1, message, last=True, ask=ask))
        assert frames.asked(frame) is ask
        assert frames.decode_message(frame) == (1, message, True)


@given(st.data())
def test_a_stream_cut_within_a_frame_is_an_error(data: st.DataObject) -> None:
    whole = frames.encode({"a": 1}, b"body")
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(frames.FrameError, match="ends within a frame"):
        frames.read(io.BytesIO(cut))


@given(st.binary(max_size=400))
def test_noise_is_an_error_or_nothing(noise: bytes) -> None:
    for use in (lambda: frames.Decoder().feed(noise), lambda: frames.read(io.BytesIO(noise))):
        with contextlib.suppress(frames.FrameError):
            use()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff" * 8, id="lengths beyond reason"),
        pytest.param(b"\0\0\0\2\0\0\0\0{]", id="broken JSON"),
        pytest.param(b"\0\0\0\2\0\0\0\0\xff\xfe", id="not ASCII"),
        pytest.param(b"\0\0\0\2\0\0\0\0[]", id="not an object"),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.Decoder().feed(data)
    with pytest.raises(frames.FrameError):
        frames.read(io.BytesIO(data))


def test_a_frame_of_the_wrong_sort_is_refused() -> None:
    with pytest.raises(frames.FrameError, match="not a message"):
        frames.decode_message(frames.Frame({"n": 1}))
    with pytest.raises(frames.FrameError, match="not an answer"):
        frames.decode_answer(frames.Frame({"n": 1}))
    with pytest.raises(frames.FrameError, match="not an answer"):
        frames.decode_answer(frames.Frame({"n": 1, "failure": "weather", "detail": ""}))
    whole = {"n": 1, "probability": 0.5, "stages": {}, "model": "m", "timings": {}, "known": False}
    for broken in ({"recalled": ["c", "unsure?", 1, 1]}, {"recalled": ["c"]}, {"examined": {}}, {"examined": 7}):
        with pytest.raises(frames.FrameError, match="not an answer"):
            frames.decode_answer(frames.Frame({**whole, **broken}))
