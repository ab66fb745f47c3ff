"""What the model reads: any bytes of mail or text become one bounded `Document`.

The same extraction serves training and serving; its version stands in every bundle and is checked on load. It never
raises, costs a bounded amount of time whatever the mail, and reads neither our nor other filters' verdict headers
(they leak the label to a model that trains on old mail).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from spamfilter import facts as fact
from spamfilter import normalise as folding
from spamfilter.charsets import decode_text, whole_characters
from spamfilter.facts import address_of, clean_subject, link_host, registered
from spamfilter.html_text import Visible, strip_tags, visible
from spamfilter.message import Kind
from spamfilter.mime import LIMITS, Headers, Limits, Part, Walk, walk
from spamfilter.normalise import Normalised, normalise, squeezed

EXTRACTION = f"2-{folding.VERSION}-{fact.VERSION}"
"""Document, normaliser and facts version."""

HEAD_CHARACTERS = 12_000
TAIL_CHARACTERS = 4_000
_MOST_PAGES = 8
_MOST_TEXT = 600_000
_MOST_FOLDED = HEAD_CHARACTERS * 4 + TAIL_CHARACTERS * 4

_URL = re.compile(r"http[sſ]?://[^\s<>\"]+|ftp://[^\s<>\"]+|www\.[^\s<>\"]+")
_DOMAIN = re.compile(r"@(?<=[^\s<>\"'(),:;@]@)([a-z0-9.\-]+\.[a-z]{2,})", re.I)
_NO_ADDRESS = "<>\"'(),:;@"
_LONG_RUN, _LONG_RUN_KEPT = 50, 20
# The patterns below read a run from its start, once: tried again at each place of a long run they cost its square.
_RULE = re.compile(r"([-=_*~#.+])\1{3,}")
_SPACE_BEFORE = re.compile(r"(?<! ) +([,.;:!?)\]])")
_SPACED_APOSTROPHE = re.compile(r"(\w) ?' ?(s|t|re|ll|ve|d|m)\b")
_APOSTROPHE_APART = re.compile(r"'(?: |(?<= '))(?:s|t|re|ll|ve|d|m)\b")  # the first look: blanks to take away
_LINE_BREAK = re.compile(r"(?:(?<![ \t])[ \t]+)?\n(?!\n)[ \t]*")
_PARAGRAPH = re.compile(r"(?<!\s)\s*\n\s*\n\s*")
_BLANKS = re.compile(r"[ \t]+")
_VERDICTS = ("x-spam", "x-rspamd")
_REPORT = "spam detection software, running on the system"


@dataclass(frozen=True, slots=True)
class Document:
    """A message as the model sees it. Text is folded and bounded, hosts and types are lower-case.

    `facts` holds present (True) and absent (False); a fact that is not in it is unknown.
    """

    kind: Kind
    text: str
    tail: str = ""
    sender_name: str = ""
    sender_domain: str = ""
    subject: str = ""
    links: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    facts: Mapping[str, bool] = field(default_factory=dict)

    @property
    def has_headers(self) -> bool:
        """True when the header facts are known."""
        return "from_missing" in self.facts


def extract(raw: bytes, kind: Kind = Kind.MAIL, limits: Limits = LIMITS) -> Document:
    """The Document of any bytes. Never raises."""
    if kind is Kind.TEXT:
        return _from_text(decode_text(raw[: limits.head_bytes], None), decode_text(_end(raw, limits), None))
    try:
        return _from_mail(raw, limits)
    except Exception:  # the promise: any input gives a document; what is left is the crude reading of the bytes
        text = normalise(strip_tags(decode_text(raw[: limits.head_bytes], None))[: HEAD_CHARACTERS * 2])
        return Document(Kind.MAIL, text.text[:HEAD_CHARACTERS], flags=("broken",), facts=fact.text_facts(text))


def _end(raw: bytes, limits: Limits) -> bytes:
    return whole_characters(raw[-limits.tail_bytes :]) if len(raw) > limits.head_bytes else b""


def _from_text(head: str, tail: str) -> Document:
    folded = normalise(head)
    text, rest = _windows(folded.text, normalise(tail).text if tail else "")
    facts = fact.text_facts(folded)
    urls = fact.text_links(folded.text)
    return Document(Kind.TEXT, text, rest, links=_hosts(urls), flags=_flags(facts), facts=facts)


def _from_mail(raw: bytes, limits: Limits) -> Document:
    seen = Walk()
    plain: list[str] = []
    shown: list[str] = []
    ends: list[tuple[bool, bool, str]] = []  # of each shown part: is it a page, was it cut, what it ends with
    pages: list[Visible] = []
    shapes: list[tuple[str, str, str, bool]] = []
    names: list[str] = []
    attachments: list[str] = []
    raw_8bit = False
    budget = _MOST_TEXT
    named_text: list[Part] = []
    for part in walk(raw, seen, limits):
        charset = part.parameters.get("charset", "").strip().lower()[:40]
        attached = part.is_attachment
        shapes.append((part.content_type, charset, part.encoding, attached))
        if attached or not part.content_type.startswith("text/"):
            attachments.append(part.content_type)
            if part.content_type.startswith("text/") and len(named_text) < 4:
                named_text.append(part)
            if filename := part.filename:
                names.append(filename[:200])
            continue
        if budget <= 0:
            seen.cut = True
            continue
        head, tail = part.content(limits)
        raw_8bit = raw_8bit or (part.encoding not in ("base64", "quoted-printable") and not head[:65536].isascii())
        text = decode_text(head, charset or None)
        budget -= len(text)
        if _is_html(part, text) and len(pages) < _MOST_PAGES:
            page = visible(text)
            pages.append(page)
            shown.append(page.text)
            if tail or page.cut:
                end = strip_tags(decode_text(tail, charset or None) if tail else text[-TAIL_CHARACTERS * 2 :])
            else:
                end = page.text
            ends.append((True, bool(tail) or page.cut, end))
        elif not text[:400].lower().lstrip().startswith(_REPORT):  # a filter's own report would leak the label
            plain.append(text)
            shown.append(text)
            ends.append((False, bool(tail), decode_text(tail, charset or None) if tail else text))
    if not "".join(shown).strip():  # a body that calls itself an attachment is still all there is to read
        for part in named_text:
            text = decode_text(part.content(limits)[0], part.parameters.get("charset"))
            shown.append(visible(text).text if _is_html(part, text) else text)
    headers = _without_verdicts(seen.headers)
    page_text = "\n".join(page.text for page in pages)
    use_pages = "multipart/alternative" in seen.multiparts and len(page_text.strip()) >= 20
    whole = page_text if use_pages else "\n\n".join(shown)
    if len(whole) > _MOST_FOLDED:  # padding must not push the text out of what is folded
        whole = squeezed(whole)
    body = normalise(whole[:_MOST_FOLDED])
    end_text = ""
    last = [(cut, end) for is_page, cut, end in ends if is_page or not use_pages]
    if any(cut for cut, _ in last) or len(whole) > _MOST_FOLDED:
        end_text = normalise(squeezed("\n\n".join(end for _, end in last))[-TAIL_CHARACTERS * 2 :]).text
    name, sender = address_of(headers.text("from"))
    domain = sender.partition("@")[2]
    subject = normalise(clean_subject(headers.text("subject"))[:400])
    structure_known = len(headers.fields) > 1
    facts = fact.text_facts(_sum(body, subject), subject.text)
    if structure_known:
        facts |= fact.structure_facts(
            seen, shapes, pages, names, "\n".join(plain), page_text or body.text, registered(domain), raw_8bit=raw_8bit
        )
    if "from" in headers and ("date" in headers or "message-id" in headers or "received" in headers):
        facts |= fact.header_facts(headers)
    urls = [href for page in pages for href, _ in page.links] + fact.text_links(body.text)
    text, rest = _windows(body.text, end_text)
    return Document(
        Kind.MAIL,
        text,
        rest,
        sender_name=normalise(name[:200]).text[:80],
        sender_domain=domain[:100],
        subject=subject.text[:300],
        links=_hosts(urls),
        attachments=tuple(dict.fromkeys(attachments))[:8],
        flags=_flags(facts),
        facts=facts,
    )


def _without_verdicts(headers: Headers) -> Headers:
    kept = tuple([f for f in headers.fields if not f[0].startswith(_VERDICTS)])
    return Headers(kept, headers.truncated) if len(kept) < len(headers.fields) else headers


def _sum(body: Normalised, subject: Normalised) -> Normalised:
    return Normalised(
        body.text,
        body.invisible + subject.invisible,
        body.look_alikes + subject.look_alikes,
        body.spaced + subject.spaced,
    )


def _is_html(part: Part, text: str) -> bool:
    if part.content_type == "text/html":
        return True
    start = text[:400].lstrip().lower()
    return start.startswith(("<html", "<!doctype html"))


def _windows(text: str, tail: str) -> tuple[str, str]:
    """Head and tail of a long text; a tail that was read apart wins over the end of the head."""
    head = text[:HEAD_CHARACTERS]
    if tail:
        return head, tail[-TAIL_CHARACTERS:]
    return head, text[max(HEAD_CHARACTERS, len(text) - TAIL_CHARACTERS) :]


def _hosts(urls: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host for url in urls[:300] if (host := link_host(url)[:100])))[:12]


_FLAGGED = {
    "html_only": "html only", "html_hidden_much": "hidden text", "html_split_words": "split words",
    "link_host_differs_from_text": "false link", "link_host_numeric": "numeric link", "text_look_alikes": "look-alikes",
    "text_invisible": "invisible characters", "text_spaced_words": "spaced words", "text_upper_much": "shouting",
    "image_only_text": "image only", "attachment_executable": "program attached", "mime_broken": "broken",
}  # fmt: skip


def _flags(facts: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(word for name, word in _FLAGGED.items() if facts.get(name))


def canonical(text: str) -> str:
    """Text as the models read it: lower case, addresses and URLs cut to their hosts, lines joined, rules shortened.

    Spaces before punctuation go, so that corpora that were tokenised read like mail that was not.
    """
    text = text.lower().replace(": / / ", "://")
    if "://" in text or "www." in text:
        text = _URL.sub(lambda match: "http://" + (link_host(_with_scheme(match.group())) or "?"), text)
    if "@" in text:
        text = _without_users(text)
    text = _without_long_runs(text)
    text = _RULE.sub(r"\1\1\1", text).strip()
    plain = "  " not in text and text.replace("\n", " ").isprintable()  # no white space but single blanks, line feeds
    text = _joined_lines(text) if plain else _joined_odd_lines(text)
    if _APOSTROPHE_APART.search(text):
        text = _SPACED_APOSTROPHE.sub(r"\1'\2", text)
    return text.strip() if plain else _BLANKS.sub(" ", text).strip()


def _without_users(text: str) -> str:
    """Each address as "@" and its domain."""
    pieces: list[str] = []
    at = 0
    for domain in _DOMAIN.finditer(text):
        before = text[at : domain.start()]
        if before:
            user = before.rsplit(None, 1)[-1]
            end = max(map(user.rfind, _NO_ADDRESS)) + 1
            pieces += before[: len(before) - len(user) + end], domain.group()
            at = domain.end()
    return "".join(pieces) + text[at:]


def _without_long_runs(text: str) -> str:
    """Runs of 50 characters and more cut short: keys, encoded data."""
    words = text.split()
    if max(map(len, words), default=0) < _LONG_RUN:
        return text
    pieces: list[str] = []
    at = 0
    for word in words:
        if len(word) >= _LONG_RUN:
            start = text.index(word, at)  # no word before it is long enough to hold it
            pieces += text[at:start], word[:_LONG_RUN_KEPT]
            at = start + len(word)
    return "".join(pieces) + text[at:]


def _joined_odd_lines(text: str) -> str:
    """Lines joined, paragraphs parted, no blanks before punctuation, whatever white space the text has."""
    text = _LINE_BREAK.sub(" ", _PARAGRAPH.sub("\n\n", text)).replace("\n \n", "\n").replace("\n\n", "\n")
    return _SPACE_BEFORE.sub(r"\1", text)


def _joined_lines(text: str) -> str:
    """As `_joined_odd_lines`, of text with no white space but single blanks and line feeds; much faster."""
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    text = text.replace("\n\n", "\r").replace("\n", " ").replace("\r", "\n ")
    for sign in ",.;:!?)]":
        text = text.replace(" " + sign, sign)
    return text


def _with_scheme(url: str) -> str:
    return url if "://" in url else "http://" + url


def preamble(document: Document) -> str:
    """The lines before the text: sender, subject, link hosts, attachment types, flags. "" for plain text."""
    if document.kind is Kind.TEXT:
        return ""
    lines = []
    if document.sender_name or document.sender_domain:
        lines.append(f"from: {document.sender_name} @{document.sender_domain}")
    if document.subject:
        lines.append(f"subject: {document.subject}")
    if document.links:
        lines.append("links: " + " ".join(document.links[:6]))
    if document.attachments:
        lines.append("files: " + " ".join(document.attachments[:4]))
    if document.flags:
        lines.append("flags: " + ", ".join(document.flags))
    return "\n".join(line.lower() if line.startswith("links: ") else canonical(line) for line in lines)


def joined(before: str, text: str) -> str:
    """The preamble above the text, which stays alone where there is none."""
    return f"{before}\n{text}" if before else text


def render(document: Document) -> tuple[str, str]:
    """The canonical rendering: preamble and head text, and the tail text ("" when the head holds all)."""
    return joined(preamble(document), canonical(document.text)), canonical(document.tail)
