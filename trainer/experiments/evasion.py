"""`compare evasion`: how much spam each known trick gets past the filter, beside linear models under the same tricks.

The cut of every scorer stands where 0.5 % of its untouched ham lies above; then the same spam is scored under each
attack of `trainer.evaluation.attacks`. Two linear SVMs stand beside the bundle: one reads our extraction, the other
the text as the standard library decodes it, tags taken off, as filters without a normaliser do.
"""

from __future__ import annotations

import email
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from spamfilter import classifier
from spamfilter.document import extract, render
from spamfilter.html_text import strip_tags
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure
from trainer.augment import GoodWords
from trainer.commands.options import data_option, run_option
from trainer.errors import DataError
from trainer.evaluation.attacks import ATTACKS, Attack, has_text
from trainer.evaluation.baselines import WordCharacterSvm
from trainer.evaluation.metrics import ham_cut

FALSE_POSITIVE_RATE = 0.005
UNATTACKED = "none"

Score = Callable[[bytes, Kind], Mapping[str, float]]
"""Scores of one raw message by scorer; NaN where a scorer has nothing to say. Higher is more spam."""
Track = Callable[[Sequence[Any], str], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """One attack: spam above each scorer's cut, of `attacked` messages; `untouched` had no text to attack."""

    attack: str
    description: str
    attacked: int
    untouched: int
    caught: dict[str, int]

    def recall(self, scorer: str) -> float:
        """Share caught of the attacked messages, 0 to 1; NaN where there were none."""
        return self.caught[scorer] / self.attacked if self.attacked else float("nan")


@dataclass(frozen=True, slots=True)
class Battery:
    """Every attack's row, the cuts, and the counts behind them. The first row is the unattacked spam."""

    rows: list[Row]
    cuts: dict[str, float]
    ham: int
    ham_above: dict[str, int]
    seed: int
    failed: list[str] = field(default_factory=list)

    def drop(self, row: Row, scorer: str) -> float:
        """Points of recall lost against the unattacked spam."""
        return 100 * (self.rows[0].recall(scorer) - row.recall(scorer))

    def worst(self, scorer: str) -> tuple[float, str]:
        """The largest drop in points, and the attack that makes it."""
        return max(((self.drop(row, scorer), row.attack) for row in self.rows[1:]), default=(0.0, ""))

    def as_json(self) -> dict[str, Any]:
        """All of it, with recalls and worst drops."""
        rows = [
            {**asdict(row), "recall": {name: round(row.recall(name), 5) for name in row.caught}} for row in self.rows
        ]
        worst = {
            name: {"points": round(p, 2), "attack": attack} for name in self.cuts for p, attack in [self.worst(name)]
        }
        return {**asdict(self), "rows": rows, "false_positive_rate": FALSE_POSITIVE_RATE, "worst": worst}

    def as_markdown(self) -> str:
        """A table: recall with counts, and the drop in points behind it."""
        names = list(self.cuts)
        lines = [f"| attack | {' | '.join(names)} | spam |", "|---|" + "---:|" * (len(names) + 1)]
        lines += [f"| {' | '.join(cells)} |" for cells in self.cells()]
        worst = ", ".join(f"{name} {p:.1f} points ({attack})" for name in names for p, attack in [self.worst(name)])
        lines.append(f"\n{self.ham} ham for the cuts at FPR {100 * FALSE_POSITIVE_RATE:g} %. Worst drop: {worst}.")
        return "\n".join(lines) + "\n"

    def cells(self) -> list[list[str]]:
        """Rows of text: attack, `recall % (caught) drop` by scorer, how many messages."""
        return [
            [
                row.attack,
                *(
                    f"{100 * row.recall(name):.1f} ({row.caught[name]})"
                    + (f" {0.0 - round(self.drop(row, name), 1):+.1f}" if row.attack != UNATTACKED else "")
                    for name in self.cuts
                ),
                f"{row.attacked}" + (f" +{row.untouched} without text" if row.untouched else ""),
            ]
            for row in self.rows
        ]


def _plainly(items: Sequence[Any], title: str) -> Iterator[Any]:
    return iter(items)


def run_battery(
    score: Score,
    spam_raws: Sequence[tuple[bytes, Kind]],
    ham_raws: Sequence[tuple[bytes, Kind]],
    attacks: Mapping[str, Attack] = ATTACKS,
    seed: int = 123,
    *,
    good: GoodWords | None = None,
    track: Track = _plainly,
) -> Battery:
    """Recall of every scorer on the spam under each attack, at its cut on the untouched ham.

    Good words are drawn from the ham itself where no `good` is given: an attacker who knows it. A message that an
    attack leaves alone (no text, or another kind) is counted apart. Raises DataError without ham or spam.
    """
    if not spam_raws or not ham_raws:
        raise DataError("the battery needs spam to attack and ham to set the cuts by; one of them is empty")
    good = good or GoodWords([extract(raw, kind).text.lower() for raw, kind in ham_raws])
    ham = [score(raw, kind) for raw, kind in track(ham_raws, "ham")]
    cuts = {name: _cut(np.array([found[name] for found in ham])) for name in ham[0]}
    above = {name: sum(found[name] > cut for found in ham) for name, cut in cuts.items()}
    rows = [_row(UNATTACKED, "The spam as it came.", score, cuts, list(track(spam_raws, UNATTACKED)), 0)]
    for name, attack in attacks.items():
        worth = [(raw, kind) for raw, kind in spam_raws if kind in attack.kinds and has_text(raw, kind)]
        attacked = [(attack(raw, kind, seed, good), kind) for raw, kind in track(worth, name)]
        rows.append(_row(name, attack.description, score, cuts, attacked, len(spam_raws) - len(worth)))
    return Battery(rows, cuts, len(ham), above, seed)


def _cut(ham: np.ndarray) -> float:
    known = ham[~np.isnan(ham)]
    return ham_cut(np.zeros(len(known)), known, FALSE_POSITIVE_RATE)


def _row(
    name: str, description: str, score: Score, cuts: Mapping[str, float], spam: Sequence[tuple[bytes, Kind]], left: int
) -> Row:
    found = [score(raw, kind) for raw, kind in spam]
    caught = {scorer: int(sum(one[scorer] > cut for one in found)) for scorer, cut in cuts.items()}
    return Row(name, description, len(spam), left, caught)


def naive_text(raw: bytes, kind: Kind) -> str:
    """Subject and text parts as `get_payload` decodes them, tags taken off: filters without a normaliser read this."""
    if kind is Kind.TEXT:
        return raw.decode("utf-8", "replace")
    mail = email.message_from_bytes(raw)
    texts = [str(mail.get("subject", ""))]
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                texts.append(_declared(payload, str(part.get_param("charset") or "utf-8")))
    return strip_tags("\n".join(texts))


def _declared(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset, "replace")
    except (LookupError, ValueError):  # unknown charsets, and codecs that know no "replace"
        return payload.decode("utf-8", "replace")


def extracted_text(raw: bytes, kind: Kind) -> str:
    """The canonical rendering, head and tail."""
    return "\n".join(part for part in render(extract(raw, kind)) if part)


def scorer(
    model: classifier.Classifier, svms: Mapping[str, tuple[WordCharacterSvm, Callable[[bytes, Kind], str]]]
) -> Score:
    """The bundle's ensemble and stages, and every SVM on its own reading, as one `Score`.

    Raises DataError where the bundle fails on a message: a failed scan is no score.
    """

    def score(raw: bytes, kind: Kind) -> dict[str, float]:
        [outcome] = model.score([Message(raw, "bench", kind=kind)])
        if isinstance(outcome, Failure):
            raise DataError(f"the bundle could not scan a message: {outcome.kind}: {outcome.detail}")
        found = {"ensemble": outcome.probability}
        found |= {stage: outcome.stages.get(stage, float("nan")) for stage in ("ngram", "gpt", "facts")}
        return found | {name: float(svm.score([read(raw, kind)])[0]) for name, (svm, read) in svms.items()}

    return score


@click.command()
@data_option
@run_option
@click.option("--bundle", type=click.Path(path_type=Path), help="Folder of the bundle; the shipped one by default.")
@click.option("--messages", type=click.IntRange(1), help="At most so many spam; all of the test part by default.")
@click.option("--attack", "only", multiple=True, type=click.Choice(list(ATTACKS)), help="Only these (repeatable).")
@click.option("--svm/--no-svm", default=True, show_default=True, help="Fit the linear SVMs to stand beside.")
@click.option("--seed", default=123, show_default=True, help="Seed of the attacks.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there, too.")
def command(
    data_dir: Path | None,
    run: Path,
    bundle: Path | None,
    messages: int | None,
    only: tuple[str, ...],
    svm: bool,
    seed: int,
    json_file: Path | None,
) -> None:
    """Recall on the SpamAssassin test part under each known evasion trick, at a cut of 0.5 % of its ham."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from spamfilter.classifier.bundle import default_bundle
    from trainer.data.corpora import data_dir as find

    model = classifier.load(bundle or default_bundle())
    test, train = _mails(find(data_dir))
    spam = [(raw, kind) for raw, kind, is_spam in test if is_spam]
    if messages is not None and messages < len(spam):
        picked = np.random.default_rng(seed).permutation(len(spam))[:messages]
        spam = [spam[i] for i in sorted(picked)]
    ham = [(raw, kind) for raw, kind, is_spam in test if not is_spam]
    good = GoodWords(
        [extract(raw, kind).text.lower() for raw, kind, is_spam in track(train, "ham words") if not is_spam]
    )
    svms: dict[str, tuple[WordCharacterSvm, Callable[[bytes, Kind], str]]] = {}
    if svm:
        labels = np.array([is_spam for _, _, is_spam in train], int)
        for name, read in (("SVM", extracted_text), ("SVM, naive text", naive_text)):
            texts = [read(raw, kind) for raw, kind, _ in track(train, name)]
            svms[name] = _fitted(texts, labels), read
    attacks = {name: attack for name, attack in ATTACKS.items() if not only or name in only}
    battery = run_battery(
        scorer(model, svms), spam, ham, attacks, seed, good=good, track=lambda items, title: iter(track(items, title))
    )
    table = Table("attack", *battery.cuts, "spam", title=f"recall % (caught) and points lost; {model.model_id}")
    for cells in battery.cells():
        table.add_row(*cells)
    Console(width=None if Console().is_terminal else 150).print(table)
    figures = json.dumps({"model": model.model_id, **battery.as_json()}, indent=1, ensure_ascii=False) + "\n"
    folder = run / "experiments" / "evasion"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evasion.json").write_text(figures, "utf-8")
    (folder / "evasion.md").write_text(f"# Evasion, {model.model_id}\n\n{battery.as_markdown()}", "utf-8")
    if json_file is not None:
        json_file.write_text(figures, "utf-8")
    click.echo(f"{folder / 'evasion.md'} and evasion.json written")


def _fitted(texts: Sequence[str], spam: np.ndarray) -> WordCharacterSvm:
    svm = WordCharacterSvm()
    svm.fit(texts, spam)
    return svm


def _mails(folder: Path) -> tuple[list[tuple[bytes, Kind, bool]], list[tuple[bytes, Kind, bool]]]:
    """The fixed test part of SpamAssassin and the rest of it, as (raw, kind, is spam)."""
    from trainer.data.corpora import spamassassin, spamassassin_test

    fixed = spamassassin_test(folder)
    parts: tuple[list[tuple[bytes, Kind, bool]], list[tuple[bytes, Kind, bool]]] = ([], [])
    for example in spamassassin(folder):
        parts[example.path not in fixed].append((example.raw, example.kind, example.spam))
    return parts
