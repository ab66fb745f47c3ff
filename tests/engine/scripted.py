"""Classifiers that do as the message says, for workers under test: crash, hang, raise, eat memory, wait for a file."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from spamfilter.classifier.examined import Examined
from spamfilter.classifier.explanation import Explanation
from spamfilter.classifier.ngram import DIMENSION
from spamfilter.classifier.sampled import Sampled, sampled
from spamfilter.document import Document, extract, render
from spamfilter.message import Message
from spamfilter.verdict import Failure, FailureKind, Score

FACTORY = f"{__name__}:load"


class Scripted:
    """Scores 0.25. `stages` tell who answered (pid), in a batch of how many, and the place in it."""

    model_id = "scripted-1"

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        return [self._one(message, len(messages), place) for place, message in enumerate(messages)]

    def examine(self, message: Message) -> Examined | Failure:
        outcome = self._one(message, 1, 0)
        if isinstance(outcome, Failure):
            return outcome
        return self._examined(extract(message.raw, message.kind), outcome)

    def examine_document(self, document: Document) -> Examined | Failure:
        return self._examined(document, Score(0.25, {}, self.model_id))

    def sample(self, message: Message) -> Sampled | Failure:
        examined = self.examine(message)
        return examined if isinstance(examined, Failure) else sampled(examined, np.ones(DIMENSION, np.float32))

    def explain(self, message: Message, seconds: float) -> Explanation | Failure:
        outcome = self._one(message, 1, 0)
        if isinstance(outcome, Failure):
            return outcome
        outcome = replace(outcome, stages={**outcome.stages, "seconds": seconds})
        return Explanation(outcome, 0.0, 0.0, (), (), {}, 0.0, (), "", "")

    def _examined(self, document: Document, score: Score) -> Examined:
        head, tail = render(document)
        return Examined(score, document, head, tail, np.arange(64, dtype=np.uint32), np.ones(3, np.float16))

    def _one(self, message: Message, batch: int, place: int) -> Score | Failure:
        text = message.raw.decode("latin-1")
        for word, argument in re.findall(r"^([A-Z]+)(?: (.*))?$", text, re.MULTILINE):
            match word:
                case "CRASH":
                    os._exit(3)
                case "ABORT":
                    os.abort()
                case "CRASHONCE" if not Path(argument).exists():
                    Path(argument).touch()
                    os._exit(4)
                case "CRASHINCOMPANY" if batch > 1:
                    os._exit(5)
                case "HANG":
                    time.sleep(3600)
                case "SPIN":
                    while True:
                        pass
                case "RAISE":
                    raise ValueError(text)
                case "HOG":
                    bytearray(int(argument) * 1024 * 1024)
                case "GATE":
                    while not Path(argument).exists():
                        time.sleep(0.002)
                case "PRINT":
                    print("corrupt" * 1000, flush=True)
                    os.write(1, b"\0\0\0\1" * 100)
                case "NAN":
                    return Score(float("nan"), {}, self.model_id)
                case "TOOLARGE":
                    return Failure(FailureKind.TOO_LARGE, "as told")
                case "STAGES":
                    return Score(0.25, dict.fromkeys(argument.split(), 0.5), self.model_id, {}, known="KNOWN" in text)
                case "ECHO":
                    return Score(0.25, {"bytes": len(message.raw)}, repr((message.envelope, message.kind, message.id)))
        stages: dict[str, float] = {"pid": os.getpid(), "batch": batch, "place": place}
        stages["threads"] = float(os.environ.get("OMP_NUM_THREADS", 0))
        return Score(0.25, stages, self.model_id)


class Short(Scripted):
    """Breaks the contract: one outcome too few."""

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        return super().score(messages)[1:]


def load(bundle: Path, **options: object) -> Scripted:
    """Fails where the bundle is marked as bad."""
    if (bundle / "bad").exists():
        raise ValueError("weights.onnx: hash differs")
    return Scripted()


def load_with(bundle: Path, **options: object) -> Scripted:
    """Named after the options that it was given."""
    made = Scripted()
    made.model_id = repr(sorted(options.items()))
    return made


def load_named(bundle: Path, **options: object) -> Scripted:
    """Named after its bundle's folder; one that is marked so loads once only."""
    made = load(bundle)
    made.model_id = bundle.name
    if (bundle / "bad-after-one").exists():
        (bundle / "bad-after-one").rename(bundle / "bad")
    return made


def load_short(bundle: Path) -> Scripted:
    return Short()


def load_dies(bundle: Path) -> Scripted:
    print("no such instruction", file=sys.stderr, flush=True)
    os._exit(7)


def load_hangs(bundle: Path) -> Scripted:
    time.sleep(3600)
    raise AssertionError
