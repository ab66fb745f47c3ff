"""Malformed and hostile mail, made on demand: whoever reads mail must answer each of these, in bounded time and memory.

`MAILS` holds small ones (below 6 MB) by name, `HUGE` those of 60 MB; each value makes the bytes anew. The rest are
generators with a size, for tests that need their own.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "messages"
HEAD = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nDate: Mon, 2 Jun 2025 10:00:00 +0000\r\nSubject: Hello\r\n"
)


def samples() -> dict[str, bytes]:
    """The shipped example mails, by file name."""
    return {path.name: path.read_bytes() for path in sorted(EXAMPLES.glob("*.eml"))}


def mail(content_type: str, body: bytes, *more: str) -> bytes:
    """A mail with one Content-Type, further fields, and a body."""
    lines = "".join(f"{line}\r\n" for line in (f"Content-Type: {content_type}", *more))
    return HEAD + b"MIME-Version: 1.0\r\n" + lines.encode("utf-8", "surrogateescape") + b"\r\n" + body


def multipart(*parts: bytes, boundary: str = "b", kind: str = "mixed", close: bool = True) -> bytes:
    """A multipart of parts that are given with their own header block and blank line."""
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return mail(
        f'multipart/{kind}; boundary="{boundary}"', body + (b"--%s--\r\n" % boundary.encode() if close else b"")
    )


def text_part(text: str, subtype: str = "plain") -> bytes:
    """A text part in UTF-8."""
    return f"Content-Type: text/{subtype}; charset=utf-8\r\n\r\n{text}".encode()


def html(markup: str) -> bytes:
    """A mail that is one HTML part."""
    return mail("text/html; charset=utf-8", markup.encode())


def many_parts(count: int) -> bytes:
    """A multipart of `count` small parts."""
    return multipart(*(text_part(f"part {number}") for number in range(count)))


def many_recipients(count: int) -> bytes:
    """One folded To: field with `count` addresses."""
    addresses = ",\r\n ".join(f"user{number}@example.net" for number in range(count))
    return b"To: " + addresses.encode() + b"\r\n" + HEAD.replace(b"To: bob@example.net\r\n", b"") + b"\r\nbody\r\n"


def nested(depth: int, *, same_boundary: bool = False) -> bytes:
    """`depth` multiparts inside each other, a text in the innermost."""
    opening, closing = [], []
    for level in range(depth):
        boundary = "b" if same_boundary else f"b{level}x"
        opening.append(f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n")
        closing.append(f"\r\n--{boundary}--\r\n")
    return HEAD + "".join([*opening, "\r\nthe innermost text", *reversed(closing)]).encode()


def nested_messages(depth: int) -> bytes:
    """Messages inside messages."""
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: inner\r\n\r\nthe innermost text\r\n"


def big_attachment(size: int) -> bytes:
    """A short text and one base64 attachment of about `size` encoded bytes."""
    line = base64.b64encode(bytes(range(54))) + b"\r\n"
    attachment = (
        b'Content-Type: application/zip; name="big.zip"\r\nContent-Transfer-Encoding: base64\r\n'
        b"Content-Disposition: attachment\r\n\r\n" + line * (size // len(line))
    )
    return multipart(text_part("the text before the attachment"), attachment)


def big_text(size: int) -> bytes:
    """A plain text of about `size` bytes with a marker at either end."""
    line = b"nothing to see in this line, there are many more of its kind\r\n"
    return mail("text/plain; charset=utf-8", b"first-marker\r\n" + line * (size // len(line)) + b"last-marker\r\n")


def garbage(seed: int, most: int = 4096) -> bytes:
    """Random bytes, half of the time behind something that looks like a header block."""
    chance = random.Random(seed)
    noise = chance.randbytes(chance.randrange(most))
    start = (b"", b"Subject: x\r\n\r\n", b"Content-Type: multipart/mixed; boundary=", b"From a@b\n", HEAD)
    return chance.choice(start) + noise if seed % 2 else noise


def truncations(raw: bytes, step: int) -> Iterator[bytes]:
    """`raw` cut at every `step`th offset."""
    return (raw[:offset] for offset in range(0, len(raw), step))


MAILS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "one-nul": lambda: b"\0",
    "blank-lines-only": lambda: b"\r\n" * 1000,
    "header-only": lambda: HEAD,
    "header-without-newline": lambda: b"Subject: x",
    "body-only": lambda: b"\r\nthe body of a mail without a header",
    "nul-bytes": lambda: HEAD + b"X-\0: \0\r\n\r\nnul\0nul\0" * 100,
    "lone-cr": lambda: b"Subject: x\rFrom: a@b.example\r\rbody\r",
    "bare-lf": lambda: HEAD.replace(b"\r\n", b"\n") + b"\nbody\n.\n",
    "mixed-line-ends": lambda: b"Subject: a\nFrom: a@b.example\r\nTo: c@d.example\n\r\nbody\r\nbody\n",
    "field-of-2-mb": lambda: HEAD + b"X-Long: " + b"a" * 2_000_000 + b"\r\n\r\nbody",
    "folded-field-of-2-mb": lambda: HEAD + b"X-Long: a" + b"\r\n a" * 500_000 + b"\r\n\r\nbody",
    "subject-of-2-mb": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 150_000 + b"\r\n\r\nbody",
    "fields-100000": lambda: HEAD + b"X-A: b\r\n" * 100_000 + b"\r\nbody",
    "from-fields-100000": lambda: b"From: b\r\n" * 100_000 + b"\r\nbody",
    "lines-without-colon": lambda: b"Subject: x\r\n" + b"a\n" * 500_000 + b"\r\nbody",
    "parts-20000": lambda: many_parts(20_000),
    "recipients-50000": lambda: many_recipients(50_000),
    "nested-1000": lambda: nested(1000),
    "nested-1000-same-boundary": lambda: nested(1000, same_boundary=True),
    "nested-messages-1000": lambda: nested_messages(1000),
    "boundary-empty": lambda: mail('multipart/mixed; boundary=""', b"--\r\n\r\ntext\r\n----\r\n"),
    "boundary-missing": lambda: mail("multipart/mixed", b"--b\r\n\r\ntext\r\n--b--\r\n"),
    "boundary-of-3000": lambda: multipart(text_part("text"), boundary="b" * 3000),
    "boundary-never-used": lambda: mail("multipart/mixed; boundary=zzz", b"--b\r\n\r\ntext\r\n--b--\r\n"),
    "boundary-not-closed": lambda: multipart(text_part("text"), close=False),
    "boundary-like-lines": lambda: mail("multipart/mixed; boundary=a", b"--ax\r\n" * 300_000 + b"--a\r\n\r\ntext"),
    "boundary-in-lines": lambda: mail("multipart/mixed; boundary=a", b"x--a" * 500_000 + b"\r\n--a\r\n\r\ntext"),
    "closed-at-once": lambda: mail("multipart/mixed; boundary=a", b"--a--\r\n--a\r\n\r\ntext\r\n--a--\r\n"),
    "base64-of-stray-signs": lambda: mail("text/plain", b"=!?" * 100_000, "Content-Transfer-Encoding: base64"),
    "qp-of-equal-signs": lambda: mail("text/plain", b"=" * 400_000, "Content-Transfer-Encoding: quoted-printable"),
    "parameters-many": lambda: mail("text/plain" + ";a*0*=x''%41" * 20_000, b"body"),
    "parameter-unclosed": lambda: mail('text/plain; name="' + "\\" * 5000, b"body"),
    "from-brackets": lambda: b"From: " + b"(" * 8000 + b"\r\nDate: x\r\nTo: " + b"<" * 8000 + b"\r\n\r\nbody",
    "date-absurd": lambda: b"From: a@b.example\r\nDate: 99 Zzz 99999999999999 99:99:99 +9999\r\n\r\nbody",
    "html-divs-20000": lambda: html("<div>" * 20_000 + "text"),
    "html-attributes-100000": lambda: html("<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">text"),
    "html-comment-unclosed": lambda: html("<!--" * 100_000 + "text"),
    "html-style-of-5-mb": lambda: html("<style>" + ".a{color:red}" * 400_000 + "</style><p>text"),
    "html-style-comments": lambda: html(("<style>" + "/*" * 24_000 + "</style>") * 8 + "<p>text"),
    "html-style-media": lambda: html(("<style>" + "@media" * 8_000 + "</style>") * 8 + "<p>text"),
    "html-style-selectors": lambda: html(("<style>" + ("x" * 300 + "{" + "y" * 1001) * 38 + "</style>") * 8),
    "html-tables-deep": lambda: html("<table><tr><td>" * 7_000 + "text"),
    "html-links-unclosed": lambda: html('<a href="http://a.example/">' * 20_000 + "text"),
    "html-open-angles": lambda: html("<" * 400_000),
    "html-svg-titles": lambda: html("<svg>" + "<title><b>" * 8_000 + "text"),
    "html-entities": lambda: html("&amp;" * 80_000 + "&#x110000;&#0;&#xd800;&nosuch;"),
    "html-formatting-misnested": lambda: html("<b><i><p>" * 2_500 + "</b></i></p>" * 2_500),
}
"""By name: every one is answered within a second or two on a slow core."""

for _charset in (
    "idna",
    "unicode_escape",
    "hex",
    "utf-7",
    "utf-16",
    "utf-32",
    "punycode",
    "rot13",
    "uu",
    "bz2",
    "\udce9",
):
    MAILS[f"charset-{_charset!a}"] = lambda charset=_charset: mail(  # type: ignore[misc]
        f"text/plain; charset={charset}", b"+AGE- \\x41 xn--a\xff\xfe text \x1b$B" * 50
    )
for _unit in (
    "a",
    " ",
    "-",
    "*",
    "@",
    ".",
    "<",
    "a@",
    ": / / ",
    "1a",
    "http://",
    "é",
    "аa",
    "a b ",
    "\n ",
    "\u200b",
    "ﷺ",
):
    MAILS[f"run-of-{_unit!a}"] = lambda unit=_unit: mail(  # type: ignore[misc]
        "text/plain; charset=utf-8", (unit * (200_000 // len(unit)) + "é!").encode(), f"Subject: {unit * 4000}!"
    )

HUGE: dict[str, Callable[[], bytes]] = {
    "attachment-of-60-mb": lambda: big_attachment(60_000_000),
    "text-of-60-mb": lambda: big_text(60_000_000),
    "one-line-of-60-mb": lambda: mail("text/plain", b"a" * 60_000_000),
    "header-of-60-mb": lambda: HEAD + b"X-A: b\r\n" * 7_500_000,
    "delimiters-of-60-mb": lambda: mail("multipart/mixed; boundary=a", b"--ax\n" * 12_000_000),
}
