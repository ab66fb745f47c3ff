"""Our MIME reader beside others: messages a second, how often one raised, how often it lost the text.

    python -m tests.bench.parsers [--mails 2000] [--rounds 5] [--core N] [--data-dir DIR] [--json FILE]

Each reads the header block and gives back the decoded text of the text parts. fast-mail-parser (Rust) is optional:
`pip install fast-mail-parser`. A reader lost the text of a mail where it has less than half of the distinct words that
all of them together found; mails for which a human would have to judge are written as numbers of their files.
"""

from __future__ import annotations

import contextlib
import email
import importlib.metadata
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spamfilter.charsets import decode_text
from spamfilter.mime import Walk, walk
from tests.bench import race, report
from tests.bench.figures import per_second
from tests.bench.mails import Mail, draw

Reader = Callable[[bytes], str]
_WORD = re.compile(r"\w{3,30}")
_LEAST_SHARE = 0.5


def ours(raw: bytes) -> str:
    """`mime.walk`, `content` and `decode_text` of every text part that is no attachment."""
    seen = Walk()
    texts = []
    for part in walk(raw, seen):
        if part.content_type.startswith("text/") and not part.is_attachment:
            head, tail = part.content()
            charset = part.parameters.get("charset")
            texts.append(decode_text(head, charset) + decode_text(tail, charset))
    return "\n".join(texts)


def stdlib(raw: bytes) -> str:
    """`email` with its default policy (compat32): payloads decoded with their declared charset, as most programs do."""
    texts = []
    for part in email.message_from_bytes(raw).walk():
        if part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            texts.append(content.decode(part.get_content_charset() or "utf-8", "replace"))
    return "\n".join(texts)


def rust() -> Reader | None:
    """fast-mail-parser's text and HTML parts, or None where it is not installed."""
    try:
        from fast_mail_parser import parse_email
    except ImportError:
        return None

    def read(raw: bytes) -> str:
        mail = parse_email(raw)
        return "\n".join([*mail.text_plain, *mail.text_html])

    return read


def words(text: str) -> frozenset[str]:
    """Distinct words of letters and digits."""
    return frozenset(_WORD.findall(text.lower()))


def lost(found: dict[str, frozenset[str]]) -> list[str]:
    """Which readers have less than half of the words that all have together; none where there are no words."""
    every = frozenset[str]().union(*found.values())
    return [name for name, its in found.items() if len(its) < _LEAST_SHARE * len(every)]


def faults(readers: dict[str, Reader], mails: Sequence[Mail]) -> dict[str, dict[str, list[str]]]:
    """Reader -> `raised`: file and error, `lost`: file."""
    result: dict[str, dict[str, list[str]]] = {name: {"raised": [], "lost": []} for name in readers}
    for mail in mails:
        found: dict[str, frozenset[str]] = {}
        for name, read in readers.items():
            try:
                found[name] = words(read(mail.raw))
            except Exception as error:  # what a reader raises is what is counted
                result[name]["raised"].append(f"{mail.path.name}: {type(error).__name__}: {str(error)[:80]}")
                found[name] = frozenset()
        for name in lost(found):
            result[name]["lost"].append(mail.path.name)
    return result


def rates(readers: dict[str, Reader], mails: Sequence[Mail], rounds: int) -> dict[str, list[float]]:
    """Reader -> messages a second, by turns."""
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            started = time.perf_counter()
            for mail in mails:
                with contextlib.suppress(Exception):  # counted in `faults`
                    read(mail.raw)
            found[name].append(per_second(len(mails), time.perf_counter() - started))
    return found


def main() -> None:
    """Read, compare, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, help="the core to run on; the last one when not given")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    where = report.setting()
    readers: dict[str, Reader] = {"ours: mime.walk + content": ours, "stdlib email, compat32": stdlib}
    absent = []
    if (fast := rust()) is not None:
        readers[f"fast-mail-parser {importlib.metadata.version('fast-mail-parser')}"] = fast
    else:
        absent = [("fast-mail-parser", "not installed: pip install fast-mail-parser")]
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as folder, race.pinned({core}):
        drawn = draw(options.data_dir, options.mails, Path(folder))
        found = faults(readers, drawn.mails)
        speed = rates(readers, drawn.mails, options.rounds)
    own = statistics.median(next(iter(speed.values())))
    rows: list[tuple[object, ...]] = [
        (
            name,
            f"{statistics.median(its):.0f}",
            f"{min(its):.0f} - {max(its):.0f}",
            f"{statistics.median(its) / own:.2f}",
            *(len(found[name][what]) for what in ("raised", "lost")),
        )
        for name, its in speed.items()
    ]
    columns = ("reader", "msg/s, median", "range", "of ours", "raised", "lost the text")
    table = report.table(columns, [*rows, *((*row, "", "", "", "") for row in absent)])
    table.caption = f"{drawn.about()}; core {core}, {options.rounds} rounds by turns"
    figures: dict[str, Any] = {"core": core, "mails": len(drawn.mails), "mean_bytes": round(drawn.mean_bytes)}
    figures["readers"] = {
        name: {"per_second": [round(rate, 1) for rate in its], **found[name]} for name, its in speed.items()
    }
    report.publish("MIME readers", where, table, figures, options.json)


if __name__ == "__main__":
    main()
