"""Decisions as CSV for a spreadsheet, line by line; nothing that a stranger wrote becomes a formula in it.

A cell that begins with one of = + - @, a tab or a carriage return is run as a formula by spreadsheets (OWASP, "CSV
Injection"), so such text gets an apostrophe before it; also behind a semicolon, at which spreadsheets of many countries
cut cells, quoted or not. RFC 4180.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from spamfilter.store.history import LoggedDecision

COLUMNS = (
    *("id", "time", "channel", "from", "to", "peer", "size", "verdict", "probability", "failure", "action"),
    *("disposition", "detail", "model", "sha256"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the full-width forms, which some spreadsheets take for the others."""
_BEHIND = re.compile(rf"""\A(\s*)((?:["'\s]*)[{re.escape("".join(_FORMULA))}])""")


def csv_lines(decisions: Iterable[LoggedDecision]) -> Iterator[str]:
    """A line of names, then one a decision."""
    yield _line(COLUMNS)
    for one in decisions:
        yield _line(
            (
                one.id,
                one.time.isoformat(timespec="seconds"),
                one.channel,
                "<>" if one.mail_from == "" else one.mail_from,
                " ".join(one.rcpt_tos),
                one.peer,
                one.size,
                one.label or "unscanned",
                one.probability,
                one.failure,
                one.action,
                one.disposition,
                one.disposition_detail,
                one.model_id,
                one.sha256,
            )
        )


def harmless(text: str) -> str:
    """Text that no spreadsheet runs, in one line."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    head, *rest = plain.split(";")
    begins = text.startswith(_FORMULA) or head.lstrip().startswith(_FORMULA)
    return ";".join((f"'{head}" if begins else head, *(_BEHIND.sub(r"\1'\2", cell) for cell in rest)))


def _line(cells: Iterable[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return written.getvalue()
