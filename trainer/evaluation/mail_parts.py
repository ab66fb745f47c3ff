"""A mail taken apart and put together again, so that an attack may rewrite its texts and nothing else.

All header fields but Content-* and MIME-Version stay byte for byte as they were; parts that are no text stay in place
behind the text.
"""

from __future__ import annotations

import base64
import email
import html as entities
import re
import zlib
from dataclasses import dataclass
from email.message import Message as StdlibMessage

from spamfilter.charsets import codec_for, decode_text
from spamfilter.html_text import visible
from spamfilter.message import body_offset

_FIELD = re.compile(rb"(?:content-[!-9;-~]*|mime-version)[ \t]*:", re.I)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail taken apart: fields that stay, its texts, its other leaves with their own header blocks."""

    fields: tuple[bytes, ...]
    plain: str
    html: str
    others: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """What there is to read: the plain text, or what the page shows."""
        return self.plain if self.plain.strip() else visible(self.html).text

    @property
    def page(self) -> str:
        """The HTML, made from the plain text where there is none."""
        if self.html.strip():
            return self.html
        return f"<html><body><p>{entities.escape(self.plain).replace(chr(10), '<br>' + chr(10))}</p></body></html>"


def take_apart(raw: bytes) -> Mail:
    """Fields, plain text, HTML and other leaves of a mail, as the standard library parses it."""
    plain: list[str] = []
    pages: list[str] = []
    others: list[bytes] = []
    for part in email.message_from_bytes(raw).walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment":
            (pages if kind == "text/html" else plain).append(_decoded(part))
        else:
            others.append(_leaf_as_it_was(part))
    return Mail(_fields(raw), "\n\n".join(plain), "\n".join(pages), tuple(others))


def _decoded(part: StdlibMessage) -> str:
    payload = part.get_payload(decode=True)
    declared = part.get_param("charset")
    charset = declared if isinstance(declared, str) and codec_for(declared) else None
    text = decode_text(payload if isinstance(payload, bytes) else b"", charset)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _leaf_as_it_was(part: StdlibMessage) -> bytes:
    head = "".join(f"{name}: {str(value).strip()}\n" for name, value in part.items() if name.lower().startswith("cont"))
    return head.encode("utf-8", "replace") + b"\n" + str(part.get_payload()).encode("utf-8", "replace")


def _fields(raw: bytes) -> tuple[bytes, ...]:
    fields: list[bytes] = []
    for line in raw[: body_offset(raw)].splitlines(keepends=True):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += line
        elif line.strip():
            fields.append(line if line.endswith((b"\n", b"\r")) else line + b"\n")
    return tuple(field for field in fields if not _FIELD.match(field))


def leaf(
    text: str | bytes, subtype: str = "plain", *, charset: str | None = None, encoding: str | None = None
) -> bytes:
    """A text entity: header block, blank line, encoded body. By default ASCII as it is, else UTF-8 in base64."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    short = max(map(len, data.split(b"\n"))) < 990
    charset = charset or ("us-ascii" if data.isascii() else "utf-8")
    encoding = encoding or ("7bit" if data.isascii() and short and b"\0" not in data else "base64")
    body = data
    if encoding == "base64":
        body = base64.encodebytes(data)
    elif encoding == "quoted-printable":
        body = b"=\n".join(
            b"".join(b"=%02X" % byte for byte in data[at : at + 24]) for at in range(0, max(len(data), 1), 24)
        )
    head = f"Content-Type: text/{subtype}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    return head.encode() + body


def multipart(kind: str, *entities_: bytes) -> bytes:
    """A multipart entity of entities, with a boundary made from them."""
    boundary = b"=_%08x" % zlib.crc32(b"".join(entities_) + kind.encode())
    body = b"".join(b"--" + boundary + b"\n" + entity.rstrip(b"\n") + b"\n" for entity in entities_)
    return b'Content-Type: multipart/%s;\n boundary="%s"\n\n%s--%s--\n' % (kind.encode(), boundary, body, boundary)


def put_together(mail: Mail, entity: bytes) -> bytes:
    """The fields above an entity; the other leaves come behind it in a multipart/mixed."""
    if mail.others:
        entity = multipart("mixed", entity, *mail.others)
    return b"".join(mail.fields) + b"MIME-Version: 1.0\n" + entity


def written(mail: Mail, **how: str) -> bytes:
    """The mail in its own form again: plain, HTML, or both as alternatives; `how` goes to `leaf`."""
    leaves = [leaf(text, kind, **how) for kind, text in (("plain", mail.plain), ("html", mail.html)) if text.strip()]
    return put_together(mail, leaves[0] if len(leaves) == 1 else multipart("alternative", *leaves))
