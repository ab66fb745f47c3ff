"""What a bundle carries of its training, so that a retraining on a mail host neither forgets nor loses more ham.

A retraining that reads corrections alone forgets what they do not speak of, and cannot say what its thresholds cost
elsewhere. So a sample of the training goes with the bundle, and the scores of all messages that calibrated it. It holds
nobody's text: hashed n-grams with their counts, named facts, pooled states. That is less than a text, not nothing:
who has a text at hand can tell whether it is among them, and common words can be guessed from their hashes. N-grams
of one message alone, which most names and addresses are, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from spamfilter.classifier.ngram import DIMENSION
from spamfilter.facts import NAMES
from trainer.inputs import Inputs, without_passages
from trainer.stacking import STAGES, Unseen, standard

FILE = "replay.npz"
FORMAT = 1
MOST_MESSAGES = 1500
HARDEST = 0.5
"""Share of each origin's and class's messages that are taken for being judged worst; the others are drawn."""
_PLANES = 3  # a gap between ids is below 2^24


@dataclass(frozen=True, slots=True)
class Calibrating:
    """Messages that no scoring model had seen: each stage's score in units from its centre (N, 3), in the order of
    STAGES, labels (N,), has headers (N,), number of the origin (N,), and its row of the sample (N,), -1 without one."""

    standing: np.ndarray
    spam: np.ndarray
    mail: np.ndarray
    origin: np.ndarray
    row: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """A sample of R messages: what the stages read of them (no passages), labels (R,), source numbers (R,), their
    names; and the calibration's scores."""

    inputs: Inputs
    spam: np.ndarray
    source: np.ndarray
    names: tuple[str, ...]
    calibrating: Calibrating

    def __len__(self) -> int:
        return len(self.spam)


@dataclass(frozen=True, slots=True)
class Origin:
    """Messages that no scoring model had seen, with the table's rows (N,) that they stand in."""

    rows: np.ndarray
    unseen: Unseen


def chosen(origins: Sequence[Origin], groups: np.ndarray, *, most: int = MOST_MESSAGES, seed: int = 0) -> np.ndarray:
    """Rows of the table for the sample, sorted: alike many of each origin's sources and classes, one of a group.

    Half of them are the ham that looks most like spam (it is what thresholds hang on), and the spam most like ham.
    """
    rows = np.concatenate([origin.rows for origin in origins])
    number = np.repeat(np.arange(len(origins)), [len(origin.rows) for origin in origins])
    source = np.concatenate([origin.unseen.source for origin in origins])
    spam = np.concatenate([origin.unseen.spam for origin in origins])
    standing = np.concatenate([standing_of(origin.unseen) for origin in origins])
    return drawn(rows, number, source, spam, standing, groups, most=most, seed=seed)


def drawn(
    rows: np.ndarray, origin: np.ndarray, source: np.ndarray, spam: np.ndarray, standing: np.ndarray,
    groups: np.ndarray, *, most: int, seed: int = 0, without: frozenset[Any] = frozenset(),
) -> np.ndarray:  # fmt: skip
    """`chosen` from what is known of N messages: their rows of the table, numbers of origins, names of sources, labels
    (N,) and standings (N, 3). `groups` are the whole table's; none `without` is drawn from."""
    rng = np.random.default_rng(seed)
    worst = sum(standing.T) * np.where(spam == 1, 1.0, -1.0)
    pools: list[list[int]] = []
    for number in np.unique(origin):
        for name in np.unique(source[origin == number]):
            for label in (0, 1):
                members = np.flatnonzero((origin == number) & (source == name) & (spam == label))
                if len(members):
                    pools.append(_alternating(rows[members], worst[members], rng))
    taken: list[int] = []
    seen: set[Any] = set(without)
    places = [0] * len(pools)
    while len(taken) < most and any(place < len(pool) for place, pool in zip(places, pools, strict=True)):
        for number, pool in enumerate(pools):
            while places[number] < len(pool):
                row = pool[places[number]]
                places[number] += 1
                if groups[row] not in seen:
                    seen.add(groups[row])
                    taken.append(row)
                    break
    return np.sort(np.array(taken[:most], np.int64))


def _alternating(rows: np.ndarray, right: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Rows, now the one judged worst of those left, now one by chance, in the proportion of HARDEST."""
    worst, drawn = list(np.argsort(right, kind="stable")), list(rng.permutation(len(rows)))
    used: set[int] = set()
    order: list[int] = []
    for turn in range(len(rows)):
        queue = worst if int((turn + 1) * HARDEST) > int(turn * HARDEST) else drawn
        while (place := int(queue.pop(0))) in used:
            pass
        used.add(place)
        order.append(int(rows[place]))
    return order


def standing_of(unseen: Unseen) -> np.ndarray:
    """Scores in units from the centre (N, 3), unbounded, in the order of STAGES."""
    found = np.zeros((len(unseen.spam), len(STAGES)), np.float32)
    for mode, mask in (("mail", unseen.mail), ("text", ~unseen.mail)):
        for column, stage in enumerate(STAGES):
            centre, unit = unseen.units[mode][stage]
            found[mask, column] = standard(unseen.scores[stage][mask], centre, unit, False)
    return found


def replay_of(
    origins: Sequence[Origin], rows: np.ndarray, inputs: Inputs, spam: np.ndarray, source: np.ndarray, idf: np.ndarray
) -> Replay:
    """The sample of the table's `rows` (R,), as `chosen` gives them; inputs, labels and names of sources (R,) are
    theirs. Features that the model does not weigh (no `idf`) are left out, as are all passages."""
    names = tuple(sorted(set(source.tolist())))
    whole = inputs.counts.whole.tocsr(copy=True)
    whole.data[idf[whole.indices] == 0] = 0
    whole.eliminate_zeros()
    bare = Inputs(without_passages(whole), inputs.facts, inputs.pooled)
    place = {row: number for number, row in enumerate(rows.tolist())}
    calibrating = Calibrating(
        np.concatenate([standing_of(origin.unseen) for origin in origins]),
        np.concatenate([origin.unseen.spam for origin in origins]).astype(np.int64),
        np.concatenate([origin.unseen.mail for origin in origins]),
        np.concatenate([np.full(len(origin.rows), number) for number, origin in enumerate(origins)]),
        np.array([place.get(row, -1) for origin in origins for row in origin.rows.tolist()], np.int64),
        tuple(origin.unseen.name for origin in origins),
    )
    numbers = np.searchsorted(np.array(names), source.astype(str))
    return Replay(bare, spam.astype(np.int64), numbers, names, calibrating)


def save(path: Path, replay: Replay) -> None:
    """As a plain `.npz`: ids as gaps and numbers of occurrences in bytes, states and scores in half precision."""
    whole = replay.inputs.counts.whole
    whole.sort_indices()
    first = whole.indptr[:-1][np.diff(whole.indptr) > 0]
    gaps = np.diff(whole.indices, prepend=0).astype(np.int64)
    gaps[first] = whole.indices[first]
    planes = {f"gaps_{plane}": (gaps >> (8 * plane) & 255).astype(np.uint8) for plane in range(_PLANES)}
    known = ~np.isnan(replay.inputs.facts)
    calibrating = replay.calibrating
    np.savez_compressed(
        path,
        format=np.int64(FORMAT),
        sizes=np.diff(whole.indptr).astype(np.int32),
        times=np.clip(np.rint(np.exp(whole.data - 1)), 1, 255).astype(np.uint8),
        facts_names=np.array(NAMES),
        facts=np.packbits(np.nan_to_num(replay.inputs.facts) > 0, axis=1),
        facts_known=np.packbits(known, axis=1),
        pooled=replay.inputs.pooled.astype(np.float16),
        spam=replay.spam.astype(np.uint8),
        source=replay.source.astype(np.uint8),
        names=np.array(replay.names),
        standing=calibrating.standing.astype(np.float16),
        calibrating_spam=calibrating.spam.astype(np.uint8),
        calibrating_mail=calibrating.mail,
        calibrating_origin=calibrating.origin.astype(np.uint8),
        calibrating_row=calibrating.row.astype(np.int16),
        calibrating_names=np.array(calibrating.names),
        **planes,
    )


def load(path: Path) -> Replay:
    """Read what `save` wrote. Raises ValueError where it is of another version of it or of the facts."""
    with np.load(path, allow_pickle=False) as kept:
        if int(kept["format"]) != FORMAT or tuple(kept["facts_names"].tolist()) != NAMES:
            raise ValueError(f"{path}: made by another version of spamfilter")
        sizes = kept["sizes"].astype(np.int64)
        gaps = sum(kept[f"gaps_{plane}"].astype(np.int64) << (8 * plane) for plane in range(_PLANES))
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        sums = np.concatenate([[0], np.cumsum(gaps)])
        ids = (sums[1:] - np.repeat(sums[indptr[:-1]], sizes)).astype(np.int32)
        counts = np.log(kept["times"].astype(np.float32)) + np.float32(1)
        facts = np.unpackbits(kept["facts"], axis=1, count=len(NAMES)).astype(np.float32)
        facts[np.unpackbits(kept["facts_known"], axis=1, count=len(NAMES)) == 0] = np.nan
        whole = sparse.csr_matrix((counts, ids, indptr), (len(sizes), DIMENSION))
        calibrating = Calibrating(
            kept["standing"].astype(np.float32),
            kept["calibrating_spam"].astype(np.int64),
            kept["calibrating_mail"],
            kept["calibrating_origin"].astype(np.int64),
            kept["calibrating_row"].astype(np.int64),
            tuple(kept["calibrating_names"].tolist()),
        )
        return Replay(
            Inputs(without_passages(whole), facts, kept["pooled"].astype(np.float32)),
            kept["spam"].astype(np.int64),
            kept["source"].astype(np.int64),
            tuple(kept["names"].tolist()),
            calibrating,
        )
