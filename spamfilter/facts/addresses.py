"""Mailboxes, hosts and their registered domains, read the way that facts about them need."""

from __future__ import annotations

import re
from itertools import pairwise

FREEMAIL = frozenset(
    """
    126.com 163.com aol.com earthlink.net excite.com free.fr gmail.com gmx.de gmx.net hotmail.com icloud.com
    juno.com libero.it live.com lycos.com mail.com mail.ru msn.com netscape.net orange.fr outlook.com proton.me
    protonmail.com qq.com rediffmail.com sina.com sohu.com t-online.de wanadoo.fr web.de yahoo.co.uk yahoo.com
    yandex.ru
    """.split()
)
CHEAP_TLD = frozenset(
    """
    biz bond buzz cam cc cf cfd click club cn fun ga gq icu info link live ml monster online press pw quest rest
    ru sbs shop site space store su tk top vip website work ws xyz
    """.split()
)
BRANDS = frozenset(
    """
    adobe amazon americanexpress apple att bankofamerica barclays binance chase citibank coinbase costco dhl docusign
    dropbox ebay facebook fedex hsbc icloud instagram linkedin lloyds mastercard metamask microsoft natwest netflix
    norton office365 outlook paypal royalmail santander sharepoint spotify usps visa walmart wellsfargo whatsapp xfinity
    """.split()
)
NUMERIC_HOST = re.compile(r"^\[?\d{1,3}(?:\.\d{1,3}){3}\]?$|^0x[0-9a-f]+$|^\d{8,10}$")
_MAILBOX = re.compile(r"([^\s<>\"',;]{1,64}@[A-Za-z0-9.\-]{1,255})")
# "security@bank.example" <someone@elsewhere.example>: the name poses as the address
_POSING_NAME = re.compile(
    r"\s*(?:\"([^\"]{0,300}@[^\"]{0,300})\"|([^<>\",;]{0,300}@[^<>\",;]{0,300}))\s*<([^\s<>\"',;]{1,64}@[A-Za-z0-9.\-]{1,255})"
)
_HOST = re.compile(r"^(?:[a-z][a-z0-9+.\-]{1,20}:)?//(?:[^/?#\\\s]*@)?(\[[0-9a-f:.]+\]|[^/:?#\\\s]+)", re.I)


def link_host(href: str) -> str:
    """The lower-case host of an absolute URL; "" for anything else."""
    match = _HOST.match(href.strip())
    return match.group(1).lower().rstrip(".") if match else ""


def registered(domain: str) -> str:
    """The registered part of a domain, by a rule of thumb: two labels, three under short second levels (co.uk)."""
    labels = domain.lower().strip(".").split(".")
    if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def address_of(value: str) -> tuple[str, str]:
    """Display name and address of the first mailbox in a field; both "" when there is none.

    Read by patterns and not by `email.utils`, whose answers differ between releases of Python: a bundle would
    then read other facts than its training did.
    """
    match = _MAILBOX.search(value)
    if not match:
        return "", ""
    posing = _POSING_NAME.match(value[:1000])
    if posing and posing.group(3) != match.group(1):
        return (posing.group(1) or posing.group(2)).strip(), posing.group(3).lower()
    return value[: match.start()].strip(' <"'), match.group(1).lower()


def claims_brand(text: str, domain: str) -> bool:
    """True when a text names a well-known brand whose name is not in the domain: the one poses as the other."""
    words = re.findall(r"[a-z0-9&]+", text.lower()[:200])
    named = (BRANDS & {*words, *map("".join, pairwise(words))}) if words else set()
    return bool(named) and not any(brand in domain.replace("-", "") for brand in named)
