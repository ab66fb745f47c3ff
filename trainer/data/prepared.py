"""Corpora extracted once into a table: canonical text, facts, label, source, near-duplicate group, part.

Extraction is the slowest step of every experiment, so its result is kept in the run folder and read again. Corpora that
were imported into the run join the known ones. Parts: `test` is the fixed SpamAssassin test list, `holdout` a tenth of
the groups of every source (calibration, early stop), `train` the rest. A group that touches the test part is in no
other part: its other members are `dropped`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from spamfilter import facts as fact
from spamfilter.document import EXTRACTION, canonical, extract, joined, preamble
from trainer.data import duplicates, imported
from trainer.data.corpora import LABELLED, data_dir, spamassassin_test
from trainer.data.duplicates import Union, near_duplicate_groups, numbered
from trainer.data.example import Example

_LETTERS = re.compile(r"[^\W\d_]+")
_SUBJECT = re.compile(r"^subject: (.*)$", re.M)
STRINGS = dict.fromkeys(("source", "path", "kind", "preamble", "text", "tail", "group", "part"), str)
"""Columns of the table that are read back as text, whatever they look like."""


def prepare(
    data: Path,
    out: Path,
    *,
    sources: Iterable[str] = tuple(LABELLED),
    workers: int = 2,
    run: Path | None = None,
) -> pd.DataFrame:
    """Extract every labelled message, or read the table that an earlier run left at `out` (JSON lines).

    Columns: source, path, spam (0/1), kind, preamble, text, tail (canonical), facts (names of the present ones),
    known (which of "header", "structure", "text" facts are known), group, part. With `run`, what was imported into it
    is in the table too. Raises DataError.
    """
    sources = list(sources)
    stamp: dict[str, Any] = {"extraction": EXTRACTION, "groups": duplicates.VERSION, "sources": sorted(sources)}
    stamp["imported"] = imported.sums(run) if run else {}
    stamp_file = out.with_suffix(".json")
    if out.exists() and stamp_file.exists() and json.loads(stamp_file.read_text()) == stamp:
        return pd.read_json(out, lines=True, dtype=STRINGS)
    table = pd.DataFrame(_extracted(_labelled(data, sources, run), workers))
    table["group"] = _groups(table)
    table["part"] = _parts(table, spamassassin_test(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    stamp_file.unlink(missing_ok=True)  # from here until both are written the table counts as not there
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    table.to_json(temporary, orient="records", lines=True, force_ascii=False)
    temporary.replace(out)
    stamp_file.write_text(json.dumps(stamp))
    return table


def table_of(folder: Path | None, run: Path) -> pd.DataFrame:
    """The table of a run: extracted at the first call, read from the run's folder after that. Raises DataError."""
    return prepare(data_dir(folder), run / "data" / "prepared.jsonl", run=run)


def fingerprint_of(table: pd.DataFrame) -> str:
    """Twelve hex digits for what is in the table: source, path, group and label of each row, in any order."""
    columns = (table[name].astype(str) for name in ("source", "path", "group", "spam"))
    lines = sorted("\0".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _labelled(data: Path, sources: Sequence[str], run: Path | None) -> Iterator[Example]:
    known = (LABELLED[source](data) for source in sources)
    added = (imported.read(file) for file in (imported.corpora(run).values() if run else ()))
    return (example for example in chain(*known, *added) if example.spam is not None)


def _extracted(examples: Iterator[Example], workers: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:  # a fork of threaded torch may hang
        done = pool.map(_rows, _chunks(examples, 200))
        for some in track(done, "extracting", total=None, console=Console(stderr=True)):
            rows += some
    return rows


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
        "spam": int(bool(example.spam)),
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


def _groups(table: pd.DataFrame) -> list[str]:
    """Rows of one fingerprint are one group, and so are near-duplicates; a group is named by its least fingerprint."""
    contents = [
        text if _LETTERS.search(text) else " ".join(_SUBJECT.findall(before))
        for before, text in zip(table["preamble"], table["text"], strict=True)
    ]
    exact = numbered(table["group"])
    near = near_duplicate_groups(contents)
    union = Union(int(exact.max(initial=-1)) + 1)
    first: dict[int, int] = {}
    for fingerprint_number, near_number in zip(exact.tolist(), near.tolist(), strict=True):
        union.join(first.setdefault(near_number, fingerprint_number), fingerprint_number)
    roots = [union.root(number) for number in exact.tolist()]
    name: dict[int, str] = {}
    for root, group in zip(roots, table["group"], strict=True):
        name[root] = min(name.get(root, group), group)
    return [name[root] for root in roots]


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
