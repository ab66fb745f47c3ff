"""From runs to a bundle: fits the linear stages, calibrates the ensemble, measures it on the fixed test, exports.

What `compare sources` found on sources that were left out calibrates the ensemble and gives its thresholds, where it
stands in the run's folder: it says what happens on mail from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.language import language
from spamfilter.classifier.sampled import hardly_met, occurrences, unknown_share
from spamfilter.traits import traits_of
from trainer import cascade
from trainer.base import base_of, load_base, load_classifier
from trainer.data.prepared import fingerprint_of
from trainer.evaluation.comparison import Comparison
from trainer.evaluation.metrics import expected_calibration_error, summary
from trainer.evaluation.scoring import STAGES as TITLES
from trainer.evidence import Evidence
from trainer.experiments import sources
from trainer.export import Parts, write_bundle
from trainer.inputs import Inputs
from trainer.replay import Origin, chosen, replay_of
from trainer.stacking import (
    STAGES,
    Calibration,
    Unseen,
    evidence_sum,
    origin_weights,
    platt,
    shares_without,
    snapshot,
    threshold_table,
    units_of,
)

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


def assemble(table: pd.DataFrame, run: Path, out: Path, *, name: str = "default", int8: bool = True) -> Bundle:
    """Fit, calibrate, measure and write the bundle. Prints the table that stands in its model card.

    Raises RecipeError when a step before it is missing.
    """
    base = load_base(base_of(run))
    model = load_classifier(run / "finetune")
    evidence = Evidence.of(table, base.tokenizer)
    train, holdout, test = (evidence.rows(part) for part in ("train", "holdout", "test"))
    linear = evidence.fit(train)
    # units, calibration and thresholds are known from here on: the served linear stages also learn from what was held
    # out, and from near-duplicates of test mails, as the fixed list leaves them to everybody who is measured on it
    served = evidence.fit(np.flatnonzero((table["part"] != "test").to_numpy()))

    def unseen(part: str, rows: np.ndarray, units: Any = None, fitted: Any = linear) -> Unseen:
        scores = evidence.scores(rows, *fitted, model, precision="auto")
        spam, mail = evidence.spam[rows], evidence.has_headers[rows]
        return Unseen(part, scores, spam, mail, evidence.source[rows], units or units_of(scores, spam, mail))

    home = unseen("holdout", holdout)
    stamp = fingerprint_of(table)
    left_out = [
        found
        for source in sources.SOURCES
        if (found := sources.load(run / sources.FOLDER / f"{source}.npz", evidence, source, stamp)) is not None
    ]
    foreign = [found.unseen for found in left_out]
    parts = [home, *foreign]
    calibration = Calibration.fit(parts)
    ensemble = {"stages": _stages(parts), **calibration.weights(home.units)}
    thresholds = threshold_table([(calibration.probability(part), part.spam) for part in parts])
    spared = cascade.fit(parts, calibration, thresholds)
    metrics = measure("SpamAssassin test", unseen("test", test, home.units, served), calibration)
    strict = measure("SpamAssassin test, near-duplicates dropped", unseen("test", test, home.units), calibration)
    metrics |= {name: values for name, values in strict.items() if "without" not in name}
    for part in foreign:
        metrics |= measure(f"{part.name}, left out of training", part, calibration)
    Console(width=130).print(_comparison(metrics).table())
    training = {
        "messages": f"{len(table) - len(test):,} labelled ({int(evidence.spam.sum() - evidence.spam[test].sum()):,} "
        "spam), "
        + ", ".join(f"{s} {int((evidence.source == s).sum()):,}" for s in dict.fromkeys(evidence.source))
        + f"; without the {len(test):,} of the fixed test",
        "GPT's head": f"{len(train):,} of them",
        "network": f"{base.config.layers} layers, {base.config.channels} channels, {base.config.context} tokens, "
        f"vocabulary {base.config.vocab_size}",
        "calibrated on": f"{sum(len(part.spam) for part in parts):,} messages that the scoring models had not seen",
        "data": stamp,
    }
    tokenizer = run / "pretrain" / "tokenizer.tiktoken"
    origins = [Origin(holdout, home), *(Origin(one.rows, one.unseen) for one in left_out)]
    rows = chosen(origins, table["group"].to_numpy())
    read = Inputs(evidence.counts[rows], evidence.matrix[rows], evidence.states(rows, served[0], model))
    replay = replay_of(origins, rows, read, evidence.spam[rows], evidence.source[rows], served[0].idf)
    standing = snapshot(thresholds, [(calibration.probability(part), part.spam) for part in parts])
    whole = Parts(
        tokenizer, *served, ensemble, thresholds, spared, metrics, training, SAMPLES, replay=replay, snapshot=standing,
        traits=held_out_traits(evidence, holdout, linear[0].idf),
    )  # fmt: skip
    return write_bundle(out, name, model, whole, int8=int8)


def measure(title: str, part: Unseen, calibration: Calibration) -> dict[str, dict[str, float]]:
    """Figures of the ensemble, of each kind of evidence alone, and of the ensemble without each."""
    probability = calibration.probability(part)
    measured = {f"{title}: ensemble": summary(part.spam, probability)}
    measured[f"{title}: ensemble"]["ece"] = expected_calibration_error(part.spam, probability)
    for stage in STAGES:
        measured[f"{title}: {TITLES[stage]}"] = summary(part.spam, part.scores[stage])
    for stage in STAGES:
        without = TITLES[stage].removesuffix(" alone")
        rest = evidence_sum(part, shares_without(stage))
        measured[f"{title}: ensemble without {without}"] = summary(part.spam, rest)
    return measured


def held_out_traits(evidence: Evidence, rows: np.ndarray, idf: np.ndarray) -> dict[str, Any]:
    """The manifest's `traits`, of rows that n-grams with this `idf` (DIMENSION,) were fitted without: what a model
    knows of a message that it learnt from says nothing of mail to come."""
    whole = evidence.counts.whole[rows]
    whole.sort_indices()
    times, rare = occurrences(whole.data), hardly_met(idf)
    spans = zip(whole.indptr[:-1].tolist(), whole.indptr[1:].tolist(), strict=True)
    unknown = [unknown_share(whole.indices[start:end], times[start:end], rare) for start, end in spans]
    return traits_of(unknown, [language(text) for text in evidence.table["text"].iloc[rows]])


def _stages(parts: Sequence[Unseen]) -> dict[str, dict[str, float]]:
    """Each stage's own scale and bias, for people: its probability is shown beside the ensemble's."""
    spam = np.concatenate([part.spam for part in parts])
    weights = origin_weights(parts)
    found = {}
    for stage in STAGES:
        scale, bias = platt(np.concatenate([part.scores[stage] for part in parts]), spam, weights)
        found[stage] = {"scale": scale, "bias": bias}
    return found


def _comparison(metrics: Mapping[str, Mapping[str, float]]) -> Comparison:
    made = Comparison(
        "measured",
        ("roc_auc", "one_minus_roca_percent", "recall_at_0.1", "recall_at_0.5", "ham", "spam"),
        "evidence",
    )
    for name, figures in metrics.items():
        made.add(name, figures)
    return made
