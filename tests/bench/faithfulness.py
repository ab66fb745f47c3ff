"""Whether explanations say what the model does: its score falls more without what they name than without anything else.

    python -m tests.bench.faithfulness [--mails N] [--data-dir DIR] [--json FILE]

Spam is drawn with a fixed seed, equally from SpamAssassin (less its fixed test part), CSDMC2010, Enron-spam and the SMS
collection. Of each message the model is asked again without the five passages that an explanation names as the
strongest for spam, and without five passages drawn at random, ten times over. An explanation is faithful where the
logit falls further for its five than for the ten draws on average. The model has been trained on some of these
messages: this is about explanations, not about being right. For figures of time pin it to one core: `taskset -c 0`.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spamfilter.classifier.bundle import default_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.classifier.explanation import Explanation, Span
from spamfilter.classifier.passages import Budget, Texts
from spamfilter.message import Message
from tests.bench import report
from trainer.data.corpora import LABELLED, data_dir, spamassassin_test
from trainer.data.example import Example
from trainer.errors import DataError

SEED = 11
SOURCES = ("spamassassin", "csdmc2010", "enron", "sms")
SPANS = 5
DRAWS = 10
WANTED = 0.9
"""The share of messages whose explanation must be faithful."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One explanation: how far the logit falls without its passages and without others, whether the parts add up."""

    source: str
    named: float
    drawn: tuple[float, ...]
    missing: float
    seconds: float

    @property
    def faithful(self) -> bool:
        """Whether it names what the model listens to."""
        return self.named > statistics.fmean(self.drawn)


def draw(folder: Path, count: int) -> Iterator[tuple[str, Example]]:
    """`count` spam messages with their source, as many of each."""
    test = spamassassin_test(folder)
    for number, source in enumerate(SOURCES):
        spam = [one for one in LABELLED[source](folder) if one.spam and one.path not in test]
        share = count // len(SOURCES) + (number < count % len(SOURCES))
        yield from ((source, one) for one in random.Random(SEED).sample(spam, share))


def fall(texts: Texts, some: Sequence[Span]) -> float:
    """How far the logit falls without some passages."""
    words = texts.cuttings.words
    gone = [
        range(at, at + 1)
        for at, word in enumerate(words)
        if any(span.part == word.part and span.start <= word.start < span.end for span in some)
    ]
    return sum(texts.without()) - sum(texts.without(*gone))


def measured(model: Ensemble, source: str, example: Example, chance: random.Random) -> Measured | None:
    """What comes of one message; None where it has too few passages to choose from."""
    message = Message(example.raw, "bench", kind=example.kind)
    started = time.perf_counter()
    found = model.explain(message)
    seconds = time.perf_counter() - started
    if not isinstance(found, Explanation):
        sys.exit(f"{source} {example.path}: {found.detail}")
    if len(found.spans) <= SPANS:
        return None
    _, texts = model.take_apart(message, Budget())
    named = sorted(found.spans, key=lambda span: -span.moved)[:SPANS]
    drawn = tuple(fall(texts, chance.sample(found.spans, SPANS)) for _ in range(DRAWS))
    share = abs(found.missing) / max(abs(found.logit), 1e-9)
    return Measured(source, fall(texts, named), drawn, share, seconds)


def row(name: str, some: Sequence[Measured]) -> tuple[str, ...]:
    """One line of the table."""
    seconds = np.array([one.seconds for one in some])
    faithful = sum(one.faithful for one in some)
    draws = [(one.named, drawn) for one in some for drawn in one.drawn]
    beaten = sum(named > drawn for named, drawn in draws)
    missing = [one.missing for one in some]
    return (
        name,
        str(len(some)),
        f"{100 * faithful / len(some):.1f} % ({faithful})",
        f"{100 * beaten / len(draws):.1f} %",
        f"{statistics.fmean(named for named, _ in draws):.2f}",
        f"{statistics.fmean(drawn for _, drawn in draws):.2f}",
        f"{statistics.fmean(missing):.1e}",
        f"{max(missing):.1e}",
        *(f"{np.quantile(seconds, share):.2f}" for share in (0.5, 0.99, 1.0)),
    )


COLUMNS = (
    "source", "spam", "faithful", "draws beaten", "logit falls: named", "drawn", "parts miss: mean", "most",
    "seconds: p50", "p99", "longest",
)  # fmt: skip


def main() -> None:
    """Draw, explain, delete, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--mails", type=int, default=300, help="how many spam messages")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    try:
        drawn = [*draw(data_dir(options.data_dir), options.mails)]
    except DataError as error:
        sys.exit(str(error))
    where = report.setting()
    model = Ensemble.load(default_bundle())
    chance = random.Random(SEED)
    found: list[Measured] = []
    with report.progress("explaining") as bar:
        task = bar.add_task("explaining", total=len(drawn))
        for source, example in drawn:
            if (one := measured(model, source, example, chance)) is not None:
                found.append(one)
            bar.advance(task)
    rows = [row(source, [one for one in found if one.source == source]) for source in SOURCES]
    rows.append(row("all", found))
    table = report.table(COLUMNS, rows)
    faithful = sum(one.faithful for one in found) / len(found)
    table.caption = (
        f"{len(drawn)} drawn with seed {SEED}, {len(drawn) - len(found)} of them too short for {SPANS} passages beside "
        f"others; random passages: mean of {DRAWS} draws; parts miss: |logit - sum of all parts| / |logit|\n"
        f"faithful wanted >= {100 * WANTED:g} %: {'yes' if faithful >= WANTED else 'NO'}"
    )
    figures = {"rows": [dict(zip(COLUMNS, each, strict=True)) for each in rows], "faithful": round(faithful, 4)}
    report.publish("faithfulness of explanations", where, table, figures, options.json)
    sys.stdout.write("\n".join(f"| {' | '.join(each)} |" for each in (COLUMNS, ["-"] * len(COLUMNS), *rows)) + "\n")


if __name__ == "__main__":
    main()
