"""An explanation on a terminal: the verdict, the stages as bars, the text with what moved it marked, reasons, ifs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spamfilter.cli.terminal import LABEL_STYLES, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.text import Text

    from spamfilter.classifier.explanation import Explanation, Part, Span
    from spamfilter.verdict import Verdict

_MARKED = 12
"""So many passages are marked in the text."""
_REASONS = 12
_BAR = 24
_AROUND = 160
"""Characters of text that are shown before and behind what is marked."""
_FOR, _AGAINST = "red", "green"


def show(out: Console, name: str, found: Explanation, verdict: Verdict) -> None:
    """Print one explanation."""
    from rich.text import Text

    label = verdict.label.value
    heading = Text.assemble((label, f"bold {LABEL_STYLES[label]}"), f" {verdict.score.probability:.4f}  ", name)
    heading.append(f"  (spam from {verdict.thresholds.spam_at:.4f}, model {verdict.score.model_id})", "dim")
    out.print(heading)
    out.print()
    for line in _bars(found):
        out.print(line)
    for part in ("head", "tail"):
        if text := _text(found, part):
            out.print()
            out.print(text)
    _reasons(out, found)
    if found.counterfactuals:
        out.print()
        out.print(Text("it would be", style="bold"))
        for one in found.counterfactuals:
            out.print(f"  {one.probability:.4f}  without {plain(one.without)}")


def _bars(found: Explanation) -> Iterator[Text]:
    """What each stage moved, the base above them and the sum below: one line each."""
    from rich.text import Text

    parts = {"base": found.base, **found.stages}
    if found.memory:
        parts["memory"] = found.memory
    most = max(1.0, *(abs(moved) for moved in parts.values()))
    for name, moved in parts.items():
        yield Text.assemble(f"{name:>8} {moved:+7.2f} ", ("█" * round(_BAR * abs(moved) / most), _style(moved)))
    yield Text(f"{'sum':>8} {found.logit - found.missing:+7.2f} log-odds, probability {found.score.probability:.4f}")


def _text(found: Explanation, part: Part) -> Text | None:
    """The text of a part with the strongest passages marked, and what stands far from these left out."""
    from rich.text import Text

    text = found.head if part == "head" else found.tail
    strongest = sorted(found.spans, key=lambda span: -abs(span.moved))[:_MARKED]
    marked = sorted((span for span in strongest if span.part == part and span.moved), key=lambda span: span.start)
    if not marked:
        return None
    shown = Text()
    at = 0
    for span in marked:
        shown.append(_shortened(text[at : span.start], first=at == 0))
        shown.append(_printable(text[span.start : span.end]), f"bold {_style(span.moved)}")
        shown.append(f"[{_told(span)}]", _style(span.moved))
        at = span.end
    shown.append(_shortened(text[at:], first=False, last=True))
    return shown


def _told(span: Span) -> str:
    written = f' "{plain(span.written)}"' if span.written else ""
    return f"{span.moved:+.2f}{written}"


def _shortened(text: str, *, first: bool, last: bool = False) -> str:
    """Text between marks, without its middle where it is long."""
    text = _printable(text)
    before, behind = 0 if first else _AROUND, 0 if last else _AROUND
    if len(text) <= before + behind:
        return text
    return f"{text[:before]} ... {text[len(text) - behind :]}"


def _printable(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def _reasons(out: Console, found: Explanation) -> None:
    from rich.text import Text

    reasons = found.reasons()
    if not reasons:
        return
    out.print()
    out.print(Text("what moved it", style="bold"))
    for reason in reasons[:_REASONS]:
        out.print(Text.assemble((f"  {reason.moved:+.2f}", _style(reason.moved)), f"  {plain(reason.sentence)}"))
    if rest := reasons[_REASONS:]:
        out.print(f"  {sum(reason.moved for reason in rest):+.2f}  {len(rest)} more", style="dim")


def _style(moved: float) -> str:
    return _FOR if moved > 0 else _AGAINST
