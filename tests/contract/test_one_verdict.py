"""One verdict: a message gets the same probability through every frontend, alone or in company."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spamfilter.config import Address
from spamfilter.message import Kind, kind_of
from spamfilter.store.database import store_url
from spamfilter.store.history import Filter, History
from tests.__main__ import ROOT
from tests.e2e.daemon import ServedDaemon, serving

pytestmark = pytest.mark.e2e
MESSAGES = sorted(path for path in (ROOT / "examples" / "messages").iterdir() if path.suffix in (".eml", ".txt"))
TOLERANCE = 1e-3
_PATIENCE_S = 120.0


def _logged(daemon: ServedDaemon, channel: str, count: int) -> dict[str, float]:
    """Probabilities in the decision log by sha256, once `count` messages of a channel are settled."""
    deadline = time.monotonic() + _PATIENCE_S
    with History(store_url("", daemon.state_dir)) as history:
        while True:
            rows = history.page(Filter(channel=channel, disposition="delivered"), limit=1000)
            if len(rows) >= count:
                return {row.sha256: row.probability for row in rows if row.probability is not None}
            assert time.monotonic() < deadline, f"{len(rows)} of {count} came through {channel}\n{daemon.log()[-3000:]}"
            time.sleep(0.05)  # another process writes the log: nothing to wait on


def _sha256(raw: bytes) -> str:
    import hashlib

    return hashlib.sha256(raw).hexdigest()


def test_every_way_in_gives_the_same_probability(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spamfilter", "scan", "--jsonl", *map(str, MESSAGES)]
    lines = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True).stdout.splitlines()
    scanned = {Path(entry["path"]): entry["probability"] for entry in map(json.loads, lines)}
    assert list(scanned) == MESSAGES
    raws = {path: path.read_bytes() for path in MESSAGES}
    wire = {path: raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path, raw in raws.items()}
    mails = [path for path, raw in wire.items() if kind_of(raw) is Kind.MAIL]
    assert len(mails) == 12
    with serving(tmp_path / "daemon") as daemon:
        address = Address.parse(f"127.0.0.1:{daemon.port}")
        with smtplib.SMTP(address.host, address.port) as client:
            for path in mails:
                client.sendmail("a@example.org", "b@example.net", wire[path])
        for path, raw in raws.items():  # dropped at once, so that batches are mixed
            (daemon.state_dir / "folder" / "in" / path.name).write_bytes(raw)
        through_folder = _logged(daemon, "folder", len(MESSAGES))
        through_smtp = _logged(daemon, "smtp", len(mails))
    for path in MESSAGES:
        assert through_folder[_sha256(raws[path])] == pytest.approx(scanned[path], abs=TOLERANCE), path.name
    for path in mails:
        assert through_smtp[_sha256(wire[path])] == pytest.approx(scanned[path], abs=TOLERANCE), path.name
