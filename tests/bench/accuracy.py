"""Accuracy of the served bundle on the fixed SpamAssassin test part: 1,209 mails that no training has read.

    python -m tests.bench.accuracy [--against BUNDLE] [--data-dir DIR] [--json FILE]

Scored through the same door as the daemon's workers (`spamfilter.classifier.load`): as served by default (the GPT is
spared where the verdict stands without it), and with the GPT on every message, the ensemble and each of its stages
alone, with counts; and what the default thresholds make of ham and spam. `--against` scores another bundle's ensemble
on the same mails, say one of `python -m trainer export --fp32`, and counts the verdicts that differ.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from spamfilter import classifier, config
from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.message import Message
from spamfilter.operating_point import resolve_policy
from spamfilter.policy import judge
from spamfilter.verdict import Failure, Label, Score, Thresholds
from tests.bench import report
from trainer.data.corpora import data_dir, spamassassin
from trainer.errors import DataError
from trainer.evaluation.metrics import ham_cut, summary

LEAST_AUC = 0.995
MAILS = 1209
NEAR = 0.02
"""So close to a threshold a verdict may differ between precisions."""


def split(folder: Path) -> dict[str, bool]:
    """Path -> spam, as the split's file says."""
    lines = (folder / "splits" / "spamassassin-test.tsv").read_text("utf-8").splitlines()
    return {path: label == "spam" for label, path in (line.split("\t") for line in lines if line)}


def scored(model: classifier.Classifier, folder: Path, wanted: dict[str, bool]) -> dict[str, Score | Failure]:
    """Path -> outcome, each mail on its own."""
    outcomes: dict[str, Score | Failure] = {}
    with report.progress("scoring") as bar:
        task = bar.add_task("scoring", total=len(wanted))
        for example in spamassassin(folder):
            if example.path in wanted:
                message = Message(example.raw, "bench", kind=example.kind)
                [outcomes[example.path]] = model.score([message])
                bar.advance(task)
    return outcomes


def differences(
    one: dict[str, Score], other: dict[str, Score], wanted: dict[str, bool], thresholds: Thresholds
) -> dict[str, Any]:
    """How the verdicts of two ways to score the same mails differ, and how far their probabilities lie apart."""
    both = sorted(one.keys() & other.keys())
    apart = [abs(one[path].probability - other[path].probability) for path in both]
    flips = [path for path in both if judge(one[path], thresholds).label != judge(other[path], thresholds).label]

    def near(path: str) -> bool:
        cuts = (thresholds.unsure_at, thresholds.spam_at)
        return any(abs(scores[path].probability - cut) < NEAR for scores in (one, other) for cut in cuts)

    areas = [
        figures_of([(wanted[path], scores[path].probability) for path in both])["roc_auc"] for scores in (one, other)
    ]
    return {
        "mails": len(both),
        "verdicts_differ": len(flips),
        "of_these_not_near_a_threshold": [path for path in flips if not near(path)],
        "most_apart": max(apart, default=0.0),
        "mean_apart": float(np.mean(apart)) if apart else 0.0,
        "roc_auc_difference": abs(areas[0] - areas[1]),
    }


def figures_of(pairs: list[tuple[bool, float]]) -> dict[str, Any]:
    """ROC AUC, and recall at two rates of ham called spam, with counts. (is spam, probability) pairs."""
    spam, score = np.array([s for s, _ in pairs], int), np.array([p for _, p in pairs], float)
    figures: dict[str, Any] = dict(summary(spam, score))
    for rate, name in ((0.001, "0.1"), (0.005, "0.5")):
        cut = ham_cut(spam, score, rate)
        figures[f"caught_at_{name}"] = int(((spam == 1) & (score > cut)).sum())
        figures[f"ham_above_at_{name}"] = int(((spam == 0) & (score > cut)).sum())
    return figures


def labelled(outcomes: dict[str, Score | Failure], wanted: dict[str, bool], thresholds: Thresholds) -> dict[str, Any]:
    """How many of ham and spam got each label at the default thresholds, and which mails got the wrong one."""
    counts = {kind: Counter[str]({str(label): 0 for label in Label}) for kind in ("ham", "spam")}
    wrong: dict[str, list[str]] = {"ham called spam": [], "spam called ham": []}
    for path, outcome in outcomes.items():
        if isinstance(outcome, Failure):
            continue
        label, kind = judge(outcome, thresholds).label, "spam" if wanted[path] else "ham"
        counts[kind][str(label)] += 1
        if f"{kind} called {label}" in wrong:
            wrong[f"{kind} called {label}"].append(path)
    return {**{kind: dict(counted) for kind, counted in counts.items()}, "wrong": wrong}


def main() -> None:
    """Score, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--against", type=Path, metavar="BUNDLE", help="compare with this bundle's ensemble")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    try:
        folder = data_dir(options.data_dir)
    except DataError as error:
        sys.exit(str(error))
    where = report.setting()
    wanted = split(folder)
    bundle = open_bundle(default_bundle())
    model = classifier.load(bundle.path)
    started = time.perf_counter()
    outcomes = scored(model, folder, wanted)
    seconds = time.perf_counter() - started
    scores = {path: outcome for path, outcome in outcomes.items() if isinstance(outcome, Score)}
    thresholds = resolve_policy(config.load(environ={}).policy, bundle).thresholds
    turns_at = (thresholds.unsure_at, thresholds.spam_at)
    others = {"served: ensemble": scored(classifier.load(bundle.path, turns_at=turns_at), folder, wanted)}
    if options.against:
        against = classifier.load(options.against)
        others[f"{against.model_id}: ensemble"] = scored(against, folder, wanted)
    by_stage = {"ensemble": figures_of([(wanted[path], score.probability) for path, score in scores.items()])}
    for stage in sorted({name for score in scores.values() for name in score.stages}):
        having = [(wanted[path], score.stages[stage]) for path, score in scores.items() if stage in score.stages]
        by_stage[stage] = figures_of(having)
    compared, kept = {}, {}
    for name, found in others.items():
        kept[name] = {path: outcome for path, outcome in found.items() if isinstance(outcome, Score)}
        by_stage[name] = figures_of([(wanted[path], score.probability) for path, score in kept[name].items()])
        compared[name] = differences(kept[name], scores, wanted, thresholds)
    asked = sum("gpt" in score.stages for score in kept["served: ensemble"].values()) / max(len(scores), 1)
    labels = labelled(outcomes, wanted, thresholds)
    failed = {path: outcome.kind for path, outcome in outcomes.items() if isinstance(outcome, Failure)}
    rows = [
        (
            name,
            f["ham"],
            f["spam"],
            f"{f['roc_auc']:.5f}",
            *(f"{100 * f[f'recall_at_{n}']:.1f} % ({f[f'caught_at_{n}']})" for n in ("0.1", "0.5")),
        )
        for name, f in by_stage.items()
    ]
    table = report.table(("who", "ham", "spam", "ROC AUC", "recall at FPR 0.1 %", "recall at FPR 0.5 %"), rows)
    ham, spam = labels["ham"], labels["spam"]
    allowed = [f"at {rate} % {int(by_stage['ensemble']['ham'] * float(rate) / 100)}" for rate in ("0.1", "0.5")]
    table.caption = (
        f"{len(outcomes)} of {MAILS} mails, {len(failed)} not scanned; "
        f"ham that may lie above the cut: {', '.join(allowed)}\n"
        f"default thresholds {thresholds.unsure_at:.4f} and {thresholds.spam_at:.4f}: "
        f"of {sum(ham.values())} ham {ham['spam']} called spam, {ham['unsure']} unsure; "
        f"of {sum(spam.values())} spam {spam['spam']} called spam, {spam['unsure']} unsure, {spam['ham']} ham\n"
        f"ensemble ROC AUC wanted >= {LEAST_AUC}: {'yes' if by_stage['ensemble']['roc_auc'] >= LEAST_AUC else 'NO'}; "
        f"{1e3 * seconds / max(len(outcomes), 1):.1f} ms a mail, unpacking included\n"
        f"served asks the GPT for {100 * asked:.1f} % of the mails"
    )
    for name, found in compared.items():
        table.caption += (
            f"\n{name} against ensemble: {found['verdicts_differ']} of {found['mails']} verdicts differ, "
            f"{len(found['of_these_not_near_a_threshold'])} of them further than {NEAR} from a threshold; "
            f"probabilities {found['mean_apart']:.5f} apart on average, {found['most_apart']:.3f} at most; "
            f"ROC AUC {found['roc_auc_difference']:.6f} apart"
        )
    figures = {
        "mails": len(outcomes),
        "failed": failed,
        "stages": by_stage,
        "thresholds": {"unsure_at": thresholds.unsure_at, "spam_at": thresholds.spam_at},
        "labels": labels,
        "compared": compared,
        "asked_gpt": round(asked, 4),
        "auc_wanted": LEAST_AUC,
        "seconds": round(seconds, 1),
    }
    report.publish("accuracy on the SpamAssassin test part", where, table, figures, options.json)
    if len(outcomes) != MAILS:
        sys.exit(f"{len(outcomes)} mails were found, not {MAILS}: is {folder / 'spamassassin.tar.xz'} whole?")


if __name__ == "__main__":
    main()
