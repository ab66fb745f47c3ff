"""From runs to a bundle: fits the linear stages, calibrates the ensemble, measures it on the fixed test, exports.

Runs that left a source out (`finetune --set leave_out=NAME`) are used for calibration and thresholds when they stand
below the run's folder: they say what happens on mail from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import NgramModel
from spamfilter.classifier.tokenizer import Tokenizer
from trainer.data.prepared import fact_matrix, render_columns
from trainer.errors import RecipeError
from trainer.evaluation.metrics import expected_calibration_error, summary
from trainer.export import Parts, write_bundle
from trainer.gpt import GPT, GPTConfig
from trainer.linear import Counts, agreeing, count, fit_facts, fit_ngram, score_ngram, source_weights
from trainer.recipes.finetune import score as score_gpt
from trainer.run import Run
from trainer.stacking import STAGES, combine, fit_mode, platt, standardise, threshold_table

RATES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
SHARES = {"mail": {"ngram": 1.0, "facts": 0.5, "gpt": 0.5}, "text": {"ngram": 1.0, "gpt": 0.5}}

SAMPLES = {
    "mail, ham": (
        b"From: Ann Lee <ann@example.org>\nTo: Bob <bob@example.net>\nSubject: Re: minutes of Tuesday\n"
        b"Date: Tue, 03 Feb 2026 10:00:00 +0000\nMessage-ID: <a1b2@example.org>\nIn-Reply-To: <z9@example.net>\n\n"
        b"Hi Bob,\n\n> could you send me the minutes?\n\nThey are in the shared folder. See you on Thursday.\n\nAnn\n"
    ),
    "mail, spam": (
        b"From: Winner Desk <claims77@mail-prize.biz>\nReply-To: <agent@freebox.ru>\nTo: undisclosed-recipients:;\n"
        b"Subject: CONGRATULATIONS!!! You have WON $1,000,000\nDate: Tue, 03 Feb 2026 10:00:00 +0000\n\n"
        b"Dear friend, your address has won our lottery. Click here to claim your money now: http://203.0.113.7/claim\n"
        b"Act now, this offer expires today! Send your bank account and full name.\n"
    ),
    "text, ham": b"Running late, be there in 10 min. Can you order for me?\n",
    "text, spam": b"URGENT! You have won a 1000 cash prize. Call 09061701461 now to claim. 150p/min, 18+ only.\n",
}  # fmt: skip


def load_finetuned(folder: Path, tokenizer: Tokenizer, config: GPTConfig) -> GPT:
    """The model of a fine-tuning run. Raises RecipeError when it has no checkpoint."""
    state = Run(folder).load()
    if state is None:
        raise RecipeError(f"{folder}: no checkpoint; run `python -m trainer finetune` first")
    model = GPT(config)
    model.load_state_dict(state["model"])
    return model.eval()


def network_of(run: Path, vocab_size: int) -> GPTConfig:
    """The sizes of a run's network, from the frozen settings of its pretraining."""
    frozen = json.loads((run / "pretrain" / "settings.json").read_text())
    return GPTConfig(vocab_size, frozen["context"], frozen["layers"], frozen["heads"], frozen["channels"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """The table with what the stages read of it: n-gram counts (N, DIMENSION), facts (N, F), the tokenizer."""

    table: pd.DataFrame
    counts: Counts
    matrix: np.ndarray
    tokenizer: Tokenizer

    @property
    def spam(self) -> np.ndarray:
        """Labels (N,)."""
        return self.table["spam"].to_numpy()

    @property
    def has_headers(self) -> np.ndarray:
        """Where the header facts are known (N,)."""
        return ~np.isnan(self.matrix[:, 0])

    def fit(self, rows: np.ndarray) -> tuple[NgramModel, FactsModel]:
        """Both linear stages on the given rows; facts only on those whose header facts are known."""
        spam, sources = self.spam, self.table["source"].to_numpy()
        ngram = fit_ngram(self.counts[rows], spam[rows], source_weights(sources[rows], spam[rows]))
        mail = rows[self.has_headers[rows]]
        agreed = agreeing(self.matrix[mail], spam[mail], sources[mail])
        facts = fit_facts(self.matrix[mail] * agreed, spam[mail], source_weights(sources[mail], spam[mail]))
        return ngram, facts

    def scores(self, rows: np.ndarray, ngram: NgramModel, facts: FactsModel, model: GPT) -> dict[str, np.ndarray]:
        """Every stage's scores of the given rows, by name."""
        return {
            "ngram": score_ngram(ngram, self.counts[rows]),
            "facts": np.nan_to_num(self.matrix[rows]) @ facts.weights + facts.bias,
            "gpt": score_gpt(model, self.tokenizer, *render_columns(self.table.iloc[rows])),
        }

    def measure(
        self, title: str, ensemble: Mapping[str, Any], rows: np.ndarray, scores: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Figures of the ensemble and of each kind of evidence on the given rows."""
        spam, mail = self.spam[rows], self.has_headers[rows]
        logits = np.where(mail, combine(ensemble["mail"], scores), combine(ensemble["text"], scores))
        named = {"ensemble": logits, "GPT alone": scores["gpt"], "n-grams alone": scores["ngram"]}
        if mail.mean() > 0.9:
            named["facts alone"] = scores["facts"]
            named["ensemble without GPT"] = logits - ensemble["mail"]["weights"]["gpt"] * scores["gpt"]
        measured: dict[str, Any] = {f"{title}: {name}": summary(spam, values) for name, values in named.items()}
        measured[f"{title}: ensemble"]["ece"] = expected_calibration_error(spam, 1 / (1 + np.exp(-logits)))
        return measured


def assemble(
    table: pd.DataFrame, run: Path, out: Path, config: GPTConfig, *, name: str = "default", int8: bool = True
) -> Bundle:
    """Fit, calibrate, measure and write the bundle. Prints the table that stands in its model card."""
    tokenizer_file = run / "pretrain" / "tokenizer.tiktoken"
    tokenizer = Tokenizer.load(tokenizer_file)
    model = load_finetuned(run / "finetune", tokenizer, config)
    evidence = Evidence(table, count(*render_columns(table)), fact_matrix(table), tokenizer)
    part, source = table["part"].to_numpy(), table["source"].to_numpy()
    spam, has_headers = evidence.spam, evidence.has_headers
    train, holdout, test = (np.where(part == wanted)[0] for wanted in ("train", "holdout", "test"))
    linear = evidence.fit(train)
    own = evidence.scores(holdout, *linear, model)
    known = {stage: has_headers[holdout] if stage == "facts" else np.ones(len(holdout), bool) for stage in STAGES}
    units = {stage: standardise(own[stage][known[stage]], spam[holdout][known[stage]]) for stage in STAGES}
    foreign: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    for folder in sorted(run.glob("leave-out-*")):
        absent = folder.name.removeprefix("leave-out-")
        rows = np.where((source == absent) & (part != "test"))[0]
        fitted = evidence.fit(np.where((part == "train") & (source != absent))[0])
        foreign[absent] = rows, evidence.scores(rows, *fitted, load_finetuned(folder, tokenizer, config))
    unseen = [(holdout, own), *foreign.values()]
    rows = np.concatenate([rows for rows, _ in unseen])
    scores = {stage: np.concatenate([found[stage] for _, found in unseen]) for stage in STAGES}
    ensemble, logits = _calibrate(units, scores, spam[rows], has_headers[rows], _weights(unseen, source, spam))
    thresholds = threshold_table(1 / (1 + np.exp(-logits)), spam[rows], RATES)
    metrics = evidence.measure("SpamAssassin test", ensemble, test, evidence.scores(test, *linear, model))
    for absent, (left_out, found) in foreign.items():
        metrics |= evidence.measure(f"{absent}, left out of training", ensemble, left_out, found)
    _print(metrics)
    training = {
        "messages": f"{len(train):,} labelled ({int(spam[train].sum()):,} spam), "
        + ", ".join(f"{s} {int((source[train] == s).sum()):,}" for s in dict.fromkeys(source)),
        "network": f"{config.layers} layers, {config.channels} channels, {config.context} tokens, "
        f"vocabulary {config.vocab_size}",
        "calibrated on": f"{len(rows):,} messages that the scoring models had not seen",
    }
    parts = Parts(tokenizer_file, *linear, ensemble, thresholds, metrics, training, SAMPLES)
    return write_bundle(out, name, model, parts, int8=int8)


def _weights(
    unseen: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]], source: np.ndarray, spam: np.ndarray
) -> np.ndarray:
    """Source balance over messages that no scoring model had seen; a source counts apart where it was left out."""
    origins = [f"{number}/{name}" for number, (rows, _) in enumerate(unseen) for name in source[rows]]
    return source_weights(np.array(origins), np.concatenate([spam[rows] for rows, _ in unseen]))


def _calibrate(
    units: Mapping[str, float],
    scores: Mapping[str, np.ndarray],
    spam: np.ndarray,
    mail: np.ndarray,
    weights: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
    """The manifest's `ensemble`, and the calibrated logits of the given messages."""
    ensemble: dict[str, Any] = {"stages": {}}
    logits = np.zeros(len(spam))
    for mode, mask in (("mail", mail), ("text", ~mail)):
        picked = {stage: values[mask] for stage, values in scores.items()}
        ensemble[mode] = fit_mode(units, SHARES[mode], picked, spam[mask], weights[mask])
        logits[mask] = combine(ensemble[mode], picked)
    for stage in STAGES:
        mask = mail if stage == "facts" else np.ones(len(spam), bool)
        scale, bias = platt(scores[stage][mask], spam[mask], weights[mask])
        ensemble["stages"][stage] = {"scale": scale, "bias": bias}
    return ensemble, logits


def _print(metrics: dict[str, Any]) -> None:
    view = Table("evidence", "ROC AUC", "1-ROCA %", "recall @ FPR 0.1 %", "recall @ FPR 0.5 %", "ham", "spam")
    for name, m in metrics.items():
        view.add_row(
            name, f"{m['roc_auc']:.5f}", f"{m['one_minus_roca_percent']:.3f}", f"{100 * m['recall_at_0.1']:.1f}",
            f"{100 * m['recall_at_0.5']:.1f}", str(m["ham"]), str(m["spam"]),
        )  # fmt: skip
    Console(width=130).print(view)
