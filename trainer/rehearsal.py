"""A replay drawn anew from the run that a model was trained in: whole messages with their texts, and more of them.

A bundle carries little, and of that only what gives nobody's text away. Where the run's folder is at hand, the same
calibrated messages are found there by their order, and further ones beside them; what a bundle carries afterwards is
what it carried before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spamfilter.classifier.bundle import Bundle
from spamfilter.classifier.gpt_runtime import GptRuntime
from spamfilter.classifier.ngram import NgramModel
from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import EXTRACTION
from trainer.data.prepared import STRINGS, fact_matrix, render_columns
from trainer.errors import RecipeError
from trainer.experiments.sources import FOLDER
from trainer.inputs import Inputs
from trainer.job import Progress
from trainer.linear import counts_of
from trainer.replay import Replay, drawn

MOST = 3000
"""Messages of a replay that is drawn from a run."""

States = Callable[[Sequence[str], Sequence[str]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """R messages of a run, of which the first are those that the bundle carries (`carried`), and their table (R)."""

    replay: Replay
    table: pd.DataFrame
    carried: Replay

    def for_bundle(self, followed: Replay) -> Replay:
        """What a bundle is to carry after a retraining, of the replay that came of it: no more than before."""
        count = len(self.carried)
        known = followed.calibrating
        return replace(
            self.carried,
            inputs=replace(self.carried.inputs, pooled=followed.inputs.pooled[:count]),
            calibrating=replace(known, row=np.where(known.row < count, known.row, -1)),
        )


def table_in(run: Path) -> pd.DataFrame:
    """The run's table as it was extracted, without the corpora. Raises RecipeError."""
    file = run / "data" / "prepared.jsonl"
    if not file.is_file() or not file.with_suffix(".json").is_file():
        raise RecipeError(f"{run}: no training was run there ({file} is missing): give the folder that one was")
    stamp = json.loads(file.with_suffix(".json").read_text())
    if stamp.get("extraction") != EXTRACTION:
        raise RecipeError(
            f"{file}: extracted by version {stamp.get('extraction')}, this is {EXTRACTION}: "
            "train again with this version, or leave the run out"
        )
    return pd.read_json(file, lines=True, dtype=STRINGS)


def rehearsal_of(
    run: Path, table: pd.DataFrame, carried: Replay, states: States, *, most: int = MOST, left_out: str = ""
) -> Rehearsal:
    """The run's messages for a model that carries a replay; `states` reads the pooled states (M, C) of heads and tails.

    Nothing of the source `left_out`, nor of its near-duplicates, is drawn beside what is carried. Raises RecipeError
    where the run is another's.
    """
    known = carried.calibrating
    of = calibrated(run, table, known.names, left_out)
    spam, source, groups = (table[name].to_numpy() for name in ("spam", "source", "group"))
    if len(of) != len(known.spam) or not np.array_equal(spam[of], known.spam):
        raise RecipeError(f"{run}: not the run that the model in service was trained in: give its folder, or none")
    first = np.zeros(len(carried), np.int64)
    first[known.row[known.row >= 0]] = of[known.row >= 0]
    barred = frozenset(groups[first]) | frozenset(groups[source == left_out])
    more = drawn(
        of, known.origin, source[of], spam[of], known.standing, groups, most=max(most - len(first), 0), without=barred
    )
    rows = np.concatenate([first, more])
    chosen = table.iloc[rows].reset_index(drop=True)
    heads, tails = render_columns(chosen)
    new = slice(len(first), None)
    pooled = carried.inputs.pooled
    if len(more):
        pooled = np.concatenate([pooled, states(heads[new], tails[new])]).astype(np.float32)
    place = {row: number for number, row in enumerate(rows.tolist())}
    names, number = np.unique(source[rows].astype(str), return_inverse=True)
    whole = Replay(
        Inputs(counts_of(list(zip(heads, tails, strict=True))), fact_matrix(chosen), pooled),
        spam[rows].astype(np.int64),
        number,
        tuple(names.tolist()),
        replace(known, row=np.array([place.get(row, -1) for row in of.tolist()], np.int64)),
    )
    return Rehearsal(whole, chosen, carried)


def calibrated(run: Path, table: pd.DataFrame, names: Sequence[str], left_out: str = "") -> np.ndarray:
    """The table's rows (N,) of the messages that calibrated a model, in their order: its holdout, then each source that
    was left out. Raises RecipeError."""
    found = []
    for name in names:
        held = name == "holdout"
        file = run / FOLDER / f"{left_out if held else name}.npz"
        if held and not left_out:
            found.append(np.flatnonzero((table["part"] == "holdout").to_numpy()))
        elif file.is_file():
            with np.load(file, allow_pickle=False) as kept:
                found.append(kept["holdout" if held else "rows"])
        else:
            raise RecipeError(f"{file}: not there; run `python -m trainer compare sources`, or leave the run out")
    return np.concatenate(found).astype(np.int64)


def windows_of(
    heads: Sequence[str], tails: Sequence[str], ngram: NgramModel, tokenizer: Any, context: int
) -> list[np.ndarray]:
    """The tokens that the GPT reads of rendered messages in service: the beginning, and the passage judged worst."""
    return [
        tokenizer.window(head, tail, context, ngram.judge(head, tail)[1])
        for head, tail in zip(heads, tails, strict=True)
    ]


def served_states(bundle: Bundle, ngram: NgramModel, progress: Progress) -> States:
    """Reads states by a bundle's graph, as in service, and tells how far it is."""
    tokenizer, context = Tokenizer.load(bundle.file("tokenizer.tiktoken")), int(bundle.manifest["context"])

    def read(heads: Sequence[str], tails: Sequence[str]) -> np.ndarray:
        progress.begin("rehearsal", len(heads))
        return states_of(bundle.file("gpt.onnx"), windows_of(heads, tails, ngram, tokenizer, context), progress)

    return read


def states_of(graph: Path, windows: Sequence[np.ndarray], progress: Progress) -> np.ndarray:
    """Pooled states (N, C) of windows by a served graph: twice as fast as by torch on one core."""
    network = GptRuntime(graph)
    found = []
    for window in windows:
        found.append(network.score(window.astype(np.int64))[1])
        progress.advance()
    return np.stack(found)
