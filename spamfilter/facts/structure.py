"""Facts about MIME structure, charsets, HTML and links."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spamfilter.facts.addresses import CHEAP_TLD, NUMERIC_HOST, claims_brand, link_host, registered
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
_LOGIN = re.compile(r"log-?in|sign-?in|verif|secur|account|webmail|password|auth|wallet|unlock|update|confirm", re.I)
_PROGRAM_LINK = re.compile(r"\.(?:exe|scr|pif|bat|zip|rar|7z|iso|js|vbs|msi|apk|hta|lnk)(?:[?#]|$)", re.I)
_TOKEN = re.compile(r"[A-Za-z0-9_\-]{40,}")
_PAGE_FILE = re.compile(r"\.(?:s?html?|xhtml|svg)$", re.I)
_SHOWN_HOST = re.compile(
    r"(?:https?://|www\.)([a-z0-9.\-]+\.[a-z]{2,})|^\s*([a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.(?:com|net|org|edu|gov|de|uk|fr))\s*/?\s*$",
    re.I,
)
_EXECUTABLE = re.compile(r"\.(?:exe|scr|pif|bat|cmd|com|vbs|js|jse|wsf|hta|jar|lnk|iso|img|ace|html?|shtml)$", re.I)
_ARCHIVE = re.compile(r"\.(?:zip|rar|7z|gz|tgz|cab|arj)$", re.I)
_DOCUMENT_FILE = re.compile(r"\.(?:docx?|docm|xlsx?|xlsm|pptx?|pdf|rtf|odt)$", re.I)
_SIGNATURE_TYPE = re.compile(r"application/(?:pgp|(?:x-)?pkcs7)-signature")
_TEXT_URL = re.compile(r"https?://[^\s<>\"')\]]{3,500}", re.I)


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
        "attachment_executable": any(_EXECUTABLE.search(name) for name in names),
        "attachment_archive": any(_ARCHIVE.search(name) for name in names),
        "attachment_document": any(_DOCUMENT_FILE.search(name) for name in names),
        "attachment_name_two_types": any(re.search(r"\.\w{2,4}\s*\.\w{2,4}$", name) for name in names),
        "image_only_text": images > 0 and len(shown.strip()) < 100,
        "attachment_page": any(_PAGE_FILE.search(name) for name in names),
        "has_image_part": any(kind.startswith("image/") for kind, _, _, _ in parts),
        "has_calendar": "text/calendar" in {kind for kind, _, _, _ in parts},
        "signed": any(_SIGNATURE_TYPE.fullmatch(kind) for kind, _, _, _ in parts),
        "boundary_outlook": "----=_NextPart_" in boundary,
        "boundary_odd": bool(re.search(r"[^0-9A-Za-z'()+_,\-./:=? ]", boundary)),
        "boundary_plain_digits": bool(re.search(r"(?:^| )-*\d{6,}(?:$| )", boundary)),
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
    return [match.group() for _, match in zip(range(100), _TEXT_URL.finditer(text), strict=False)]


def link_facts(links: Sequence[tuple[str, str]], text: str, sender_base: str) -> dict[str, bool]:
    """Facts about links given as (href, shown text), and about URLs in `text`."""
    everything = [*links, *((url, "") for url in text_links(text))]
    hosts = [host for href, _ in everything if (host := link_host(href))]
    bases = {registered(host) for host in hosts}
    differs = False
    for href, label in links:
        shown = _SHOWN_HOST.search(label)
        host = link_host(href)
        if shown and host and registered(shown.group(1) or shown.group(2)) != registered(host):
            differs = True
    targets = [href for href, _ in everything]
    webs = [href for href in targets[:200] if href[:4].lower() == "http"]
    return {
        "link_any": bool(hosts),
        "link_many": len(hosts) > 10,
        "link_host_numeric": any(NUMERIC_HOST.match(host) for host in hosts),
        "link_host_cheap": any(host.rpartition(".")[2] in CHEAP_TLD for host in hosts),
        "link_host_shortener": any(host in _SHORTENERS for host in hosts),
        "link_host_differs_from_text": differs,
        "link_userinfo": any(re.match(r"https?://[^/?#\s]*@", href, re.I) for href in targets),
        "link_port": any(re.match(r"https?://[^/?#\s@]+:\d+", href, re.I) for href in targets),
        "link_many_hosts": len(bases) > 4,
        "link_one_host": len(bases) == 1,
        "link_host_is_senders": bool(sender_base) and sender_base in bases,
        "link_none_is_senders": bool(sender_base) and bool(bases) and sender_base not in bases,
        "link_long": any(len(href) > 150 for href in targets),
        "link_mailto": any(href.lower().startswith("mailto:") for href in targets),
        "link_encoded": any(re.search(r"https?://[^/]*%[0-9a-f]{2}", href, re.I) for href in targets),
        "link_http_only": bool(hosts) and not any(href.lower().startswith("https:") for href in targets),
        "link_host_free_hosting": any(_FREE_HOSTING.search(host) for host in hosts[:100]),
        "link_holds_address": any(_HELD_ADDRESS.search(href[:600]) for href in webs),
        "link_host_many_labels": any(host.count(".") > 3 and not NUMERIC_HOST.match(host) for host in hosts),
        "link_host_digits": any(re.search(r"\d{2}", registered(host).partition(".")[0]) for host in hosts),
        "link_host_punycode": any("xn--" in host for host in hosts),
        "link_host_hyphens": any(registered(host).count("-") > 1 for host in hosts),
        "link_claims_brand": any(claims_brand(host.replace(".", " "), registered(host)) for host in hosts[:100])
        or any(claims_brand(label, link_host(href)) for href, label in links[:100] if 2 < len(label) < 40),
        "link_wants_login": any(_LOGIN.search(href.partition("//")[2][:300]) for href in webs),
        "link_script_or_data": any(href[:30].lower().lstrip().startswith(("javascript:", "data:")) for href in targets),
        "link_file_program": any(_PROGRAM_LINK.search(href[:600]) for href in webs if href.count("/") > 2),
        "link_token_long": any(_TOKEN.search(href[:1000]) for href in webs),
        "link_text_is_image": any(link_host(href) and not label for href, label in links),
    }


def _differ(plain: str, shown: str) -> bool:
    ours = set(re.findall(r"\w{4,}", plain[:4000].lower()))
    theirs = set(re.findall(r"\w{4,}", shown[:4000].lower()))
    return bool(ours and theirs) and len(ours & theirs) < 0.3 * min(len(ours), len(theirs))
