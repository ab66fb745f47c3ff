"""What a message costs by its size, 10 kB to 20 MB; and whether memory stays where it was over many messages.

    python -m tests.bench.size [--most-mb 20] [--figure FILE.png] [--messages 0] [--core N] [--json FILE]

Three kinds of mail: plain text, HTML, and a short text with a base64 attachment. The walk over the parts stands apart
from the rest. With `--messages 100000` so many real mails go through the engine's pool, one worker, and RSS is read
after a tenth of them and after all (`memory`).
"""

from __future__ import annotations

import base64
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spamfilter import classifier
from spamfilter.classifier.bundle import default_bundle
from spamfilter.document import extract
from spamfilter.message import Message
from spamfilter.mime import Walk, walk
from spamfilter.verdict import Failure
from tests.bench import memory, pictures, race, report
from tests.bench.mails import draw
from tests.bench.ours import settings

_HEADER = (
    "From: Alice <alice@example.org>\nTo: bob@example.net\nSubject: the papers that you wanted\n"
    "Date: Mon, 6 Jul 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\nMIME-Version: 1.0\n"
)
_WORDS = (
    "the meeting on monday moves to room four please bring what you wrote about prices and the garden in july "
    "since nobody has read the last report yet and thank you for all the kind letters"
).split()
_LEAST_S, _LEAST_TIMES = 0.3, 3


def _text(size: int) -> str:
    """Lines of words, so many characters; the same every time."""
    chance = random.Random(size)
    piece = "\n".join(" ".join(chance.choices(_WORDS, k=12)) for _ in range(400)) + "\n"
    return (piece * (size // len(piece) + 1))[:size]


def plain(size: int) -> bytes:
    """A text."""
    return f"{_HEADER}Content-Type: text/plain; charset=utf-8\n\n{_text(size)}".encode()


def html(size: int) -> bytes:
    """A page of paragraphs with links."""
    paragraph = f'<p style="color: #333">{_text(300)} <a href="https://example.org/page">more</a></p>\n'
    body = paragraph * (size // len(paragraph) + 1)
    return f"{_HEADER}Content-Type: text/html; charset=utf-8\n\n<html><body>{body[:size]}</body></html>".encode()


def attachment(size: int) -> bytes:
    """A short text, and random bytes in base64."""
    content = base64.encodebytes(random.Random(size).randbytes(size * 57 // 77))
    head = (
        f'{_HEADER}Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\n{_text(800)}\n'
        '--b\nContent-Type: application/pdf; name="papers.pdf"\nContent-Transfer-Encoding: base64\n'
        'Content-Disposition: attachment; filename="papers.pdf"\n\n'
    )
    return head.encode() + content + b"--b--\n"


KINDS: dict[str, Callable[[int], bytes]] = {"plain text": plain, "HTML": html, "base64 attachment": attachment}


def sizes(most: int) -> list[int]:
    """10 kB, then three a decade, up to `most` bytes."""
    steps = [round(base * 10**power) for power in range(4, 9) for base in (1, 2, 5)]
    return [step for step in steps if step < most] + [most]


def best_ms(call: Callable[[], object]) -> float:
    """The shortest of at least three calls, of as many as fit into a third of a second."""
    took: list[float] = []
    end = time.perf_counter() + _LEAST_S
    while len(took) < _LEAST_TIMES or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - started))
    return min(took)


def walked(raw: bytes) -> int:
    """Walk and decode the windows, as `document.extract` begins; the parts."""
    parts = 0
    for part in walk(raw, Walk()):
        parts += 1
        if part.content_type.startswith("text/"):
            part.content()
    return parts


def measure(model: classifier.Classifier, raw: bytes) -> dict[str, float]:
    """Milliseconds: the walk, the whole extraction, the whole scan."""
    message = Message(raw, "bench")
    [outcome] = model.score([message])
    if isinstance(outcome, Failure):
        raise RuntimeError(f"{len(raw)} bytes: {outcome}")
    return {
        "walk": best_ms(lambda: walked(raw)),
        "extract": best_ms(lambda: extract(raw)),
        "scan": best_ms(lambda: model.score([message])),
    }


def over_sizes(most: int, cascade: bool) -> dict[str, list[dict[str, float]]]:
    """Kind -> by size: bytes, milliseconds of walk, extraction and scan."""
    _, _, options = settings(cascade)
    model = classifier.load(default_bundle(), **options)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with report.progress("sizes") as bar:
        for kind, size in bar.track([(kind, size) for kind in KINDS for size in sizes(most)]):
            raw = KINDS[kind](size)
            found[kind].append({"bytes": len(raw), **measure(model, raw)})
    return found


def rows(found: dict[str, list[dict[str, float]]]) -> list[tuple[str, ...]]:
    """A line for each kind and size."""
    return [
        (
            kind,
            f"{row['bytes'] / 1e3:,.0f}",
            f"{row['walk']:.3f}",
            f"{row['scan'] - row['walk']:.2f}",
            f"{row['extract']:.2f}",
            f"{row['scan']:.2f}",
            f"{1e3 * row['bytes'] / row['scan'] / 1e6:.1f}",
        )
        for kind, its in found.items()
        for row in its
    ]


def main() -> None:
    """Measure, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--most-mb", type=float, default=20, help="the largest message, in 10^6 bytes")
    parser.add_argument("--cascade", choices=("on", "off"), default="on")
    parser.add_argument("--messages", type=int, default=0, help="so many through the pool, for memory; 0: none")
    parser.add_argument("--core", type=int, help="the core to run on; the last one when not given")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="a PNG of the curves")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    where = report.setting("psutil")
    with race.pinned({core}):
        found = over_sizes(round(options.most_mb * 1e6), options.cascade == "on")
        columns = ("message", "kB", "walk ms", "all else", "extraction", "whole scan", "MB/s")
        table = report.table(columns, rows(found))
        table.caption = (
            f"core {core}, cascade {options.cascade}, shortest of several; walk: over the parts, text parts decoded"
        )
        tables, figures = [table], {"core": core, "cascade": options.cascade, "sizes": found}
        if options.messages:
            grown, how = remembered(options.data_dir, options.messages, options.cascade == "on", core)
            tables.append(grown)
            figures["memory"] = how
    report.publish("size", where, tables, figures, options.json)
    if options.figure:
        pictures.sizes(curves(found), f"{where['cpu']}, one core, {where['model']}", options.figure)


def remembered(given: Path | None, messages: int, cascade: bool, core: int) -> tuple[Any, dict[str, Any]]:
    """The table and the figures of `memory`."""
    if messages < 100:
        sys.exit("--messages: at least 100")
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as folder:
        drawn = draw(given, min(4000, messages), Path(folder))
        how = memory.over_messages([mail.raw for mail in drawn.mails], messages, cascade, core)
    return memory.table(how, drawn), how


def curves(found: dict[str, list[dict[str, float]]]) -> dict[str, Sequence[tuple[float, float]]]:
    """For the picture: the whole scan, then the walk, by kind."""
    return {
        f"{kind}: {label}": [(row["bytes"], row[what]) for row in its]
        for what, label in (("scan", "whole scan"), ("walk", "walk alone"))
        for kind, its in found.items()
    }


if __name__ == "__main__":
    main()
