"""What a person may say about a corpus that its format leaves open, and which words are labels."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.errors import DataError

Label = Literal["ham", "spam", "none"]

_WORDS = {"spam": True, "ham": False, "1": True, "0": False, "true": True, "false": False}
LABEL_WORDS = ", ".join(_WORDS)


@dataclass(frozen=True, slots=True)
class Options:
    """`name` becomes the examples' source. A format reads only the options that it needs."""

    name: str
    label: Label | None = None
    text_column: str = "text"
    label_column: str = "label"
    id_column: str | None = None
    index: str | None = None
    one_is: Literal["ham", "spam"] | None = None


def label_of(word: str) -> bool | None:
    """True for spam, False for ham, None for a word that is no label. Case and blanks around do not matter."""
    return _WORDS.get(word.strip().lower())


def given_label(options: Options, format_name: str) -> bool | None:
    """The label of all messages, for formats that carry none. Raises DataError when nobody said."""
    if options.label is None:
        raise DataError(f"{format_name} does not say what is ham and what spam: give --label ham, spam or none")
    return {"ham": False, "spam": True, "none": None}[options.label]


def nearest(wanted: str, known: Sequence[str]) -> str:
    """ "no column 'txt'; did you mean 'text'? (columns: label, text)"."""
    folded = {name.strip().lower(): name for name in known}
    near = difflib.get_close_matches(wanted.strip().lower(), list(folded), n=1, cutoff=0.5)
    guess = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return f"no column {wanted!r}{guess} (columns: {', '.join(known) or 'none'})"
