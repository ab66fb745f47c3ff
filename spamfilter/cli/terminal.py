"""Printing what strangers wrote: mail addresses and file names must not move the cursor or colour the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LABEL_STYLES = {"ham": "green", "unsure": "yellow", "spam": "red", "ok": "green", "warn": "yellow", "fail": "bold red"}


def plain(text: str | None) -> str:
    """`text` with everything that is not printable, such as escape sequences, shown as a question mark."""
    return "".join(c if c.isprintable() else "?" for c in text or "")


def console() -> Console:
    """Standard output: coloured and as wide as the terminal, or plain and wide when it is none."""
    from rich.console import Console

    out = Console(highlight=False, markup=False, emoji=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=200)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `right` hold numbers, the others break between words or fold."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made
