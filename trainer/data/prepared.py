"""Corpora extracted once into a table: canonical text, facts, label, source, near-duplicate group, part.

Extraction is the slowest step of every experiment, so its result is kept in the run folder and read again. Parts:
`test` is the fixed SpamAssassin test list, `holdout` a tenth of the groups of every source (calibration, early stop),
`train` the rest. A group that touches the test part is in no other part.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track

from spamfilter import facts as fact
from spamfilter.document import EXTRACTION, canonical, extract, joined, preamble
from trainer.data.corpora import LABELLED, Example, data_dir, spamassassin_test

_LETTERS = re.compile(r"[^\W\d_]+")


def prepare(data: Path, out: Path, *, sources: Iterable[str] = tuple(LABELLED), workers: int = 2) -> pd.DataFrame:
    """Extract every labelled message, or read the table that an earlier run left at `out` (JSON lines).

    Columns: source, path, spam (0/1), kind, preamble, text, tail (canonical), facts (names of the present ones),
    known (which of "header", "structure", "text" facts are known), group, part.
    """
    stamp = {"extraction": EXTRACTION, "sources": sorted(sources)}
    stamp_file = out.with_suffix(".json")
    if out.exists() and stamp_file.exists() and json.loads(stamp_file.read_text()) == stamp:
        return pd.read_json(out, lines=True, dtype={"path": str})
    rows: list[dict[str, object]] = []
    examples = (example for source in sources for example in LABELLED[source](data))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:  # a fork of threaded torch may hang
        chunks = _chunks(examples, 200)
        for done in track(pool.map(_rows, chunks), "extracting", total=None):
            rows += done
    table = pd.DataFrame(rows)
    table["part"] = _parts(table, spamassassin_test(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_json(out, orient="records", lines=True, force_ascii=False)
    stamp_file.write_text(json.dumps(stamp))
    return table


def table_of(folder: Path | None, run: Path) -> pd.DataFrame:
    """The table of a run: extracted at the first call, read from the run's folder after that. Raises DataError."""
    return prepare(data_dir(folder), run / "data" / "prepared.jsonl")


def _chunks(examples: Iterator[Example], size: int) -> Iterator[list[Example]]:
    while chunk := list(islice(examples, size)):
        yield chunk


def _rows(examples: list[Example]) -> list[dict[str, object]]:
    return [row(example) for example in examples]


def row(example: Example) -> dict[str, object]:
    """One line of the table."""
    document = extract(example.raw, example.kind)
    known = (
        ["text"]
        + (["structure"] if "text_only" in document.facts else [])
        + (["header"] if document.has_headers else [])
    )
    text, tail = canonical(document.text), canonical(document.tail)
    return {
        "source": example.source,
        "path": example.path,
        "spam": int(example.spam),
        "kind": str(example.kind),
        "preamble": preamble(document),
        "text": text,
        "tail": tail,
        "facts": [name for name in fact.NAMES if document.facts.get(name)],
        "known": known,
        "group": fingerprint(document.subject, text),
    }


def fingerprint(subject: str, text: str) -> str:
    """Same letters, same group: digits, punctuation and what stands after 600 letters do not part a campaign."""
    letters = "".join(_LETTERS.findall(text))[:600] or "".join(_LETTERS.findall(subject.lower()))
    return hashlib.blake2b(letters.encode(), digest_size=8).hexdigest()


def _parts(table: pd.DataFrame, test_paths: frozenset[str]) -> list[str]:
    is_test = table["path"].isin(test_paths) & (table["source"] == "spamassassin")
    touched = set(table.loc[is_test, "group"])
    parts = []
    for test, group in zip(is_test, table["group"], strict=True):
        if test:
            parts.append("test")
        elif group in touched:
            parts.append("dropped")
        else:
            parts.append("holdout" if int(group[:8], 16) % 10 == 0 else "train")
    return parts


def render_columns(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The canonical rendering (`document.render`) from the table's columns: heads, tails."""
    return [*map(joined, table["preamble"], table["text"])], list(table["tail"])


def fact_matrix(table: pd.DataFrame) -> np.ndarray:
    """(N, F) float32: 1 present, 0 absent, NaN unknown; columns as `facts.NAMES`."""
    position = {name: i for i, name in enumerate(fact.NAMES)}
    groups = {"header": fact.HEADER_FACTS, "structure": fact.STRUCTURE_FACTS, "text": fact.TEXT_FACTS}
    matrix = np.full((len(table), len(fact.NAMES)), np.nan, np.float32)
    for i, (present, known) in enumerate(zip(table["facts"], table["known"], strict=True)):
        for group in known:
            start = position[groups[group][0]]
            matrix[i, start : start + len(groups[group])] = 0.0
        matrix[i, [position[name] for name in present]] = 1.0
    return matrix
