"""A run's folder as a whole training leaves it, with the tiny network and made-up mails, and the bundle made of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.tokenizer import Tokenizer, write_ranks
from spamfilter.document import EXTRACTION
from spamfilter.message import Kind
from tests.trainer import site
from tests.trainer.tiny import SAMPLES, tiny_model, tiny_ranks
from trainer.data.example import Example
from trainer.data.prepared import fact_matrix, render_columns, row
from trainer.experiments.sources import FOLDER
from trainer.export import Parts, write_bundle
from trainer.inputs import Inputs
from trainer.linear import counts_of, fit_ngram
from trainer.recipes.finetune import keep
from trainer.recipes.probe import pooled_states
from trainer.rehearsal import windows_of
from trainer.replay import Origin, chosen, replay_of
from trainer.run import Run
from trainer.stacking import Calibration, Unseen, threshold_table, units_of
from trainer.warm import Head, Stages

CARRIED = 20
"""Messages that the bundle's replay has."""


def tiny_run(run: Path) -> Bundle:
    """A run of 240 mails from two sources, one of which was also left out, and the bundle at RUN/bundle."""
    table = _table()
    (run / "data").mkdir(parents=True)
    table.to_json(run / "data" / "prepared.jsonl", orient="records", lines=True)
    (run / "data" / "prepared.json").write_text(json.dumps({"extraction": EXTRACTION}))
    (run / "pretrain").mkdir()
    write_ranks(tiny_ranks(), run / "pretrain" / "tokenizer.tiktoken")
    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = tiny_model(tokenizer.vocab_size)
    spam, source = table["spam"].to_numpy(), table["source"].to_numpy()
    counts = counts_of(list(zip(*render_columns(table), strict=True)))
    ngram = fit_ngram(counts, spam, np.ones(len(table)))
    windows = windows_of(*render_columns(table), ngram, tokenizer, model.config.context)
    inputs = Inputs(counts, fact_matrix(table), pooled_states(model, windows, tokenizer.end, precision="fp32"))
    head = Head(*_between(inputs.pooled, spam))
    with torch.no_grad():  # a random network's states know little, and its head nothing
        model.classifier.weight.copy_(torch.from_numpy(np.stack([-head.weight / 2, head.weight / 2])))
        model.classifier.bias.copy_(torch.tensor([-head.bias / 2, head.bias / 2]))
    (run / "finetune").mkdir()
    keep(Run(run / "finetune"), model)

    facts = FactsModel(*_between(np.nan_to_num(inputs.facts), spam))
    stages = Stages(ngram, facts, head)
    origins = []
    left_out = np.flatnonzero((source == "mill") & (table["part"] == "train"))
    for name, rows in (("holdout", np.flatnonzero(table["part"] == "holdout")), ("mill", left_out)):
        read = inputs[rows]
        scores = stages.scores(read)
        units = units_of(scores, spam[rows], read.mail)
        origins.append(Origin(rows, Unseen(name, scores, spam[rows], read.mail, source[rows], units)))
    (run / FOLDER).mkdir(parents=True)
    np.savez(run / FOLDER / "mill.npz", rows=origins[1].rows, holdout=np.flatnonzero(source != "mill"))
    rows = chosen(origins, table["group"].to_numpy(), most=CARRIED)
    parts = [origin.unseen for origin in origins]
    calibration = Calibration.fit(parts)
    each = {"scale": 1.0, "bias": 0.0}
    ensemble = {"stages": dict.fromkeys(("ngram", "facts", "gpt"), each), **calibration.weights(parts[0].units)}
    thresholds = threshold_table([(calibration.probability(part), part.spam) for part in parts], (0.05, 0.1))
    thresholds = thresholds or [{"false_positive_rate": 0.005, "probability": 0.9, "recall": 0.5}]
    replay = replay_of(origins, rows, inputs[rows], spam[rows], source[rows], ngram.idf)
    whole = Parts(
        run / "pretrain" / "tokenizer.tiktoken", ngram, facts, ensemble, thresholds, {}, {}, {}, SAMPLES, replay=replay
    )
    return write_bundle(run / "bundle", "tiny", model, whole)


def _between(states: np.ndarray, spam: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (C,) and a bias that tell the classes' means apart by 1."""
    ham, away = states[spam == 0].mean(0), states[spam == 1].mean(0) - states[spam == 0].mean(0)
    weight = (away / (away @ away)).astype(np.float32)
    return weight, float(-weight @ (ham + away / 2))


def _table() -> pd.DataFrame:
    raws, spam = site.mails(240, 11, spam_words=["viagra", "lottery", "rolex"], ham_words=["patch", "kernel", "thread"])
    examples = [
        Example("mill" if number < 120 else "list", f"{number}", bool(is_spam), raw, Kind.MAIL)
        for number, (raw, is_spam) in enumerate(zip(raws, spam.tolist(), strict=True))
    ]
    made = pd.DataFrame([row(example) for example in examples])
    made["part"] = ["holdout" if number % 4 < 2 else "train" for number in range(240)]
    made["group"] = [f"{number:016x}" for number in range(240)]
    return made
