"""From runs to a bundle: fits the linear stages, calibrates the ensemble, measures it on the fixed test, exports.

Runs that left a source out (`finetune --set leave_out=NAME`) are used for calibration and thresholds when they stand
below the run's folder: they say what happens on mail from elsewhere.
"""

from __future__ import annotations

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
from trainer.evaluation.metrics import expected_calibration_error, summary
from trainer.export import Parts, write_bundle
from trainer.gpt import GPT, GPTConfig
from trainer.linear import Counts, agreeing, count, fit_facts, fit_ngram, score_ngram, source_weights
from trainer.recipes.finetune import score as score_gpt
from trainer.run import RecipeError, Run
from trainer.stacking import combine, fit_mode, platt, standardise, threshold_table

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


@dataclass(slots=True)
class Stages:
    """The scores of every stage for some rows."""

    ngram: np.ndarray
    facts: np.ndarray
    gpt: np.ndarray

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"ngram": self.ngram[rows], "facts": self.facts[rows], "gpt": self.gpt[rows]}


def load_finetuned(folder: Path, tokenizer: Tokenizer, config: GPTConfig) -> GPT:
    """The model of a fine-tuning run. Raises RecipeError when it has no checkpoint."""
    state = Run(folder).load()
    if state is None:
        raise RecipeError(f"{folder}: no checkpoint; run `python -m trainer finetune` first")
    model = GPT(config)
    model.load_state_dict(state["model"])
    return model.eval()


def fit_linear(
    table: pd.DataFrame, counts: Counts, matrix: np.ndarray, rows: np.ndarray
) -> tuple[NgramModel, FactsModel]:
    """Both linear stages on the given rows; facts only on those whose header facts are known."""
    spam, sources = table["spam"].to_numpy(), table["source"].to_numpy()
    ngram = fit_ngram(counts[rows], spam[rows], source_weights(sources[rows], spam[rows]))
    mail = rows[~np.isnan(matrix[rows, 0])]
    agreed = agreeing(matrix[mail], spam[mail], sources[mail])
    facts = fit_facts(matrix[mail] * agreed, spam[mail], source_weights(sources[mail], spam[mail]))
    return ngram, facts


def stages_for(
    ngram: NgramModel, facts: FactsModel, model: GPT, tokenizer: Tokenizer, table: pd.DataFrame, counts: Counts,
    matrix: np.ndarray, rows: np.ndarray,
) -> Stages:  # fmt: skip
    """Every stage's scores of the given rows."""
    heads, tails = render_columns(table.iloc[rows])
    return Stages(
        score_ngram(ngram, counts[rows]),
        np.nan_to_num(matrix[rows]) @ facts.weights + facts.bias,
        score_gpt(model, tokenizer, heads, tails),
    )


def assemble(
    table: pd.DataFrame, run: Path, out: Path, config: GPTConfig, *, name: str = "default", int8: bool = True
) -> Bundle:
    """Fit, calibrate, measure and write the bundle. Prints the table that stands in its model card."""
    tokenizer = Tokenizer.load(run / "pretrain" / "tokenizer.tiktoken")
    model = load_finetuned(run / "finetune", tokenizer, config)
    counts, matrix = count(*render_columns(table)), fact_matrix(table)
    part, source, spam = (table[column].to_numpy() for column in ("part", "source", "spam"))
    has_headers = ~np.isnan(matrix[:, 0])
    train = np.where(part == "train")[0]
    ngram, facts = fit_linear(table, counts, matrix, train)
    holdout = np.where(part == "holdout")[0]
    own = stages_for(ngram, facts, model, tokenizer, table, counts, matrix, holdout)
    known = {"ngram": np.ones(len(holdout), bool), "facts": has_headers[holdout], "gpt": np.ones(len(holdout), bool)}
    units = {s: standardise(getattr(own, s)[mask], spam[holdout][mask]) for s, mask in known.items()}
    scores: list[dict[str, np.ndarray]] = [own.take(np.arange(len(holdout)))]
    rows_of: list[np.ndarray] = [holdout]
    left_out: dict[str, Any] = {}
    for folder in sorted(run.glob("leave-out-*")):
        absent = folder.name.removeprefix("leave-out-")
        rows = np.where((source == absent) & (part != "test"))[0]
        fitted = fit_linear(table, counts, matrix, np.where((part == "train") & (source != absent))[0])
        other = load_finetuned(folder, tokenizer, config)
        foreign = stages_for(*fitted, other, tokenizer, table, counts, matrix, rows)
        scores.append(foreign.take(np.arange(len(rows))))
        rows_of.append(rows)
        left_out[absent] = rows
    all_rows = np.concatenate(rows_of)
    all_scores = {stage: np.concatenate([s[stage] for s in scores]) for stage in ("ngram", "facts", "gpt")}
    y, origin = spam[all_rows], np.concatenate([np.full(len(r), i) for i, r in enumerate(rows_of)])
    weights = source_weights(np.array([f"{o}/{s}" for o, s in zip(origin, source[all_rows], strict=True)]), y)
    ensemble: dict[str, Any] = {"stages": {}}
    logits = np.zeros(len(all_rows))
    for mode, mask in (("mail", has_headers[all_rows]), ("text", ~has_headers[all_rows])):
        picked = {stage: values[mask] for stage, values in all_scores.items()}
        ensemble[mode] = fit_mode(units, SHARES[mode], picked, y[mask], weights[mask])
        logits[mask] = combine(ensemble[mode], picked)
    for stage in ("ngram", "facts", "gpt"):
        mask = has_headers[all_rows] if stage == "facts" else np.ones(len(all_rows), bool)
        scale, bias = platt(all_scores[stage][mask], y[mask], weights[mask])
        ensemble["stages"][stage] = {"scale": scale, "bias": bias}
    thresholds = threshold_table(1 / (1 + np.exp(-logits)), y, RATES)
    metrics = _measure(
        table, ensemble, stages_for(ngram, facts, model, tokenizer, table, counts, matrix, np.where(part == "test")[0]),
        np.where(part == "test")[0], has_headers, "SpamAssassin test",
    )  # fmt: skip
    for i, absent in enumerate(left_out, 1):
        foreign = Stages(*(all_scores[stage][origin == i] for stage in ("ngram", "facts", "gpt")))
        metrics |= _measure(table, ensemble, foreign, left_out[absent], has_headers, f"{absent}, left out of training")
    _print(metrics)
    training = {
        "messages": f"{len(train):,} labelled ({int(spam[train].sum()):,} spam), "
        + ", ".join(f"{s} {int(((source == s) & (part == 'train')).sum()):,}" for s in dict.fromkeys(source)),
        "network": f"{config.layers} layers, {config.channels} channels, {config.context} tokens, "
        f"vocabulary {config.vocab_size}",
        "calibrated on": f"{len(all_rows):,} messages that the scoring models had not seen",
    }
    parts = Parts(
        run / "pretrain" / "tokenizer.tiktoken", ngram, facts, ensemble, thresholds, metrics, training, SAMPLES
    )
    return write_bundle(out, name, model, parts, int8=int8)


def _measure(
    table: pd.DataFrame, ensemble: dict[str, Any], stages: Stages, rows: np.ndarray, has_headers: np.ndarray, title: str
) -> dict[str, Any]:
    spam = table["spam"].to_numpy()[rows]
    mail = has_headers[rows]
    everything = stages.take(np.arange(len(rows)))
    logits = np.where(mail, combine(ensemble["mail"], everything), combine(ensemble["text"], everything))
    named = {"ensemble": logits, "GPT alone": stages.gpt, "n-grams alone": stages.ngram}
    if mail.mean() > 0.9:
        named["facts alone"] = stages.facts
        named["ensemble without GPT"] = logits - ensemble["mail"]["weights"]["gpt"] * stages.gpt
    measured: dict[str, Any] = {f"{title}: {name}": summary(spam, values) for name, values in named.items()}
    measured[f"{title}: ensemble"]["ece"] = expected_calibration_error(spam, 1 / (1 + np.exp(-logits)))
    return measured


def _print(metrics: dict[str, Any]) -> None:
    view = Table("evidence", "ROC AUC", "1-ROCA %", "recall @ FPR 0.1 %", "recall @ FPR 0.5 %", "ham", "spam")
    for name, m in metrics.items():
        view.add_row(
            name, f"{m['roc_auc']:.5f}", f"{m['one_minus_roca_percent']:.3f}", f"{100 * m['recall_at_0.1']:.1f}",
            f"{100 * m['recall_at_0.5']:.1f}", str(m["ham"]), str(m["spam"]),
        )  # fmt: skip
    Console(width=130).print(view)
