"""From paths to outcomes, in the order of the paths and as they come: in this process, or over an engine's workers."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from spamfilter.classifier import Classifier
from spamfilter.message import Message, kind_of
from spamfilter.scanner import Engine
from spamfilter.verdict import Failure, FailureKind, Score

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one path: a score, or in words why there is none.

    `ms` is what the classifier says it took, and where it says nothing the time around it.
    """

    path: str
    result: Score | str
    around_ms: float

    @property
    def ms(self) -> float:
        """Milliseconds."""
        timings = {} if isinstance(self.result, str) else self.result.timings
        return timings.get("total", self.around_ms)


Emit = Callable[[Outcome], None]


def read_message(path: str, limit: int) -> Message | str:
    """The message in a file, or standard input for `-`; or in words why it cannot be read. `limit` is in bytes."""
    try:
        if path == STDIN:
            raw = sys.stdin.buffer.read(limit + 1)
        else:
            with open(os.fsencode(path), "rb") as file:  # noqa: PTH123 -- a Path would normalise what was given
                raw = file.read(limit + 1)
    except (OSError, ValueError) as error:
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if len(raw) > limit:
        return f"{FailureKind.TOO_LARGE}: more than {limit} bytes (engine.max_message_mib)"
    return Message(raw, "cli", kind=kind_of(raw))


def scan_here(paths: Iterable[str], classifier: Classifier, *, batch: int, limit: int, emit: Emit) -> None:
    """Score in this process, `batch` messages at a time; each batch is emitted before the next is read."""
    remaining = iter(paths)
    while some := list(islice(remaining, batch)):
        started = time.perf_counter()
        read = [read_message(path, limit) for path in some]
        results = iter(_scored(classifier, [message for message in read if isinstance(message, Message)]))
        found = [message if isinstance(message, str) else next(results) for message in read]
        share = (time.perf_counter() - started) * 1000 / len(some)
        for path, result in zip(some, found, strict=True):
            emit(Outcome(path, result, share))


async def scan_over(engine: Engine, paths: Iterable[str], *, window: int, limit: int, emit: Emit) -> None:
    """Score with an engine, `window` messages under way at a time; emitted in order."""
    under_way: deque[asyncio.Task[Outcome]] = deque()

    async def one(path: str) -> Outcome:
        started = time.perf_counter()
        message = await asyncio.to_thread(read_message, path, limit)
        result = message if isinstance(message, str) else _told(await engine.score(message))
        return Outcome(path, result, (time.perf_counter() - started) * 1000)

    remaining = iter(paths)
    try:
        # the list of paths may be a pipe: waiting for it must not keep the answers waiting
        while (path := await asyncio.to_thread(next, remaining, None)) is not None:
            under_way.append(asyncio.ensure_future(one(path)))
            while under_way and (len(under_way) >= window or under_way[0].done()):
                emit(await under_way.popleft())
        while under_way:
            emit(await under_way.popleft())
    finally:
        for task in under_way:
            task.cancel()


def listed(source: str) -> Iterator[str]:
    """The paths in a list, one a line, `-` for standard input. Bytes that are not UTF-8 survive as surrogates."""
    if source == STDIN:
        yield from _lines(sys.stdin.buffer)
        return
    with Path(source).open("rb") as file:
        yield from _lines(file)


def mail_files(paths: Iterable[str]) -> Iterator[str]:
    """Paths as given, with every folder replaced by the regular files below it, in order of name.

    Of a Maildir `new` and `cur` are read, not `tmp`; hidden files and folders are left out.
    """
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path
            continue
        for folder, below, files in os.walk(path):
            maildir = {"new", "cur", "tmp"} <= set(below)
            below[:] = sorted(name for name in below if not name.startswith(".") and not (maildir and name == "tmp"))
            for name in sorted(files):
                if not name.startswith(".") and (Path(folder) / name).is_file():
                    yield os.path.join(folder, name)  # noqa: PTH118 -- as it was given, with ./ where there was one


def _lines(stream: Iterable[bytes]) -> Iterator[str]:
    for line in stream:
        path = line.removesuffix(b"\n")
        if path:
            yield path.decode("utf-8", "surrogateescape")


def _scored(classifier: Classifier, messages: Sequence[Message]) -> list[Score | str]:
    if not messages:
        return []
    try:
        return [_told(outcome) for outcome in classifier.score(messages)]
    except Exception as error:  # a fault in the model's code: the other files still get their answers
        if len(messages) == 1:
            return [f"{FailureKind.ENGINE_DOWN}: {type(error).__name__}: {error}"]
        return [result for message in messages for result in _scored(classifier, [message])]


def _told(outcome: Score | Failure) -> Score | str:
    if isinstance(outcome, Failure):
        return f"{outcome.kind}: {outcome.detail}" if outcome.detail else str(outcome.kind)
    return outcome
