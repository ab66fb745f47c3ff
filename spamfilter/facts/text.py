"""Facts about the visible text."""

from __future__ import annotations

import re

from spamfilter.normalise import Normalised

TEXT_FACTS: tuple[str, ...] = tuple(
    """
    text_empty text_short text_long text_upper_much text_upper_words text_exclaims_many text_money
    text_greeting_generic text_unsubscribe text_click text_urgent text_credentials text_quoted text_signature
    text_attribution text_code text_phone text_invisible text_look_alikes text_spaced_words text_long_words
    text_foreign_script text_chinese text_cyrillic text_digits_many text_one_line text_wrapped_72
    """.split()
)
"""Always known."""

MONEY = re.compile(r"[$£€¥]\s?\d|\d\s?(?:usd|dollars|pounds|euros?|gbp)\b|\bmillion\b", re.I)
_GREETING = re.compile(
    r"^\W*(?:dear|hello|hi|attention|attn|greetings)\W+(?:sir|madam|friend|customer|user|client|member|beneficiary|valued|homeowner|winner|account|\S+@)",
    re.I | re.M,
)
_UNSUBSCRIBE = re.compile(r"unsubscribe|opt[ -]?out|remove(?:d)? (?:from|me)|no longer wish|取消订阅|退订", re.I)
_CLICK = re.compile(r"\bclick (?:here|below|the link|on)|\bfollow (?:this|the) link|点击", re.I)
_URGENT = re.compile(
    r"\burgent|\bact now|\bimmediate(?:ly)?\b|\bexpires?\b|\bsuspend"
    r"|\bverify your|\bfinal notice|\blimited time|\blast chance",
    re.I,
)
_CREDENTIALS = re.compile(r"\bpassword|\baccount|\blog ?in\b|\bsign ?in\b|\bverify\b|\bcredit card|\bsecurity\b", re.I)
_QUOTED = re.compile(r"^\s?>", re.M)
_SIGNATURE = re.compile(r"^-- ?$", re.M)
_ATTRIBUTION = re.compile(
    r"\b(?:wrote|writes|schrieb|said|écrit)\s*:\s*$|(?<!-)-{2,} ?original message ?-{2,}", re.I | re.M
)
_CODE = re.compile(r"^[ \t]*(?:[+\-@]{2,3} |diff |#include|import |def |\$ |# )|\w\(\)|\w\.\w{1,4}:\d|[{};]\s*$", re.M)
_PHONE = re.compile(r"(?<!\d)(?:\+?1[-. ])?\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}(?!\d)|\b0\d{9,10}\b|\b[1-9]\d{4}\b(?=\W|$)")
_LONG_WORD = re.compile(r"\b[a-z]{22,}\b", re.I)


def text_facts(folded: Normalised) -> dict[str, bool]:
    """Facts about what is read; `folded.text` still has its line breaks and case."""
    text = folded.text
    letters = sum(c.isalpha() for c in text[:4000]) or 1
    upper = sum(c.isupper() for c in text[:4000])
    words = text[:4000].split()
    shouted = sum(len(word) > 3 and word.isupper() for word in words)
    lines = text[:4000].splitlines()
    han = sum("一" <= c <= "鿿" for c in text[:2000])
    cyrillic = sum("Ѐ" <= c <= "ӿ" for c in text[:2000])
    foreign = sum(ord(c) > 0x2FF and c.isalpha() for c in text[:2000])
    return {
        "text_empty": not text,
        "text_short": 0 < len(text) < 200,
        "text_long": len(text) > 6000,
        "text_upper_much": letters > 20 and upper > 0.3 * letters,
        "text_upper_words": shouted > 3 and shouted > 0.04 * len(words),
        "text_exclaims_many": text.count("!") > 3,
        "text_money": bool(MONEY.search(text)),
        "text_greeting_generic": bool(_GREETING.search(text[:600])),
        "text_unsubscribe": bool(_UNSUBSCRIBE.search(text)),
        "text_click": bool(_CLICK.search(text)),
        "text_urgent": bool(_URGENT.search(text)),
        "text_credentials": len(_CREDENTIALS.findall(text[:4000])) > 2,
        "text_quoted": bool(_QUOTED.search(text)),
        "text_signature": bool(_SIGNATURE.search(text)),
        "text_attribution": bool(_ATTRIBUTION.search(text)),
        "text_code": bool(_CODE.search(text)),
        "text_phone": bool(_PHONE.search(text)),
        "text_invisible": folded.invisible > 0,
        "text_look_alikes": folded.look_alikes > 0,
        "text_spaced_words": folded.spaced > 0,
        "text_long_words": bool(_LONG_WORD.search(text[:8000])),
        "text_foreign_script": foreign > 0.3 * min(letters, 2000),
        "text_chinese": han > 10,
        "text_cyrillic": cyrillic > 20,
        "text_digits_many": sum(c.isdigit() for c in text[:4000]) > 0.12 * letters,
        "text_one_line": len([line for line in lines if line.strip()]) <= 1,
        "text_wrapped_72": sum(60 <= len(line) <= 80 for line in lines) > 3
        and not any(len(line) > 120 for line in lines),
    }
