"""Facts about the visible text."""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase

from spamfilter.facts.clues import clued, lowered
from spamfilter.normalise import BEYOND_ASCII, Normalised

TEXT_FACTS: tuple[str, ...] = tuple(
    """
    text_empty text_short text_long text_upper_much text_upper_words text_exclaims_many text_money
    text_greeting_generic text_unsubscribe text_click text_urgent text_credentials text_quoted text_signature
    text_attribution text_code text_phone text_invisible text_look_alikes text_spaced_words text_long_words
    text_foreign_script text_chinese text_cyrillic text_digits_many text_one_line text_wrapped_72
    """.split()
)
"""Always known."""

# All but the four last read `lowered` text.
MONEY = clued(
    r"[$£€¥]\s?\d|(?:(?<=\d)|(?<=\d\s))(?:usd|dollars|pounds|euros?|gbp)\b|\bmillion\b",
    "$,£,€,¥,usd,dollars,pounds,euro,gbp,million",
)
_GREETING = re.compile(
    r"^\W*(?:dear|hello|hi|attention|attn|greetings)\W+(?:sir|madam|friend|customer|user|client|member|beneficiary|valued|homeowner|winner|account|\S+@)",
    re.M,
)
_UNSUBSCRIBE = clued(
    r"unsubscribe|opt[ -]?out|removed? (?:from|me)|no longer wish|取消订阅|退订",
    "unsubscribe,opt,remove,no longer wish,取消订阅,退订",
)
_CLICK = clued(r"\bclick (?:here|below|the link|on)|\bfollow (?:this|the) link|点击", "click ,follow th,点击")
_URGENT = clued(
    r"\burgent|\bact now|\bimmediate(?:ly)?\b|\bexpires?\b|\bsuspend"
    r"|\bverify your|\bfinal notice|\blimited time|\blast chance",
    "urgent,act now,immediate,expire,suspend,verify your,final notice,limited time,last chance",
)
_CREDENTIALS = clued(
    r"\bpassword|\baccount|\blog ?in\b|\bsign ?in\b|\bverify\b|\bcredit card|\bsecurity\b",
    "password,account,log,sign,verify,credit card,security",
)
_ATTRIBUTION = clued(r"\b(?:wrote|writes|schrieb|said|écrit)\s*:\s*$", "wrote,writes,schrieb,said,écrit", re.M)
_ORIGINAL = clued(r"(?<!-)-{2,} ?original message ?-{2,}", "original message")
_LONG_WORD = re.compile(r"\b[a-z]{22,}\b")
# These begin with what is rare in a text, a digit or a sign, and look back from there.
_QUOTED = clued(r"^\s?>", ">", re.M)
_SIGNATURE = clued(r"^-- ?$", "--", re.M)
_CODE = (
    clued(r"\n[ \t]*(?:[+\-@]{2,3} |diff |#include|import |def |\$ |# )", "\n"),  # behind a line feed of ours
    clued(r"\((?<=\w\()\)", "()"),
    clued(r":(?=\d)(?:(?<=\w\.\w:)|(?<=\w\.\w\w:)|(?<=\w\.\w{3}:)|(?<=\w\.\w{4}:))", ":"),  # main.py:12
    clued(r"[{};]\s*$", "{,},;", re.M),
)
_PHONE = re.compile(
    r"\d(?:(?<!\d\d)\d\d\)?[-. ]\d{3}[-. ]\d{4}(?!\d)|(?<=0)(?<!\w0)\d{9,10}\b|(?<=[1-9])(?<!\w\d)\d{4}\b)"
)
_READ = 4000
"""Characters in which letters, words and lines are counted; for scripts it is the half of them."""


def text_facts(folded: Normalised) -> dict[str, bool]:
    """Facts about what is read; `folded.text` still has its line breaks and case."""
    text = folded.text
    low = lowered(text)
    head = text[:_READ]
    letters, upper, digits = _counts(head)
    words = head.split()
    more_words = words if len(text) <= _READ else text[: _READ * 2].split()
    shouted = len([word for word in filter(str.isupper, words) if len(word) > 3])
    lines = head.splitlines()
    lengths = [*map(len, lines)]
    start = text[: _READ // 2]
    odd = "" if start.isascii() else "".join(BEYOND_ASCII.findall(start))
    han = len([c for c in odd if "一" <= c <= "鿿"])
    cyrillic = len([c for c in odd if "Ѐ" <= c <= "ӿ"])
    foreign = len([c for c in odd if ord(c) > 0x2FF and c.isalpha()])
    return {
        "text_empty": not text,
        "text_short": 0 < len(text) < 200,
        "text_long": len(text) > 6000,
        "text_upper_much": letters > 20 and upper > 0.3 * letters,
        "text_upper_words": shouted > 3 and shouted > 0.04 * len(words),
        "text_exclaims_many": text.count("!") > 3,
        "text_money": MONEY.begun(low),
        "text_greeting_generic": bool(_GREETING.search(low[:600])),
        "text_unsubscribe": _UNSUBSCRIBE.begun(low),
        "text_click": _CLICK.begun(low),
        "text_urgent": _URGENT.begun(low),
        "text_credentials": _CREDENTIALS.count(low[:_READ], 3) > 2,
        "text_quoted": _QUOTED.found(text),
        "text_signature": _SIGNATURE.found(text),
        "text_attribution": _ATTRIBUTION.begun(low) or _ORIGINAL.found(low),
        "text_code": _is_code(text),
        "text_phone": bool(_PHONE.search(text)),
        "text_invisible": folded.invisible > 0,
        "text_look_alikes": folded.look_alikes > 0,
        "text_spaced_words": folded.spaced > 0,
        "text_long_words": any(_LONG_WORD.search(lowered(word)) for word in more_words if len(word) >= 22),
        "text_foreign_script": foreign > 0.3 * min(letters, 2000),
        "text_chinese": han > 10,
        "text_cyrillic": cyrillic > 20,
        "text_digits_many": digits > 0.12 * letters,
        "text_one_line": len([line for line in lines if line.strip()]) <= 1,
        "text_wrapped_72": len([length for length in lengths if 60 <= length <= 80]) > 3 and max(lengths) <= 120,
    }


def _is_code(text: str) -> bool:
    begins, *within = _CODE
    return begins.found("\n" + text) or any(code.found(text) for code in within)


_CAPITALS, _SMALL = ascii_uppercase.encode(), ascii_lowercase.encode()


def _counts(text: str) -> tuple[int, int, int]:
    """How many letters (1 where there is none), capital letters and digits; ASCII is counted by leaving it out."""
    ascii_part = text.encode("ascii", "ignore")
    others = "" if len(ascii_part) == len(text) else "".join(BEYOND_ASCII.findall(text))
    size = len(ascii_part)
    letters = size - len(ascii_part.translate(None, _CAPITALS + _SMALL)) + sum(map(str.isalpha, others))
    upper = size - len(ascii_part.translate(None, _CAPITALS)) + sum(map(str.isupper, others))
    digits = size - len(ascii_part.translate(None, b"0123456789")) + sum(map(str.isdigit, others))
    return letters or 1, upper, digits
