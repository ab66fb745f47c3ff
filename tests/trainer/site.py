"""A small site: made-up mails with what the stages read of them, and a model that knows nothing of the site."""

from __future__ import annotations

import numpy as np

from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import DIMENSION, NgramModel
from spamfilter.document import extract
from spamfilter.facts import NAMES
from spamfilter.message import Kind
from trainer.inputs import Inputs, inputs_of
from trainer.linear import counts_of
from trainer.recipes.retrain import Current
from trainer.replay import Origin, Replay, chosen, replay_of
from trainer.stacking import STAGES, Unseen, units_of
from trainer.trust import Corrections
from trainer.warm import Head, Stages

WIDTH = 8
_HAM = "minutes meeting tuesday project draft review thanks colleague budget train lunch report office garden".split()
_SPAM = "prize winner pills casino loan offer click free money urgent bonus discount cheap crypto".split()
_EITHER = "the of and to in a is for on with as it this that you we be are at from or have will can".split()


def mails(
    count: int, seed: int, *, spam_words: list[str] = _SPAM, ham_words: list[str] = _HAM
) -> tuple[list[bytes], np.ndarray]:
    """Made-up mails, every second one spam, and their labels (N,)."""
    rng = np.random.default_rng(seed)
    found, labels = [], np.arange(count) % 2
    for number, spam in enumerate(labels.tolist()):
        words = rng.choice([*_EITHER, *(spam_words if spam else ham_words) * 2], 40)
        sender = f"winner{rng.integers(99)}@prize.biz" if spam else f"ann{rng.integers(99)}@example.org"
        found.append(
            f"From: {sender}\nTo: bob@example.net\nSubject: {' '.join(words[:4])}\n"
            f"Message-ID: <{number}.{seed}@x.org>\nDate: Tue, 03 Feb 2026 10:00:00 +0000\n\n"
            f"{' '.join(words)}\n".encode()
        )
    return found, labels


def inputs(raws: list[bytes], spam: np.ndarray, seed: int = 0) -> Inputs:
    """What the stages read; the first of the pooled states leans to the label."""
    pooled = np.random.default_rng(seed).normal(size=(len(raws), WIDTH)).astype(np.float32)
    pooled[:, 0] += 2 * spam - 1
    return inputs_of([extract(raw, Kind.MAIL) for raw in raws], pooled)


def corrections(count: int = 40, seed: int = 1, *, who: str = "ann") -> Corrections:
    """People's corrections of the site's mails."""
    raws, spam = mails(count, seed)
    names, times = np.array([who] * count), np.arange(count, dtype=float)
    return Corrections(inputs(raws, spam, seed), spam, names, np.arange(count).astype(str), times)


def current() -> Current:
    """A model with n-gram weights that lean the right way for some words only, and an ensemble around 0."""
    weights = np.zeros(DIMENSION, np.float32)
    for word, weight in (("prize", 1.0), ("winner", 1.0), ("meeting", -1.0), ("minutes", -1.0)):
        ids = counts_of([(word, "")]).whole.indices
        weights[ids] += weight / len(ids)
    idf = np.full(DIMENSION, 2.0, np.float32)
    idf[counts_of([("casino pills garden lunch", "")]).whole.indices] = 0.0
    facts = np.zeros(len(NAMES), np.float32)
    facts[NAMES.index("from_user_has_digits")] = 0.2
    head = np.zeros(WIDTH, np.float32)
    head[0] = 0.5
    stage = {"weight": 1.0, "centre": 0.0, "unit": 1.0, "bounded": False}
    mode = {"bias": 0.0, "stages": {name: {**stage, "bounded": name == "facts"} for name in STAGES}}
    apart = {name: {"scale": 1.0, "bias": 0.0} for name in STAGES}
    thresholds = [{"false_positive_rate": 0.01, "probability": 0.9, "recall": 0.5}]
    ensemble = {"mail": mode, "text": mode, "stages": apart}
    return Current(Stages(NgramModel(weights, idf, 0.0), FactsModel(facts, 0.0), Head(head, 0.0)), ensemble, thresholds)


def replay(count: int = 500, most: int = 120) -> Replay:
    """A replay of mails from elsewhere, with other words."""
    raws, spam = mails(count, 7, spam_words=["viagra", "lottery", "rolex"], ham_words=["patch", "kernel", "thread"])
    read = inputs(raws, spam, 7)
    scores = current().stages.scores(read)
    scores = {name: values + spam for name, values in scores.items()}
    source = np.array(["elsewhere"] * count)
    unseen = Unseen("elsewhere", scores, spam, read.mail, source, units_of(scores, spam, read.mail))
    origins = [Origin(np.arange(count), unseen)]
    rows = chosen(origins, np.arange(count).astype(str), most=most)
    return replay_of(origins, rows, read[rows], spam[rows], source[rows], current().stages.ngram.idf)
