"""A decision log as a busy host has it after a month, made in about a minute and the same every time.

`fill` is for whoever measures reading: senders, hosts and recipients repeat as they do in life (few write much, many
write once), one mail in a thousand was not scanned, one in fifty was corrected.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spamfilter.store.database import migrate, open_database, store_url
from spamfilter.store.parties import parties_of
from spamfilter.store.schema import decisions
from spamfilter.store.tallies import Tallies

DAYS = 30
MODELS = ("default-2026.10-4f1c2a9b", "default-2026.11-b07d55e3")
_CHUNK = 10_000
_HASHES = ("decisions_by_sha256", "decisions_by_content")
_STEPS = {"parse": 1.1, "ngram": 0.3, "facts": 0.4, "gpt": 6.0, "total": 9.0}  # milliseconds, the middle


def fill(path: Path, rows: int = 1_000_000, *, until: datetime | None = None) -> None:
    """Make the log below the state_dir `path`: `rows` decisions of the 30 days before `until` (by default now)."""
    url = store_url("", path)
    engine = open_database(url, writer=True)
    migrate(engine)
    indexes = [index for index in decisions.indexes if index.name in _HASHES]
    with engine.begin() as connection:
        for index in indexes:  # random keys, entered one by one, would take longer than all the rest
            index.drop(connection)
    made = _rows(rows, (until or datetime.now(UTC)) - timedelta(days=DAYS), random.Random(rows))
    columns = [column.name for column in decisions.c]
    statement = f"INSERT INTO decisions ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    with closing(sqlite3.connect(str(url.database))) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        while chunk := list(itertools.islice(made, _CHUNK)):
            raw.executemany(statement, [[_plain(row[name]) for name in columns] for row in chunk])
            raw.commit()
            tallies = Tallies()
            for row in chunk:
                tallies.add(row)
            with engine.begin() as connection:
                tallies.write(connection)
    with engine.begin() as connection:
        for index in indexes:
            index.create(connection)
    engine.dispose()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    return json.dumps(value) if isinstance(value, dict | list) else value


def _rows(count: int, begins: datetime, chance: random.Random) -> Iterator[dict[str, Any]]:
    width = timedelta(days=DAYS) / count
    for number in range(count):
        time = begins + (number + chance.random()) * width
        yield _row(time, MODELS[number * 2 > count], chance)


def _row(time: datetime, model_id: str, chance: random.Random) -> dict[str, Any]:
    sender = f"user{_rank(chance, 50_000)}@host{_rank(chance, 20_000)}.example.com" if chance.random() < 0.98 else ""
    peer = f"mx{_rank(chance, 5_000)}.example.org[198.51.{chance.randrange(256)}.{chance.randrange(256)}]"
    rcpt_tos = [f"person{chance.randrange(300)}@example.net" for _ in range(1 + (chance.random() < 0.1))]
    scanned = chance.random() > 0.001
    probability = _probability(chance) if scanned else None
    label = None if probability is None else "spam" if probability >= 0.9 else "unsure" if probability >= 0.5 else "ham"
    asked = scanned and chance.random() < 0.35
    stages = {name: chance.random() for name in ("ngram", "facts")} if scanned else {}
    if asked:
        stages["gpt"] = chance.random()
    if scanned and chance.random() < 0.02:
        stages["memory"] = float(label == "spam")
    quarantined = label == "spam" and chance.random() < 0.3
    return {
        "id": f"{int(time.timestamp() * 1000):011x}{chance.getrandbits(40):010x}",
        "time": time,
        "channel": "smtp" if chance.random() < 0.9 else "folder",
        "mail_from": sender,
        "rcpt_tos": rcpt_tos,
        "peer": peer,
        "sha256": f"{chance.getrandbits(256):064x}",
        "content": f"{chance.getrandbits(256):064x}" if scanned else None,
        "size": int(chance.lognormvariate(9, 1)),
        "label": label,
        "probability": probability,
        "stages": stages,
        "unsure_at": 0.5 if scanned else None,
        "spam_at": 0.9 if scanned else None,
        "failure": None if scanned else chance.choice(("timeout", "overload", "unparsable")),
        "failure_detail": None,
        "action": "quarantine" if quarantined else "tag" if scanned else "accept",
        "model_id": model_id if scanned else None,
        "timings": {s: round(ms * chance.lognormvariate(0, 0.5), 3) for s, ms in _STEPS.items() if s != "gpt" or asked},
        "recalled": None,
        "disposition": "quarantined" if quarantined else "delivered",
        "disposition_detail": "250 2.0.0 Ok: queued as 4ABCDEFGHIJ",
        "settled": time + timedelta(milliseconds=12),
        "parties": parties_of(sender, peer, rcpt_tos),
    }


def _rank(chance: random.Random, most: int) -> int:
    """Zipf-like: the first is drawn most."""
    return int(most ** chance.random())


def _probability(chance: random.Random) -> float:
    """Most near 0 or near 1, some between."""
    side = chance.random()
    return (
        chance.betavariate(0.2, 12) if side < 0.6 else chance.betavariate(12, 0.2) if side < 0.95 else chance.random()
    )
