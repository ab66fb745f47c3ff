"""The mails that the benchmarks of speed scan: real ones, drawn with a fixed seed, on disk where a peer wants files.

Half come from the SpamAssassin corpus less its fixed test part, half from CSDMC2010. What was not drawn trains the
peers that learn, so that nobody has seen what it is asked about. (Our own bundle has seen some of them: this is about
time, not about being right.)
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.corpora import csdmc, data_dir, enron, spamassassin, spamassassin_test
from trainer.data.example import Example
from trainer.errors import DataError

SEED = 7


@dataclass(frozen=True, slots=True)
class Mail:
    """The bytes, the same bytes in a file, and the label."""

    raw: bytes
    path: Path
    spam: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is scanned, and what a peer may learn from."""

    mails: Sequence[Mail]
    others: Sequence[Mail]

    @property
    def mean_bytes(self) -> float:
        """Of those that are scanned."""
        return sum(len(mail.raw) for mail in self.mails) / len(self.mails)

    def about(self) -> str:
        """One line for a table."""
        spam = sum(mail.spam for mail in self.mails)
        return (
            f"{len(self.mails)} real mails (SpamAssassin less its fixed test part, CSDMC2010; seed {SEED}), "
            f"{spam} of them spam, mean size {self.mean_bytes / 1e3:.1f} kB"
        )


def draw(given: Path | None, count: int, folder: Path, *, others: int = 0) -> Drawn:
    """`count` mails to scan and `others` to learn from, written below `folder`. Exits without the corpora.

    What the two corpora do not have left to learn from comes from Enron-spam (mails without headers).
    """
    try:
        where = data_dir(given)
        test = spamassassin_test(where)
        first = [example for example in spamassassin(where) if example.path not in test]
        second = list(csdmc(where))
    except DataError as error:
        sys.exit(str(error))
    chance = random.Random(SEED)
    share = min(count // 2, len(second))
    if count - share > len(first):
        sys.exit(f"--mails: at most {len(first) + len(second)}")
    chance.shuffle(first)
    chance.shuffle(second)
    scanned = first[: count - share] + second[:share]
    left = first[count - share :] + second[share:]
    chance.shuffle(scanned)
    chance.shuffle(left)
    if others > len(left):
        more = list(enron(where))
        left += chance.sample(more, min(others - len(left), len(more)))
    return Drawn(_written(scanned, folder / "scanned"), _written(left[:others], folder / "others"))


def _written(examples: Sequence[Example], folder: Path) -> list[Mail]:
    folder.mkdir(parents=True)
    mails = []
    for number, example in enumerate(examples):
        path = folder / f"{number:05d}.eml"
        path.write_bytes(example.raw)
        mails.append(Mail(example.raw, path, bool(example.spam)))
    return mails
