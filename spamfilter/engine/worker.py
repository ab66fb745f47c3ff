"""The child process that parses and classifies: `python -m spamfilter.engine.worker`, spoken to in frames.

It opens its bundle, says so, then answers batch after batch until its standard input ends. It keeps no state
worth a goodbye, so the daemon may SIGKILL it at any instant; and it never outlives the daemon.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from spamfilter.classifier import Classifier
from spamfilter.classifier.examined import Examined, document_from_json
from spamfilter.classifier.explanation import Explanation
from spamfilter.classifier.sampled import Sampled
from spamfilter.engine import frames
from spamfilter.engine.frames import Ask
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score

MIB = 1024 * 1024
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    """Load, tell, serve; returns the exit status."""
    options = _options()
    requests, answers = _claim_pipes()
    _confine(options.parent, options.memory_mib)
    started = time.perf_counter()
    try:
        classifier = _factory(options.factory)(options.bundle, **options.options)
    except Exception as error:
        traceback.print_exc()
        _send(answers, frames.encode({"failed": f"{type(error).__name__}: {error}"}))
        return 1
    load_s = time.perf_counter() - started
    _send(answers, frames.encode({"ready": True, "model": classifier.model_id, "load_s": load_s}))
    with contextlib.suppress(BrokenPipeError):
        serve(classifier, requests, answers)
    return 0


def serve(classifier: Classifier, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every batch that `requests` brings, until it ends."""
    while (frame := frames.read(requests)) is not None:
        number, message, last = frames.decode_message(frame)
        numbers, messages, asks, times = [number], [message], [frames.asked(frame)], [frames.seconds(frame)]
        while not last:
            if (frame := frames.read(requests)) is None:
                return
            number, message, last = frames.decode_message(frame)
            numbers.append(number)
            messages.append(message)
            asks.append(frames.asked(frame))
            times.append(frames.seconds(frame))
        wanted = [*zip(messages, asks, times, strict=True)]
        scored = iter(score(classifier, [one for one, ask, _ in wanted if ask is Ask.SCORE]))
        outcomes = [
            next(scored) if ask is Ask.SCORE else examined(classifier, one, ask, seconds)
            for one, ask, seconds in wanted
        ]
        _send(answers, b"".join(map(frames.encode_answer, numbers, outcomes)))


def score(classifier: Classifier, messages: Sequence[Message]) -> list[Score | Failure]:
    """What the classifier says; where it breaks its promise not to raise, only the message at fault fails."""
    try:
        outcomes = classifier.score(messages)
        if len(outcomes) != len(messages):
            raise ValueError(f"{len(outcomes)} outcomes for {len(messages)} messages")
        return [_checked(outcome) for outcome in outcomes]
    except Exception as error:
        if len(messages) == 1:
            return [_fault(error)]
    return [score(classifier, [message])[0] for message in messages]


def examined(
    classifier: Classifier, message: Message, ask: Ask = Ask.EXAMINE, seconds: float = 0.0
) -> Examined | Sampled | Explanation | Failure:
    """What is asked of a message beside its score; a failure where the classifier breaks its promise not to raise."""
    try:
        if ask is Ask.DOCUMENT:
            return classifier.examine_document(document_from_json(json.loads(message.raw)))
        if ask is Ask.SAMPLE:
            return classifier.sample(message)
        if ask is Ask.EXPLAIN:
            return classifier.explain(message, seconds)
        return classifier.examine(message)
    except Exception as error:
        return _fault(error)


def _checked(outcome: Score | Failure) -> Score | Failure:
    if isinstance(outcome, Score) and not 0 <= outcome.probability <= 1:
        return Failure(FailureKind.UNPARSABLE, f"the classifier answered {outcome.probability}, not a probability")
    return outcome


def _fault(error: Exception) -> Failure:
    """Where the code failed. Not what the error says: that may quote the mail."""
    places = traceback.extract_tb(error.__traceback__)
    where = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "an unknown place"
    return Failure(FailureKind.UNPARSABLE, f"the classifier failed: {type(error).__name__} at {where}")


def _send(answers: BinaryIO, data: bytes) -> None:
    answers.write(data)
    answers.flush()


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under descriptors of our own, so that what a library prints cannot corrupt a frame."""
    requests = os.fdopen(os.dup(0), "rb", buffering=MIB)
    answers = os.fdopen(os.dup(1), "wb", buffering=MIB)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


def _confine(parent: int, memory_mib: int) -> None:
    """Signals, core files, memory: what a process that reads strangers' mail may do."""
    faulthandler.enable()
    # The daemon drains on these and ends its workers itself; systemd and a terminal send them to everybody.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold mail
    if memory_mib:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = memory_mib * MIB
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
    if sys.platform == "linux":
        import ctypes

        # The end of input is seen only between batches; this also ends a worker that hangs when the daemon is killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        sys.exit(0)


def _factory(name: str) -> Callable[..., Classifier]:
    module, _, function = name.partition(":")
    found: Callable[..., Classifier] = getattr(importlib.import_module(module), function)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spamfilter.engine.worker", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--factory", required=True, metavar="MODULE:FUNCTION")
    parser.add_argument("--options", type=json.loads, default={}, help="the factory's keyword arguments, as JSON")
    parser.add_argument("--memory-mib", type=int, default=0, help="limit of private memory; 0: none")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is not the parent")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
