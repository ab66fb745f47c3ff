"""The SMS collection as a table of its own, and a base that has read the rest of it but no test message.

The reference protocol takes 1,494 of the 5,574 messages; what it leaves aside is ham that no test holds. A base may
read it without labels, as it reads any other text, as long as no near-duplicate of a test message is among it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spamfilter.document import EXTRACTION
from trainer.base import Base, base_of, load_base
from trainer.data import corpora, duplicates
from trainer.data.duplicates import near_duplicate_groups, numbered
from trainer.data.prepared import STRINGS, fact_matrix, fingerprint_of, render_columns, row
from trainer.errors import RecipeError
from trainer.evaluation.baselines import BASELINES, texts_of
from trainer.experiments.trials import digest_of
from trainer.linear import Counts, count, fit_ngram, score_ngram
from trainer.priors import prior_weights
from trainer.recipes.pretrain import Pretrain, pretrain
from trainer.run import Run
from trainer.teacher import PACKAGE

SEEDS = (123, 1, 2, 3, 4, 5)
"""The reference's own seed, and five more."""


def sms_table(data: Path, out: Path) -> pd.DataFrame:
    """The collection in its file's order, with the columns of `trainer.data.prepared`; kept at `out` (JSON lines).

    Needs no other corpus. Every message is of part `train`: who trains and who judges is said by row numbers. Raises
    DataError.
    """
    stamp, stamp_file = {"extraction": EXTRACTION, "groups": duplicates.VERSION}, out.with_suffix(".json")
    if out.exists() and stamp_file.exists() and json.loads(stamp_file.read_text()) == stamp:
        return pd.read_json(out, lines=True, dtype=STRINGS)
    total = corpora.LABELLED_FILES["sms"].messages
    table = pd.DataFrame([row(example) for example in track(corpora.sms(data), "SMS", total=total)])
    table["group"] = _joined(numbered(table["group"]), near_duplicate_groups(table["text"].to_list())).astype(str)
    table["part"] = "train"
    out.parent.mkdir(parents=True, exist_ok=True)
    stamp_file.unlink(missing_ok=True)
    table.to_json(out, orient="records", lines=True, force_ascii=False)
    stamp_file.write_text(json.dumps(stamp))
    return table


def _joined(exact: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Groups (N,) of rows that are joined by either of two groupings (N,), over any number of steps."""
    first, size = int(near.max()) + 1, int(near.max()) + int(exact.max()) + 2
    graph = coo_array((np.ones(len(near), bool), (near, exact + first)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    found: np.ndarray = group[near]
    return found


@dataclass(frozen=True, slots=True)
class Reading:
    """The collection as each kind of model reads it: table, texts, n-gram counts, and the facts' prior score (N,)."""

    table: pd.DataFrame
    texts: list[str]
    counts: Counts
    facts: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, *, workers: int = 2) -> Reading:
        """Everything that takes no label."""
        facts = np.nan_to_num(fact_matrix(table)) @ prior_weights()
        return cls(table, texts_of(table), count(*render_columns(table), workers=workers), facts)

    @property
    def spam(self) -> np.ndarray:
        """Labels (N,)."""
        return self.table["spam"].to_numpy()

    def ngrams(self, train: np.ndarray) -> np.ndarray:
        """Scores (N,) of n-grams fitted on the given rows."""
        return score_ngram(fit_ngram(self.counts[train], self.spam[train], np.ones(len(train))), self.counts)[0]

    def baseline(self, name: str, train: np.ndarray, ask: np.ndarray) -> np.ndarray:
        """Scores of the rows `ask`, above 0 is spam, of a baseline fitted on the given rows."""
        model = BASELINES[name]()
        model.fit([self.texts[i] for i in train], self.spam[train])
        return model.score([self.texts[i] for i in ask]) - model.threshold


def teacher_cache(run: Path) -> Path | None:
    """Where embeddings of SMS are kept, or None where no teacher is installed."""
    return run / "experiments" / "teacher.npz" if find_spec(PACKAGE) is not None else None


def unread_base(run: Path) -> Base:
    """The run's base. Raises RecipeError where it has read the collection, with or without labels."""
    base = load_base(base_of(run))
    for settings in (folder / "settings.json" for folder in {run / "pretrain", base_of(run)}):
        if settings.exists() and "sms" in json.loads(settings.read_text()).get("corpora", ()):
            raise RecipeError(f"{run}: the base has read the SMS collection, tests included; pretrain without `sms`")
    return base


def ranks_of(run: Path) -> Path:
    """The file of the tokenizer that goes with the run's base."""
    return base_of(run) / "tokenizer.tiktoken"


def domain_settings(base: Base, *, tokens: int, learning_rate: float, teacher: float, threads: int) -> Pretrain:
    """Settings of a short pretraining on SMS from a base's weights and sizes; `teacher` as in `Pretrain`."""
    c = base.config
    return Pretrain(
        corpora=("sms",), vocab_size=c.vocab_size, context=c.context, layers=c.layers, heads=c.heads,
        channels=c.channels, dropout=c.dropout, batch=8, tokens=tokens, learning_rate=learning_rate, warmup=20,
        teacher=teacher, checkpoint_every=10_000, threads=threads,
    )  # fmt: skip


def familiar(
    base: Base, ranks: Path, settings: Pretrain, table: pd.DataFrame, test: np.ndarray, folder: Path,
    cache: Path | None,
) -> Base:  # fmt: skip
    """The base after it has read, without labels, all messages but those of a group that has one in the test.

    `ranks` is the base's tokenizer file, `test` row numbers, `cache` the teacher's embeddings. Goes on, or is read,
    from `folder`.
    """
    read = readable(table, test)
    run = Run.open(folder, settings, data=f"{fingerprint_of(read)}-{digest_of(base)}")
    if not (folder / "final.pt").exists():
        shutil.copyfile(ranks, folder / "tokenizer.tiktoken")
        pretrain(settings, run, read, folder, teacher_cache=cache or folder / "teacher.npz", start=base)
        for name in ("checkpoint.pt", "packed.npy", "owners.npy"):
            (folder / name).unlink(missing_ok=True)
    return load_base(folder)


def readable(table: pd.DataFrame, test: np.ndarray) -> pd.DataFrame:
    """The rows of the table that share no group with a test row."""
    return table[~table["group"].isin(table["group"].iloc[test])].assign(part="train")
