"""Puts the three kinds of evidence together: n-grams at home, facts abroad, the GPT for what language means.

Each stage's linear score is mapped to a probability of its own (for people), and a weighted sum of the scores to the
calibrated one that decides. Mail with headers and bare text (SMS, posts) are put together apart, since of a bare text
only the facts about its words are known. Weights and calibration stand in the bundle's manifest. Last of all the memory
speaks: what people said of a message like this one moves the score to their side.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spamfilter.classifier.bundle import Bundle, BundleError, open_bundle
from spamfilter.classifier.campaigns import Campaigns, TextScores
from spamfilter.classifier.cascade import Cascade
from spamfilter.classifier.cascade import logit as log_odds
from spamfilter.classifier.cuttings import Cuttings
from spamfilter.classifier.disguises import disguises
from spamfilter.classifier.examined import Examined
from spamfilter.classifier.explain import explain, slope
from spamfilter.classifier.explanation import SECONDS, Explanation
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.fingerprint import fingerprint
from spamfilter.classifier.gpt_runtime import GptRuntime, Head, Network
from spamfilter.classifier.memory import Memory, MemoryFile, moved
from spamfilter.classifier.ngram import NgramModel
from spamfilter.classifier.ngram_shares import shares
from spamfilter.classifier.passages import Budget, Texts
from spamfilter.classifier.reading import Reading
from spamfilter.classifier.sampled import Sampled, sampled
from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.correction import content_hash
from spamfilter.document import Document, extract, preamble, render
from spamfilter.facts import NAMES
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure, FailureKind, Label, Score

HEAD = "head.npz"
"""A head for the GPT's state, in bundles whose head was learnt anew without the graph."""
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

    def __init__(
        self,
        bundle: Bundle,
        *,
        turns_at: Sequence[float] = (),
        cascade: bool = True,
        campaigns: int = 0,
        campaign_s: float = 0.0,
        memory: str | Path | None = None,
        threads: int = 1,
    ) -> None:
        """`turns_at`: the thresholds in force. With `cascade` the GPT may be spared where it could not turn them.

        `campaigns` texts are remembered for `campaign_s` seconds. `memory` is a file that people's corrections fill.
        """
        self.bundle = bundle
        self.model_id = bundle.model_id
        self._together: Mapping[str, Any] = bundle.manifest["ensemble"]
        self._context = int(bundle.manifest["context"])
        self._turns = tuple(log_odds(probability) for probability in turns_at)
        self._cascade = Cascade.of(bundle.manifest, turns_at) if cascade else None
        self._campaigns = Campaigns(campaigns, campaign_s)
        self._tokenizer = Tokenizer.load(bundle.file("tokenizer.tiktoken"))
        self._ngram = NgramModel.load(bundle.file("ngram.npz"))
        self._facts = FactsModel.load(bundle.file("facts.npz"))
        head = Head.load(bundle.file(HEAD)) if HEAD in bundle.manifest["files"] else None
        self._gpt: Network = GptRuntime(bundle.file("gpt.onnx"), threads=threads, head=head)
        self._memory = MemoryFile(Path(memory), self.model_id) if memory is not None else None
        self._nothing = Memory(self.model_id)

    @classmethod
    def load(cls, path: Path, **options: Any) -> Ensemble:
        """Open, check hashes, load and self-test a bundle; options as of the constructor. Raises BundleError."""
        bundle = open_bundle(path)
        bundle.verify()
        try:
            ensemble = cls(bundle, **options)
        except BundleError:
            raise
        except Exception as error:  # a damaged graph or array raises whatever its reader raises
            raise BundleError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
        ensemble.self_test()
        return ensemble

    def self_test(self) -> None:
        """Score the bundle's own samples and compare. Raises BundleError."""
        for case in json.loads(self.bundle.file(SELF_TEST).read_text("utf-8")):
            outcome = self.examine(Message(case["raw"].encode(), "selftest", kind=Kind(case["kind"])))
            if isinstance(outcome, Failure):
                raise BundleError(f"{self.bundle.path}: self-test {case['name']!r} failed: {outcome.detail}")
            probability = outcome.score.probability
            if abs(probability - case["probability"]) > SELF_TEST_TOLERANCE:
                raise BundleError(
                    f"{self.bundle.path}: self-test {case['name']!r} gave {probability:.3f}, "
                    f"the bundle says {case['probability']:.3f}"
                )

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        """One outcome a message, in order."""
        return [self._score(message) for message in messages]

    def examine(self, message: Message) -> Examined | Failure:
        """All that learning needs of a message."""
        try:
            return self._whole(extract(message.raw, message.kind), Steps())
        except Exception as error:  # the seam's contract: content never raises
            return _unparsable(error)

    def examine_document(self, document: Document) -> Examined | Failure:
        """The same of a message whose document is all that was kept."""
        try:
            return self._whole(document, Steps())
        except Exception as error:
            return _unparsable(error)

    def sample(self, message: Message) -> Sampled | Failure:
        """What is kept of a message that nobody labelled."""
        examined = self.examine(message)
        return examined if isinstance(examined, Failure) else sampled(examined, self._ngram.idf)

    def explain(self, message: Message, seconds: float = SECONDS) -> Explanation | Failure:
        """Why a message gets its score: all stages are asked and nothing is taken as known from another message.

        May take so many `seconds`; with fewer the passages are longer, and what they moved is known less exactly.
        """
        budget = Budget(seconds)
        try:
            return explain(*self.take_apart(message, budget))
        except Exception as error:
            return _unparsable(error)

    def take_apart(self, message: Message, budget: Budget) -> tuple[Reading, Texts]:
        """What an explanation is made of: what is known of a message, and its text, to be judged in parts."""
        examined = self._whole(extract(message.raw, message.kind), Steps())
        facts, head, tail = examined.document.facts, examined.head, examined.tail
        memory = self._memory.current() if self._memory is not None else self._nothing
        recall = memory.look(examined.fingerprint, examined.pooled) if len(memory) else None
        stages = {**examined.score.stages}
        if recall is not None:
            stages["memory"] = float(recall.label is Label.SPAM)
        content = content_hash(message.raw, message.kind)
        known = zip(NAMES, self._facts.weights.tolist(), strict=True)
        weights = {name: weight for name, weight in known if weight and name in facts}
        how = self._together[_mode(examined.document)]
        reading = Reading(
            score=replace(examined.score, stages=stages, recalled=recall, content=content),
            bias=float(how["bias"]),
            present={name: weight for name, weight in weights.items() if facts[name]},
            absent=[name for name in weights if not facts[name]],
            facts_add=lambda total: counted(how["stages"]["facts"], self._facts.bias + total),
            recalled=lambda logit: moved(logit, recall, self._turns) if recall is not None else logit,
            probability=sigmoid,
        )
        cuttings = Cuttings(head, tail, preamble(examined.document), disguises(message, facts))
        of_head, of_tail = shares(self._ngram, head, tail)
        total = float(of_head.sum() + of_tail.sum())
        each = slope(lambda total: counted(how["stages"]["ngram"], self._ngram.bias + total), total)
        ngram = cuttings.sums(each * of_head, each * of_tail)
        return reading, Texts(cuttings, partial(self._text_adds, how["stages"]), budget, ngram)

    def _text_adds(self, how: Mapping[str, Any], head: str, tail: str) -> tuple[float, float]:
        """What GPT and n-grams add to the logit of a text."""
        ngram, worst = self._ngram.judge(head, tail)
        gpt, _ = self._gpt.score(self._tokenizer.window(head, tail, self._context, worst))
        return counted(how["gpt"], gpt), counted(how["ngram"], ngram)

    def _whole(self, document: Document, steps: Steps) -> Examined:
        """A document read with all stages, whatever is known, remembered or sure already."""
        head, tail = render(document)
        steps.end("document")
        text = TextScores(*self._ngram.judge(head, tail))
        mode = _mode(document)
        scores = {"ngram": text.ngram, "facts": self._facts.score(document.facts)}
        logit = self._logit(mode, scores)
        steps.end("ngram")
        scores["gpt"] = self._ask_gpt(text, head, tail, steps)
        logit += counted(self._together[mode]["stages"]["gpt"], scores["gpt"])
        score = Score(sigmoid(logit), self._apart(scores), self.model_id, steps.ended())
        assert text.pooled is not None
        return Examined(score, document, head, tail, fingerprint(head, tail), text.pooled)

    def _score(self, message: Message) -> Score | Failure:
        steps = Steps()
        try:
            document = extract(message.raw, message.kind)
            head, tail = render(document)
            steps.end("document")
            key = Campaigns.key(head, tail)
            text = self._campaigns.find(key)
            known = text is not None
            if text is None:
                text = TextScores(*self._ngram.judge(head, tail))
                self._campaigns.keep(key, text)
            mode = _mode(document)
            scores = {"ngram": text.ngram, "facts": self._facts.score(document.facts)}
            logit = self._logit(mode, scores)
            steps.end("ngram")
            memory = self._memory.current() if self._memory is not None else self._nothing
            alike = []
            if len(memory):
                if text.fingerprint is None:
                    text.fingerprint = fingerprint(head, tail)
                alike = memory.candidates(text.fingerprint)
                steps.end("memory")
            added = None
            doubtful = bool(alike) and alike[0].needed > 0  # then the GPT's state is needed
            if self._cascade is not None and not doubtful:
                added = self._cascade.instead(mode, logit)
            if added is None:
                if text.gpt is None:
                    known = False
                    self._ask_gpt(text, head, tail, steps)
                assert text.gpt is not None
                scores["gpt"] = text.gpt
                added = counted(self._together[mode]["stages"]["gpt"], text.gpt)
            logit += added
            stages = self._apart(scores)
            recalled = memory.recall(alike, text.pooled) if alike else None
            if recalled is not None:
                logit = moved(logit, recalled, self._turns)
                stages["memory"] = float(recalled.label is Label.SPAM)
            content = content_hash(message.raw, message.kind)
        except Exception as error:  # the seam's contract: content never raises
            return _unparsable(error)
        return Score(sigmoid(logit), stages, self.model_id, steps.ended(), known, recalled, content)

    def _ask_gpt(self, text: TextScores, head: str, tail: str, steps: Steps) -> float:
        """The GPT's linear score of a text, kept with its state."""
        window = self._tokenizer.window(head, tail, self._context, text.worst)
        steps.end("tokenise")
        text.gpt, pooled = self._gpt.score(window)
        text.pooled = pooled.astype(np.float16)
        steps.end("gpt")
        return text.gpt

    def _logit(self, mode: str, scores: Mapping[str, float]) -> float:
        """What the given stages together say."""
        how = self._together[mode]
        return float(how["bias"] + sum(counted(how["stages"][stage], score) for stage, score in scores.items()))

    def _apart(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Each stage's own probability, for people."""
        own = self._together["stages"]
        return {stage: sigmoid(own[stage]["scale"] * score + own[stage]["bias"]) for stage, score in scores.items()}


def _mode(document: Document) -> str:
    """How a document's evidence is put together."""
    return "mail" if document.has_headers else "text"


def _unparsable(error: Exception) -> Failure:
    return Failure(FailureKind.UNPARSABLE, f"{type(error).__name__}: {error}"[:200])


class Steps:
    """Milliseconds by step, as they end."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._took: dict[str, float] = {}

    def end(self, step: str) -> None:
        """A step ends now; it began when the one before it ended."""
        now = time.perf_counter()
        self._took[step] = (now - self._last) * 1e3
        self._last = now

    def ended(self) -> dict[str, float]:
        """All steps, and the total."""
        self._took["total"] = (time.perf_counter() - self._started) * 1e3
        return self._took
