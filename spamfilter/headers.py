"""Which headers are removed from mail, which are written, and in whose dialect.

Everything downstream (Sieve, procmail, mail clients) already knows SpamAssassin's or rspamd's headers, so we write
theirs. Whatever arrives under those names was written by somebody else and is removed: nobody vouches for himself.
The body is never touched, and of the header block only whole fields are removed or prepended (DKIM stays valid).
Sources: Mail::SpamAssassin::Conf (report headers), rspamd's milter_headers module, RFC 5322 2.2.3 (folding).
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from spamfilter import __version__
from spamfilter.header_block import fields_named, without
from spamfilter.message import Kind, Message, body_offset
from spamfilter.verdict import Action, Decision, Failure, Label, Thresholds, Verdict

REQUIRED_SCORE = 5.0
"""The score at which SpamAssassin's users expect spam; our spam threshold is rendered as this number."""

POINTS_A_LOGIT = 2.0
"""Points that stand for one unit of log-odds."""

_FORGED = re.compile(rb"^(?:x-spam(?:$|[-_d])|x-rspamd|x-spamfilter)", re.I)
_FORGED_NAME = rb"x-(?:spam[ \t\r\v\f]*|(?:spam[-_d]|spamfilter|rspamd)[^:\n]*):"
_VERDICTS = fields_named(_FORGED_NAME)
_NAME_BEHIND_CR = _FORGED_NAME.replace(rb"\r", b"").replace(rb"\n", rb"\r\n")
_HIDDEN = re.compile(
    rb"\r(?:[\v\f][ \t\v\f]*+)?" + _NAME_BEHIND_CR + rb"[^\r\n]*+(?:\r[ \t][^\r\n]*+)*+", re.I
)  # fmt: skip
_FOLD_AT = 76
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


class Dialect(StrEnum):
    """Whose header names to write."""

    SPAMASSASSIN = "spamassassin"
    RSPAMD = "rspamd"


class Report(StrEnum):
    """Whose report is written: nobody's, that of spam and of what may be spam, or everybody's."""

    NEVER = "never"
    SPAM = "spam"
    ALL = "all"

    def wants(self, decision: Decision) -> bool:
        """Whether a message that was so decided gets one."""
        if self is Report.NEVER or decision.label is None or decision.action is Action.ACCEPT:
            return False
        return self is Report.ALL or decision.label is not Label.HAM


class ReportLine(NamedTuple):
    """What moved a score, by how many points, a name for it, and a description."""

    points: float
    rule: str
    description: str


@dataclass(frozen=True, slots=True)
class Reported(Decision):
    """A decision, and the lines of the report that goes into its headers."""

    lines: tuple[ReportLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Markup:
    """How to mark: the dialects, and the host name that stands in the headers."""

    hostname: str
    dialects: Sequence[Dialect] = (Dialect.SPAMASSASSIN,)


def is_forged(name: bytes) -> bool:
    """True when an inbound field of this name would be read as a spam filter's verdict."""
    return bool(_FORGED.match(name.strip()))


def display_score(probability: float, thresholds: Thresholds) -> float:
    """A probability as SpamAssassin-like points: the spam threshold is 5.0, the scale logarithmic, one decimal.

    A rendering only; nothing decides by it. Two points stand for one unit of log-odds, so that ham far from the
    threshold is negative. Clipped to -20..40.
    """

    def logit(p: float) -> float:
        p = min(max(p, 1e-6), 1 - 1e-6)
        return math.log(p / (1 - p))

    points = REQUIRED_SCORE + POINTS_A_LOGIT * (logit(probability) - logit(thresholds.spam_at))
    points = round(min(max(points, -20.0), 40.0), 1)
    if probability < thresholds.spam_at and points >= REQUIRED_SCORE:
        return REQUIRED_SCORE - 0.1  # rounding must not contradict the verdict beside it
    return points + 0.0  # -0.0 reads badly in a header


def fields(decision: Decision, markup: Markup) -> list[tuple[str, str]]:
    """The header fields to prepend, in order. Values are unfolded printable ASCII, a report's lines parted by "\\n"."""
    outcome = decision.outcome
    if isinstance(outcome, Failure):
        return _unscanned(outcome, markup)
    if decision.action is Action.ACCEPT:
        return []
    written: list[tuple[str, str]] = []
    if Dialect.SPAMASSASSIN in markup.dialects:
        written += _spamassassin(outcome, markup)
    if Dialect.RSPAMD in markup.dialects:
        written += [f for f in _rspamd(outcome, markup) if f[0] not in {name for name, _ in written}]
    if isinstance(decision, Reported) and decision.lines:
        written.append(("X-Spam-Report", _report(outcome, decision.lines)))
    return written


def mark(message: Message, decision: Decision, markup: Markup) -> bytes:
    """The message with forged verdict fields removed and ours prepended; the body byte-identical.

    Plain text (`Kind.TEXT`) gets a header block and a blank line in front, and stays whole behind them. An mbox
    `From ` line stays first.
    """
    raw = message.raw
    newline = b"\r\n" if b"\r\n" in raw[:2048] or (b"\n" not in raw[:2048] and message.channel == "smtp") else b"\n"
    ours = b"".join(fold(name, value, newline) for name, value in fields(decision, markup))
    if message.kind is Kind.TEXT:
        return ours + newline + raw if ours else raw
    head_end = body_offset(raw)
    head, body = strip(raw[:head_end]), raw[head_end:]
    cut = head.find(b"\n") + 1 if head.startswith(b"From ") else 0
    if ours and head[cut : cut + 1] in (b" ", b"\t"):
        ours += newline  # a folded line of no field: it is body (as Postfix reads it), not the end of our last field
    return head[:cut] + ours + head[cut:] + body


def strip(head: bytes) -> bytes:
    """A header block without the fields that pass for a filter's verdict, each with its folded lines.

    Nor does it keep those that hide behind a lone CR, which some readers take for the end of a line.
    """
    lower = head.lower()
    if b"x-spam" not in lower and b"x-rspamd" not in lower:  # most mail: nobody has judged it yet
        return head
    return _HIDDEN.sub(b"", without(_VERDICTS, head))


def fold(name: str, value: str, newline: bytes = b"\r\n") -> bytes:
    """One field as bytes, folded at line feeds and at spaces before column 76; anything but printable ASCII becomes
    `?`."""
    first, *others = value.split("\n")
    lines = _folded(f"{name}: {first}")
    for other in filter(str.strip, others):
        lines += _folded(other, "\t")
    return newline.join(part.encode("ascii") for part in lines) + newline


def _folded(text: str, start: str = "") -> list[str]:
    words = _UNPRINTABLE.sub("?", text).split(" ")
    lines, line = [], start + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > _FOLD_AT and line.strip():
            lines.append(line)
            line = "\t" + word
        else:
            line += " " + word
    return [*lines, line]


def _symbols(verdict: Verdict) -> dict[str, float]:
    """What spoke, under the name that stands in headers: each stage, and RECALLED_SPAM or RECALLED_HAM."""
    symbols = {name.upper(): p for name, p in verdict.score.stages.items() if name != "memory"}
    if (recalled := verdict.score.recalled) is not None:
        symbols[f"RECALLED_{recalled.label.upper()}"] = recalled.similarity
    return symbols


def _spamassassin(verdict: Verdict, markup: Markup) -> list[tuple[str, str]]:
    points = display_score(verdict.score.probability, verdict.thresholds)
    spam = verdict.label is Label.SPAM
    tests = ",".join(f"{name}={value:.3f}" for name, value in _symbols(verdict).items()) or "none"
    written = [
        ("X-Spam-Checker-Version", f"spamfilter {__version__} (model {verdict.score.model_id}) on {markup.hostname}"),
        ("X-Spam-Level", "*" * min(max(int(points), 0), 40)),
        (
            "X-Spam-Status",
            f"{'Yes' if spam else 'No'}, score={points:.1f} required={REQUIRED_SCORE:.1f} "
            f"tests={tests} probability={verdict.score.probability:.4f} label={verdict.label} "
            f"autolearn=no version=spamfilter-{__version__}",
        ),
        ("X-Spam-Score", f"{points:.1f}"),
    ]
    return [("X-Spam-Flag", "YES"), *written] if spam else written


def _report(verdict: Verdict, lines: Sequence[ReportLine]) -> str:
    """SpamAssassin's table of points, rule and description; a last line makes up the rest of the score."""
    rest = display_score(verdict.score.probability, verdict.thresholds) - sum(round(line.points, 1) for line in lines)
    rows = ["pts rule name, description"]
    for points, rule, description in (*lines, ReportLine(rest, "REST", "Where every score begins, and all else.")):
        words = f"* {points:5.1f} {rule} {_UNPRINTABLE.sub('?', description)}"
        rows += textwrap.wrap(words, _FOLD_AT - 8, subsequent_indent="*       ", drop_whitespace=True)
    return "\n".join(rows)


def _rspamd(verdict: Verdict, markup: Markup) -> list[tuple[str, str]]:
    points = display_score(verdict.score.probability, verdict.thresholds)
    spam = verdict.label is Label.SPAM
    symbols = " ".join(f"{name}({value:.3f})[];" for name, value in _symbols(verdict).items())
    rspamd_action = {Label.SPAM: "add header", Label.UNSURE: "greylist", Label.HAM: "no action"}[verdict.label]
    written = [
        ("X-Spamd-Bar", ("+" if points >= 0 else "-") * min(abs(int(points)), 40) or "/"),
        ("X-Spamd-Result", f"default: {spam} [{points:.2f} / {REQUIRED_SCORE:.2f}]; {symbols}".rstrip(" ;")),
        ("X-Rspamd-Action", rspamd_action),
        ("X-Rspamd-Server", markup.hostname),
    ]
    return [("X-Spam", "Yes"), *written] if spam else written


def _unscanned(failure: Failure, markup: Markup) -> list[tuple[str, str]]:
    why = f"unscanned, reason={failure.kind}" + (f" ({failure.detail[:120]})" if failure.detail else "")
    return [
        ("X-Spam-Checker-Version", f"spamfilter {__version__} on {markup.hostname}"),
        ("X-Spam-Status", why),
    ]
