"""A person's word in a running daemon: the next mail of the kind is judged by it, until it is taken back."""

from __future__ import annotations

import smtplib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.__main__ import ROOT
from tests.e2e.daemon import ServedDaemon

pytestmark = pytest.mark.e2e
DOUBTFUL = ROOT / "examples" / "messages" / "spam-chinese.eml"
_PATIENCE_S = 30.0


def _delivered(daemon: ServedDaemon) -> bytes:
    """Send the mail once more; what lies in the Maildir of it."""
    new = daemon.state_dir / "Maildir" / "new"
    before = set(new.iterdir()) if new.is_dir() else set()
    raw = DOUBTFUL.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=_PATIENCE_S) as client:
        client.sendmail("a@example.org", "b@example.net", raw)
    [path] = set(new.iterdir()) - before
    return path.read_bytes()


def _until(daemon: ServedDaemon, word: bytes, *, there: bool) -> float:
    """Seconds until mail is marked with the word, or not any more."""
    started = time.monotonic()
    while (word in _delivered(daemon)) is not there:
        assert time.monotonic() < started + _PATIENCE_S, daemon.log()
        time.sleep(0.1)
    return time.monotonic() - started


def test_a_dropped_mail_teaches_and_an_undo_unteaches(tmp_path: Path) -> None:
    settings = {"folder": {"enabled": False}, "learn": {"folders": {"settle_s": 0.1}}}
    with ServedDaemon(tmp_path, settings) as daemon:
        daemon.start()
        assert b"X-Spam-Flag: YES" not in _delivered(daemon)
        (daemon.state_dir / "learn" / "spam" / "wrong.eml").write_bytes(DOUBTFUL.read_bytes())
        _until(daemon, b"RECALLED_SPAM", there=True)
        assert b"X-Spam-Flag: YES" in _delivered(daemon)
        command = [sys.executable, "-m", "spamfilter", "learn", "--undo", str(DOUBTFUL)]
        subprocess.run(
            [*command, "--state-dir", str(daemon.state_dir)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        _until(daemon, b"RECALLED_SPAM", there=False)
        assert b"X-Spam-Flag: YES" not in _delivered(daemon)
        assert daemon.stop() == 0
