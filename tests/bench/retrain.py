"""What a retraining costs while mail goes on: its time for so many labels, and the daemon's latency beside it.

    python -m tests.bench.retrain [--labels 1000] [--per-second 20] [--data-dir DIR] [--json FILE]

A real daemon with the shipped model delivers to its Maildir at a steady pace, without and then beside `spamfilter
retrain`. The labels are real mails, half of them spam; the shipped model knows most of them, so what the gate says of
the candidate is no figure of quality.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT
from tests.bench import report
from tests.bench.figures import percentile
from tests.bench.mails import draw
from tests.bench.paced import latencies
from tests.e2e.daemon import ServedDaemon

MOST_S = 600.0
MOST_RATIO = 2.0
_ROUND = 100
"""Messages of a round; rounds follow one another while a retraining runs."""


def spamfilter(daemon: ServedDaemon, *arguments: str) -> list[str]:
    """The command line of a command in the daemon's state folder."""
    return [sys.executable, "-m", "spamfilter", *arguments, "--set", f"state_dir={daemon.state_dir}"]


def label(daemon: ServedDaemon, folder: Path, count: int, data_dir: Path | None) -> int:
    """Learn half of `count` mails as spam, half as ham; how many there were."""
    mails = draw(data_dir, 4 * count, folder / "drawn").mails
    known = 0
    for word, spam in (("--spam", True), ("--ham", False)):
        place = folder / word.strip("-")
        place.mkdir()
        for number, mail in enumerate([mail for mail in mails if mail.spam is spam][: count // 2]):
            (place / f"{number}.eml").write_bytes(mail.raw)
            known += 1
        subprocess.run(spamfilter(daemon, "learn", word, str(place)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return known


def paced(daemon: ServedDaemon, per_second: float) -> list[float]:
    """Seconds of one round's messages."""
    mail = ROOT / "examples" / "messages" / "ham-newsletter.eml"
    return asyncio.run(latencies(daemon.port, mail, per_second=per_second, messages=_ROUND))


def main() -> None:
    """Label, measure, retrain beside, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    where = report.setting()
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name:
        folder = Path(name)
        with ServedDaemon(folder / "daemon", {"folder": {"enabled": False}}) as daemon:
            daemon.start()
            started = time.perf_counter()
            labels = label(daemon, folder, options.labels, options.data_dir)
            learned_s = time.perf_counter() - started
            alone = [took for _ in range(3) for took in paced(daemon, options.per_second)]
            with (folder / "said").open("w+") as said:
                started = time.perf_counter()
                training = subprocess.Popen(
                    spamfilter(daemon, "retrain", "--now", "--json"), cwd=ROOT, stdout=said, stderr=sys.stderr
                )
                beside: list[float] = []
                while training.poll() is None:
                    beside += paced(daemon, options.per_second)
                took_s = time.perf_counter() - started
                said.seek(0)
                outcome = json.loads(said.read().splitlines()[-1])
            daemon.stop()
    tails = [1e3 * percentile(sorted(times), 0.99) for times in (alone, beside)]
    ratio = tails[1] / tails[0]
    figures: dict[str, Any] = {
        "labels": labels, "learned_s": round(learned_s, 1), "retrain_s": round(took_s, 1), "exit": training.returncode,
        "outcome": outcome, "p99_ms": {"alone": tails[0], "beside": tails[1]}, "messages": [len(alone), len(beside)],
    }  # fmt: skip
    rows = [
        (f"labels learned one after the other, {labels}, s", f"{learned_s:.1f}", "", ""),
        ("retraining, s", f"{took_s:.1f}", f"< {MOST_S:g}", "yes" if took_s < MOST_S else "NO"),
        (f"p99 of {len(alone)} messages alone, ms", f"{tails[0]:.1f}", "", ""),
        (
            f"p99 of {len(beside)} beside it, ms", f"{tails[1]:.1f}", f"<= {MOST_RATIO:g} times",
            "yes" if ratio <= MOST_RATIO else "NO",
        ),
    ]  # fmt: skip
    table = report.table(("what", "measured", "limit", "kept"), rows)
    table.caption = f"{options.per_second:g} messages a second; retrain ended with status {training.returncode}"
    report.publish("retraining beside the mail", where, table, figures, options.json)


if __name__ == "__main__":
    main()
