"""Puts the three kinds of evidence together: n-grams at home, facts abroad, the GPT for what language means.

Each stage's linear score is mapped to a probability of its own (for people), and a weighted sum of the scores to the
calibrated one that decides. Mail with headers and bare text (SMS, posts) are put together apart, since of a bare text
only the facts about its words are known. Weights and calibration stand in the bundle's manifest.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spamfilter.classifier.bundle import Bundle, BundleError, open_bundle
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.gpt_runtime import GptRuntime
from spamfilter.classifier.ngram import NgramModel
from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import Document, extract, render
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure, FailureKind, Score

SELF_TEST = "selftest.json"
SELF_TEST_TOLERANCE = 0.05
"""How far a probability may lie from the exporting machine's: int8 kernels differ between processors."""


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)) without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def counted(how: Mapping[str, Any], score: float) -> float:
    """What a stage's linear score adds to the logit: its distance from the centre in units, bounded where so said."""
    value = (score - how["centre"]) / how["unit"]
    return float(how["weight"] * (math.tanh(value) if how["bounded"] else value))


class Ensemble:
    """A loaded bundle. Implements `classifier.Classifier`."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        self.bundle = bundle
        self.model_id = bundle.model_id
        self._together: Mapping[str, Any] = bundle.manifest["ensemble"]
        self._context = int(bundle.manifest["context"])
        self._tokenizer = Tokenizer.load(bundle.file("tokenizer.tiktoken"))
        self._ngram = NgramModel.load(bundle.file("ngram.npz"))
        self._facts = FactsModel.load(bundle.file("facts.npz"))
        self._gpt = GptRuntime(bundle.file("gpt.onnx"), threads=threads)

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> Ensemble:
        """Open, check hashes, load and self-test a bundle. Raises BundleError."""
        bundle = open_bundle(path)
        bundle.verify()
        try:
            ensemble = cls(bundle, threads=threads)
        except BundleError:
            raise
        except Exception as error:  # a damaged graph or array raises whatever its reader raises
            raise BundleError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
        ensemble.self_test()
        return ensemble

    def self_test(self) -> None:
        """Score the bundle's own samples and compare. Raises BundleError."""
        for case in json.loads(self.bundle.file(SELF_TEST).read_text("utf-8")):
            outcome = self.score([Message(case["raw"].encode(), "selftest", kind=Kind(case["kind"]))])[0]
            if isinstance(outcome, Failure):
                raise BundleError(f"{self.bundle.path}: self-test {case['name']!r} failed: {outcome.detail}")
            if abs(outcome.probability - case["probability"]) > SELF_TEST_TOLERANCE:
                raise BundleError(
                    f"{self.bundle.path}: self-test {case['name']!r} gave {outcome.probability:.3f}, "
                    f"the bundle says {case['probability']:.3f}"
                )

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        """One outcome a message, in order."""
        return [self._score(message) for message in messages]

    def _score(self, message: Message) -> Score | Failure:
        started = time.perf_counter()
        try:
            document = extract(message.raw, message.kind)
            extracted = time.perf_counter()
            scores, steps = self._stages(document)
        except Exception as error:  # the seam's contract: content never raises
            return Failure(FailureKind.UNPARSABLE, f"{type(error).__name__}: {error}"[:200])
        timings = {"document": (extracted - started) * 1e3, **steps, "total": (time.perf_counter() - started) * 1e3}
        return self._together_as("mail" if document.has_headers else "text", scores, timings)

    def _stages(self, document: Document) -> tuple[dict[str, float], dict[str, float]]:
        """Linear scores by stage, and milliseconds by step."""
        t0 = time.perf_counter()
        head, tail = render(document)
        ngram, worst = self._ngram.judge(head, tail)
        scores = {"ngram": ngram, "facts": self._facts.score(document.facts)}
        t1 = time.perf_counter()
        window = self._tokenizer.window(head, tail, self._context, worst)
        t2 = time.perf_counter()
        scores["gpt"], _ = self._gpt.score(window)
        t3 = time.perf_counter()
        return scores, {"ngram": (t1 - t0) * 1e3, "tokenise": (t2 - t1) * 1e3, "gpt": (t3 - t2) * 1e3}

    def _together_as(self, kind: str, scores: Mapping[str, float], timings: Mapping[str, float]) -> Score:
        mode = self._together[kind]
        logit = mode["bias"] + sum(counted(mode["stages"][stage], score) for stage, score in scores.items())
        stages = {
            stage: sigmoid(self._together["stages"][stage]["scale"] * score + self._together["stages"][stage]["bias"])
            for stage, score in scores.items()
        }
        return Score(sigmoid(logit), stages, self.model_id, timings)
