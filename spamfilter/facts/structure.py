"""Facts about MIME structure, charsets, HTML and links."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spamfilter.facts.addresses import CHEAP_TLD, NUMERIC_HOST, claims_brand, link_host, registered
from spamfilter.facts.clues import clued, lowered
from spamfilter.html_text import Visible
from spamfilter.mime import Walk

STRUCTURE_FACTS: tuple[str, ...] = tuple(
    """
    text_only html_only alternative alternative_text_empty alternative_differs related mixed has_attachment
    attachment_executable attachment_archive attachment_document attachment_name_two_types image_only_text
    has_image_part has_calendar signed boundary_outlook boundary_odd boundary_plain_digits charset_missing
    charset_utf8 charset_western charset_chinese charset_korean_japanese charset_cyrillic_turkish
    charset_unknown body_8bit_undeclared base64_text quoted_printable_text mime_broken mime_cut html_hidden_some
    html_hidden_much html_split_words html_ratio_low html_ratio_tiny html_images_some html_images_many html_form
    html_script html_iframe html_table html_font html_title html_tiny html_centered html_style_block html_meta
    link_any link_many link_host_numeric link_host_cheap link_host_shortener link_host_differs_from_text
    link_userinfo link_port link_many_hosts link_one_host link_host_is_senders link_none_is_senders link_long
    link_mailto link_encoded link_http_only link_text_is_image link_host_free_hosting link_holds_address
    link_host_many_labels link_host_digits link_host_punycode link_host_hyphens link_claims_brand link_wants_login
    link_script_or_data link_file_program link_token_long attachment_page
    """.split()
)
"""Unknown where the bytes were plain text without headers."""

_SHORTENERS = frozenset(
    """
    bit.ly buff.ly cutt.ly goo.gl is.gd ow.ly rb.gy rebrand.ly shorturl.at t.co t.ly tinyurl.com
    """.split()
)
_FREE_HOSTING = re.compile(
    r"(?:^|\.)(?:weebly\.com|weeblysite\.com|wixsite\.com|web\.app|firebaseapp\.com|pages\.dev|workers\.dev|r2\.dev|ipfs\.\S+"
    r"|github\.io|blogspot\.\S+|netlify\.app|vercel\.app|herokuapp\.com|azurewebsites\.net|windows\.net|glitch\.me"
    r"|ngrok\S*|duckdns\.org|translate\.goog|forms\.gle|sites\.google\.com|docs\.google\.com|storage\.googleapis\.com"
    r"|amazonaws\.com|square\.site|webflow\.io|godaddysites\.com|000webhostapp\.com|geocities\.com|tripod\.com|angelfire\.com"
    r"|freeservers\.com|myshopify\.com|notion\.site|framer\.\w+|webnode\.\S+|mystrikingly\.com|surveymonkey\.com|jotform\.com)$"
)
_HELD_ADDRESS = re.compile(r"[?&#/=*][\w.+\-]{1,64}(?:@|%40)[\w\-]{1,63}\.[a-z]{2,}", re.I)
_LOGIN = clued(
    r"log-?in|sign-?in|verif|secur|account|webmail|password|auth|wallet|unlock|update|confirm",
    "log,sign,verif,secur,account,webmail,password,auth,wallet,unlock,update,confirm",
)
_USER_INFO = re.compile(r"https?://[^/?#\s]*@", re.I)
_PORT = re.compile(r"https?://[^/?#\s@]+:\d+", re.I)
_ENCODED_HOST = re.compile(r"https?://[^/]*%[0-9a-f]{2}", re.I)
_TWO_DIGITS = re.compile(r"\d{2}")
_PROGRAM_LINK = re.compile(r"\.(?:exe|scr|pif|bat|zip|rar|7z|iso|js|vbs|msi|apk|hta|lnk)(?:[?#]|$)", re.I)
_TOKEN = re.compile(r"[A-Za-z0-9_\-]{40,}")
_PAGE_FILE = re.compile(r"\.(?:s?html?|xhtml|svg)$", re.I)
_SHOWN_HOST = re.compile(
    r"(?:https?://|www\.)([a-z0-9.\-]+\.[a-z]{2,})|^\s*([a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.(?:com|net|org|edu|gov|de|uk|fr))\s*/?\s*$",
    re.I,
)
_EXECUTABLE = re.compile(r"\.(?:exe|scr|pif|bat|cmd|com|vbs|js|jse|wsf|hta|jar|lnk|iso|img|ace|html?|shtml)$", re.I)
_TWO_TYPES = re.compile(r"\.\w{2,4}\s*\.\w{2,4}$")
_ARCHIVE = re.compile(r"\.(?:zip|rar|7z|gz|tgz|cab|arj)$", re.I)
_DOCUMENT_FILE = re.compile(r"\.(?:docx?|docm|xlsx?|xlsm|pptx?|pdf|rtf|odt)$", re.I)
_ODD_IN_BOUNDARY = re.compile(r"[^0-9A-Za-z'()+_,\-./:=? ]")
_PLAIN_BOUNDARY = re.compile(r"(?:^| )-*\d{6,}(?:$| )")
_SIGNATURE_TYPE = re.compile(r"application/(?:pgp|(?:x-)?pkcs7)-signature")
_TEXT_URL = re.compile(r"[hH][tT][tT][pP][sSſ]?://[^\s<>\"')\]]{3,500}")


def structure_facts(
    walk: Walk, parts: Sequence[tuple[str, str, str, bool]], pages: Sequence[Visible], names: Sequence[str],
    plain: str, shown: str, sender_base: str, *, raw_8bit: bool,
) -> dict[str, bool]:  # fmt: skip
    """Facts about parts (content type, charset, encoding, is attachment), HTML pages, attachments' names and links."""
    types = [kind for kind, _, _, attached in parts if not attached]
    text_parts = [
        (kind, charset, encoding)
        for kind, charset, encoding, attached in parts
        if kind.startswith("text/") and not attached
    ]
    charsets = {charset for _, charset, _ in text_parts}
    has_html, has_plain = "text/html" in types, "text/plain" in types
    hidden = sum(page.hidden_characters for page in pages)
    markup = sum(page.markup_characters for page in pages)
    images = sum(page.images for page in pages)
    tags: set[str] = set().union(*(page.tags for page in pages)) if pages else set()
    links = [link for page in pages for link in page.links]
    ratio = len(shown) / markup if markup else 1.0
    boundary = " ".join(walk.boundaries)
    facts: dict[str, bool] = {
        "text_only": not has_html,
        "html_only": has_html and not has_plain,
        "alternative": "multipart/alternative" in walk.multiparts,
        "alternative_text_empty": "multipart/alternative" in walk.multiparts and has_html and len(plain.strip()) < 20,
        "alternative_differs": has_html and has_plain and "multipart/alternative" in walk.multiparts
        and _differ(plain, shown),
        "related": "multipart/related" in walk.multiparts,
        "mixed": "multipart/mixed" in walk.multiparts,
        "has_attachment": bool(names),
        "attachment_executable": any(map(_EXECUTABLE.search, names)),
        "attachment_archive": any(map(_ARCHIVE.search, names)),
        "attachment_document": any(map(_DOCUMENT_FILE.search, names)),
        "attachment_name_two_types": any(map(_TWO_TYPES.search, names)),
        "image_only_text": images > 0 and len(shown.strip()) < 100,
        "attachment_page": any(map(_PAGE_FILE.search, names)),
        "has_image_part": any(kind.startswith("image/") for kind, _, _, _ in parts),
        "has_calendar": "text/calendar" in {kind for kind, _, _, _ in parts},
        "signed": any(_SIGNATURE_TYPE.fullmatch(kind) for kind, _, _, _ in parts),
        "boundary_outlook": "----=_NextPart_" in boundary,
        "boundary_odd": bool(_ODD_IN_BOUNDARY.search(boundary)),
        "boundary_plain_digits": bool(_PLAIN_BOUNDARY.search(boundary)),
        "charset_missing": "" in charsets,
        "charset_utf8": "utf-8" in charsets,
        "charset_western": bool(charsets & {"iso-8859-1", "windows-1252", "us-ascii", "iso-8859-15"}),
        "charset_chinese": any(c.startswith(("gb", "big5", "hz")) for c in charsets),
        "charset_korean_japanese": any(c.startswith(("ks_c", "euc-", "iso-2022", "shift", "cp949")) for c in charsets),
        "charset_cyrillic_turkish": bool(
            charsets & {"koi8-r", "windows-1251", "iso-8859-5", "iso-8859-9", "windows-1254"}
        ),
        "charset_unknown": any(c in ("default", "unknown-8bit", "x-unknown", "default_charset") for c in charsets),
        "body_8bit_undeclared": raw_8bit and "" in charsets,
        "base64_text": any(encoding == "base64" for _, _, encoding in text_parts),
        "quoted_printable_text": any(encoding == "quoted-printable" for _, _, encoding in text_parts),
        "mime_broken": walk.broken,
        "mime_cut": walk.cut,
        "html_hidden_some": hidden > 0,
        "html_hidden_much": hidden > 100 and hidden > 0.3 * len(shown),
        "html_split_words": sum(page.split_words for page in pages) > 2,
        "html_ratio_low": bool(markup) and ratio < 0.2,
        "html_ratio_tiny": bool(markup) and ratio < 0.05,
        "html_images_some": images > 0,
        "html_images_many": images > 5,
        "html_form": "form" in tags,
        "html_script": "script" in tags,
        "html_iframe": "iframe" in tags,
        "html_table": "table" in tags,
        "html_font": "font" in tags,
        "html_title": any(page.title for page in pages),
        "html_tiny": 0 < markup < 600,
        "html_centered": "center" in tags,
        "html_style_block": "style" in tags,
        "html_meta": "meta" in tags,
    }  # fmt: skip
    return facts | link_facts(links, plain if not pages else "", sender_base)


def text_links(text: str) -> list[str]:
    """URLs that stand in plain text, at most 100."""
    if "://" not in text:
        return []
    return [match.group() for _, match in zip(range(100), _TEXT_URL.finditer(text), strict=False)]


def link_facts(links: Sequence[tuple[str, str]], text: str, sender_base: str) -> dict[str, bool]:
    """Facts about links given as (href, shown text), and about URLs in `text`."""
    urls = text_links(text)
    return _link_facts(links, urls, sender_base) if links or urls else _NO_LINKS.copy()


def _link_facts(links: Sequence[tuple[str, str]], urls: Sequence[str], sender_base: str) -> dict[str, bool]:
    host_of = {href: link_host(href) for href in dict.fromkeys([*(href for href, _ in links), *urls])}
    targets = [*(href for href, _ in links), *urls]
    hosts = [host for href in targets if (host := host_of[href])]
    base_of = {host: registered(host) for host in dict.fromkeys(hosts)}
    bases = set(base_of.values())
    shown = {(host_of[href], label) for href, label in links if "." in label and host_of[href]}
    named = {(host_of[href], label) for href, label in links[:100] if 2 < len(label) < 40}
    first_hosts = dict.fromkeys(hosts[:100])
    webs = [*dict.fromkeys(href for href in targets[:200] if href[:4].lower() == "http")]
    lines = "\n".join(host_of)  # what stands in none of them is looked for once
    low = lowered(lines)
    held, encoded = "@" in lines, "%" in lines
    return {
        "link_any": bool(hosts),
        "link_many": len(hosts) > 10,
        "link_host_numeric": any(map(NUMERIC_HOST.match, base_of)),
        "link_host_cheap": any(host.rpartition(".")[2] in CHEAP_TLD for host in base_of),
        "link_host_shortener": not _SHORTENERS.isdisjoint(base_of),
        "link_host_differs_from_text": any(_shows_another(label, base_of[host]) for host, label in shown),
        "link_userinfo": held and any(map(_USER_INFO.match, host_of)),
        "link_port": any(map(_PORT.match, host_of)),
        "link_many_hosts": len(bases) > 4,
        "link_one_host": len(bases) == 1,
        "link_host_is_senders": bool(sender_base) and sender_base in bases,
        "link_none_is_senders": bool(sender_base) and bool(bases) and sender_base not in bases,
        "link_long": max(map(len, host_of)) > 150,
        "link_mailto": "mailto:" in low and any(href.lower().startswith("mailto:") for href in host_of),
        "link_encoded": encoded and any(map(_ENCODED_HOST.search, host_of)),
        "link_http_only": bool(hosts)
        and not ("https:" in low and any(href.lower().startswith("https:") for href in host_of)),
        "link_host_free_hosting": any(map(_FREE_HOSTING.search, first_hosts)),
        "link_holds_address": (held or encoded) and any(_HELD_ADDRESS.search(href[:600]) for href in webs),
        "link_host_many_labels": any(host.count(".") > 3 and not NUMERIC_HOST.match(host) for host in base_of),
        "link_host_digits": any(_TWO_DIGITS.search(base.partition(".")[0]) for base in bases),
        "link_host_punycode": any("xn--" in host for host in base_of),
        "link_host_hyphens": any(base.count("-") > 1 for base in bases),
        "link_claims_brand": any(claims_brand(host.replace(".", " "), base_of[host]) for host in first_hosts)
        or any(claims_brand(label, host) for host, label in named),
        "link_wants_login": _LOGIN.found(lowered("\n".join([href.partition("//")[2][:300] for href in webs]))),
        "link_script_or_data": ("javascript:" in low or "data:" in low)
        and any(href[:30].lower().lstrip().startswith(("javascript:", "data:")) for href in host_of),
        "link_file_program": any(_PROGRAM_LINK.search(href[:600]) for href in webs if href.count("/") > 2),
        "link_token_long": any(_TOKEN.search(href[:1000]) for href in webs if len(href) >= 40),
        "link_text_is_image": any(not label and host_of[href] for href, label in links),
    }


_NO_LINKS = dict.fromkeys(_link_facts([("", "")], [], ""), False)


def _shows_another(label: str, base: str) -> bool:
    shown = _SHOWN_HOST.search(label)
    return shown is not None and registered(shown.group(1) or shown.group(2)) != base


def _differ(plain: str, shown: str) -> bool:
    ours = set(re.findall(r"\w{4,}", plain[:4000].lower()))
    theirs = set(re.findall(r"\w{4,}", shown[:4000].lower()))
    return bool(ours and theirs) and len(ours & theirs) < 0.3 * min(len(ours), len(theirs))
