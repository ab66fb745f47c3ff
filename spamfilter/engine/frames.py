"""What goes through the pipes between the daemon and its workers: a small JSON header and raw bytes, never a pickle.

A frame is two lengths (unsigned 32 bit, network order), the header as ASCII JSON, then the body. The daemon sends
message frames and gets one `ready` (or `failed`) frame at the start and one answer frame for each message. A message
may ask to be examined; its answer then holds what learning needs beside the score.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, BinaryIO, NamedTuple

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.explanation import Explanation
from spamfilter.classifier.sampled import Sampled
from spamfilter.message import Envelope, Kind, Message, Peer
from spamfilter.verdict import Failure, FailureKind, Label, Recall, Score

_LENGTHS = struct.Struct("!II")
MAX_HEADER = 16 * 1024 * 1024
MAX_BODY = 1024 * 1024 * 1024


class Ask(StrEnum):
    """What is wanted of a message: its score, all that learning needs of it, the latter of a kept document, whose JSON
    then stands in the message's place, what is kept of a message that nobody labelled, or why it gets its score."""

    SCORE = "score"
    EXAMINE = "examine"
    DOCUMENT = "document"
    SAMPLE = "sample"
    EXPLAIN = "explain"


Answer = Score | Examined | Sampled | Explanation
Outcome = Answer | Failure
ANSWERS: Mapping[Ask, type[Answer]] = {
    Ask.SCORE: Score,
    Ask.EXAMINE: Examined,
    Ask.DOCUMENT: Examined,
    Ask.SAMPLE: Sampled,
    Ask.EXPLAIN: Explanation,
}
"""What is answered to each request, where nothing fails."""


class FrameError(Exception):
    """The bytes are no frame, or not one that is expected here: the other end is broken."""


class Frame(NamedTuple):
    """One unit on the pipe."""

    header: dict[str, Any]
    body: bytes = b""


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """A frame as bytes."""
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))


class Decoder:
    """Cuts a stream that arrives in pieces of any size into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises FrameError; what follows a broken frame is lost."""
        self._buffer += data
        complete, start = [], 0
        while len(self._buffer) - start >= _LENGTHS.size:
            head_size, body_size = _sizes(self._buffer[start : start + _LENGTHS.size])
            head_at = start + _LENGTHS.size
            body_at = head_at + head_size
            end = body_at + body_size
            if len(self._buffer) < end:
                break
            complete.append(Frame(_header(self._buffer[head_at:body_at]), bytes(self._buffer[body_at:end])))
            start = end
        del self._buffer[:start]
        return complete


def read(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking, buffered stream; None at its end. Raises FrameError when cut off within a frame."""
    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    head_size, body_size = _sizes(lengths)
    head, body = stream.read(head_size), stream.read(body_size)
    if len(head) < head_size or len(body) < body_size:
        raise FrameError("the stream ends within a frame")
    return Frame(_header(head), body)


def _sizes(lengths: bytes | bytearray) -> tuple[int, int]:
    if len(lengths) < _LENGTHS.size:
        raise FrameError("the stream ends within a frame")
    head_size, body_size = _LENGTHS.unpack(lengths)
    if head_size > MAX_HEADER or body_size > MAX_BODY:
        raise FrameError(f"not a frame: header of {head_size} bytes, body of {body_size}")
    return head_size, body_size


def _header(data: bytes | bytearray) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except ValueError as error:
        raise FrameError(f"header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise FrameError("header is not a JSON object")
    return header


def encode_message(number: int, message: Message, *, last: bool, ask: Ask = Ask.SCORE, seconds: float = 0.0) -> bytes:
    """A message for a worker. `number` comes back in the answer; `last` closes the batch; an explanation may take so
    many `seconds`."""
    envelope = message.envelope
    peer = envelope.peer
    header = {
        "n": number,
        "last": last,
        "id": message.id,
        "channel": message.channel,
        "kind": message.kind.value,
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "peer": (peer.address, peer.port, peer.name) if peer else None,
    }
    if ask is not Ask.SCORE:
        header["ask"] = ask.value
    if ask is Ask.EXPLAIN:
        header["seconds"] = seconds
    return encode(header, message.raw)


def decode_message(frame: Frame) -> tuple[int, Message, bool]:
    """(number, message, last of its batch). Raises FrameError."""
    header = frame.header
    try:
        peer = Peer(*header["peer"]) if header["peer"] else None
        envelope = Envelope(header["from"], tuple(header["to"]), peer)
        message = Message(frame.body, header["channel"], envelope, Kind(header["kind"]), header["id"])
        return header["n"], message, header["last"]
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(f"not a message: {error!r}") from None


def asked(frame: Frame) -> Ask:
    """What is wanted of the message in a frame. Raises FrameError."""
    try:
        return Ask(frame.header.get("ask", Ask.SCORE))
    except ValueError as error:
        raise FrameError(f"not a request: {error}") from None


def seconds(frame: Frame) -> float:
    """What the explanation of the message in a frame may take. Raises FrameError."""
    try:
        return float(frame.header.get("seconds", 0.0))
    except (TypeError, ValueError) as error:
        raise FrameError(f"not a time: {error}") from None


def encode_answer(number: int, outcome: Outcome) -> bytes:
    """A worker's answer to message `number`."""
    if isinstance(outcome, Failure):
        return encode({"n": number, "failure": outcome.kind.value, "detail": outcome.detail})
    if isinstance(outcome, Sampled):
        told = (outcome.model_id, float(outcome.probability), outcome.language, float(outcome.unknown))
        return encode({"n": number, "sampled": told}, outcome.inputs)
    if isinstance(outcome, Examined):
        return encode({"n": number, **_score(outcome.score), "examined": outcome.as_json()})
    if isinstance(outcome, Explanation):
        return encode({"n": number, **_score(outcome.score), "explained": outcome.as_json()})
    return encode({"n": number, **_score(outcome)})


def decode_answer(frame: Frame) -> tuple[int, Outcome]:
    """(number, outcome). Raises FrameError."""
    header = frame.header
    try:
        if "failure" in header:
            return header["n"], Failure(FailureKind(header["failure"]), header["detail"])
        if "sampled" in header:
            model, probability, language, unknown = header["sampled"]
            return header["n"], Sampled(model, probability, language, unknown, frame.body)
        recalled = _recall(*header["recalled"]) if "recalled" in header else None
        probability, stages, model = header["probability"], header["stages"], header["model"]
        score = Score(probability, stages, model, header["timings"], header["known"], recalled, header["content"])
        if "explained" in header:
            return header["n"], Explanation.from_json(score, header["explained"])
        return header["n"], Examined.from_json(score, header["examined"]) if "examined" in header else score
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(f"not an answer: {error!r}") from None


def _score(score: Score) -> dict[str, Any]:
    values: dict[str, Any] = {
        "probability": float(score.probability),  # float(): linear stages like to return numpy's
        "stages": {name: float(value) for name, value in score.stages.items()},
        "model": score.model_id,
        "timings": {name: float(value) for name, value in score.timings.items()},
        "known": score.known,
        "content": score.content,
    }
    if score.recalled is not None:
        recalled = score.recalled
        values["recalled"] = (recalled.content, recalled.label.value, float(recalled.time), float(recalled.similarity))
    return values


def _recall(content: str, label: str, time: float, similarity: float) -> Recall:
    return Recall(content, Label(label), time, similarity)
