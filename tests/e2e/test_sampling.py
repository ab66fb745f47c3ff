"""Mail that passes a running daemon leaves samples: for `drift`, for a retraining, and after a kill."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.classifier.sampled import unpack
from spamfilter.store.database import store_url
from spamfilter.store.samples import SampleReader
from tests.__main__ import ROOT
from tests.e2e.daemon import ServedDaemon

pytestmark = pytest.mark.e2e
MAIL = (ROOT / "examples" / "messages" / "spam-chinese.eml").read_bytes()
_PATIENCE_S = 30.0


def _sent(daemon: ServedDaemon) -> None:
    with smtplib.SMTP("127.0.0.1", daemon.port, timeout=_PATIENCE_S) as client:
        client.sendmail("a@example.org", "b@example.net", MAIL.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def _samples(daemon: ServedDaemon, wanted: int) -> list[bytes]:
    """The inputs of the samples, once there are so many."""
    models = frozenset({open_bundle(default_bundle()).model_id})
    started = time.monotonic()
    with SampleReader(store_url("", daemon.state_dir)) as samples:
        while len(found := samples.recent(models, 500)) < wanted:
            assert time.monotonic() < started + _PATIENCE_S, daemon.log()
            time.sleep(0.05)
    return found


def test_samples_are_taken_counted_and_survive_a_kill(tmp_path: Path) -> None:
    settings = {"folder": {"enabled": False}, "console": {"enabled": False}, "sampling": {"share": 1.0, "keep": 10}}
    with ServedDaemon(tmp_path, settings) as daemon:
        daemon.start()
        _sent(daemon)
        [inputs] = _samples(daemon, 1)
        assert len(unpack(inputs).pooled) > 0
        daemon.kill()
        daemon.start()
        _sent(daemon)
        assert len(_samples(daemon, 2)) == 2
        command = [sys.executable, "-m", "spamfilter", "drift", "--json", "--state-dir", str(daemon.state_dir)]
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        mix = json.loads(told)["window"]["mix"]
        assert (mix["messages"], mix["languages"]) == (2, {"zh": 1.0})
        assert 0 < mix["unknown"] <= 1
        assert daemon.stop() == 0
