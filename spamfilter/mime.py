"""A bounded walk over MIME parts that never raises and never reads more than it must.

The standard library's parser keeps every part and recurses as deep as the mail says; a hostile mail decides its cost.
Here the caller's `Limits` decide: parts are found with `bytes` searches, so a 50 MB attachment costs a `find`, and only
the windows of text parts are decoded. Source: RFC 2045-2047, 2231, 5322; where mail breaks them, the widest reading.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.header import decode_header
from functools import lru_cache

from spamfilter.charsets import decode_text, whole_characters
from spamfilter.message import body_offset


@dataclass(frozen=True, slots=True)
class Limits:
    """What one mail may cost. Bytes are encoded bytes."""

    header_bytes: int = 2_097_152
    part_header_bytes: int = 65_536
    header_fields: int = 400
    field_bytes: int = 8_192
    parts: int = 64
    depth: int = 8
    head_bytes: int = 262_144
    tail_bytes: int = 65_536


LIMITS = Limits()

_PARAMETER = re.compile(
    r""";\s*([!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+)\s*=\s*(?:"((?:[^"\\]|\\.){0,1000})"?|([^\s;"]{0,1000}))""", re.S
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.S)
_MOST_DELIMITERS = 50_000
"""Lines that begin like a delimiter, looked at in one multipart: each costs a step of Python."""
_ESSENTIAL = frozenset(
    "content-type content-transfer-encoding content-disposition from subject to date message-id received".split()
)
"""Read even behind the most fields: a wall of padding in front must not hide how the body is encoded."""
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_COMMENT = re.compile(rb"\([^()]*\)")
_TOKEN = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIELD_START = re.compile(rb"[ \t\r]*$|[ \t]|[!-9;-~]{1,100}[ \t]*:|>?From ")
# a field, or a line that is none; and the lines behind it that begin with a blank
_FIELD_LINES = re.compile(rb"(?:([!-9;-~]{1,100})([ \t]*:[ \t]*)([^\n]*)|[^\n]*)((?:\n[ \t][^\n]*+)*+)(?:\n|\Z)")
_ENCODED_WORD = re.compile(r"=\?[^?\s]{1,60}\?[bqBQ]\?[^?]{0,2000}\?=")


@dataclass(frozen=True, slots=True)
class Headers:
    """The fields of one header block, in order, names lower-case, values unfolded raw bytes."""

    fields: tuple[tuple[str, bytes], ...]
    truncated: bool = False
    _first: dict[str, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", dict(reversed(self.fields)))

    def first(self, name: str) -> bytes | None:
        """The first value of a field, or None."""
        return self._first.get(name)

    def all(self, name: str) -> list[bytes]:
        """Every value of a field, top first."""
        return [value for key, value in self.fields if key == name] if name in self._first else []

    def text(self, name: str) -> str:
        """The first value with encoded words decoded; "" when absent."""
        value = self._first.get(name)
        return decode_words(value) if value is not None else ""

    def __contains__(self, name: str) -> bool:
        return name in self._first


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the MIME tree. `body` is still transfer-encoded; `content()` decodes its windows."""

    headers: Headers
    content_type: str
    parameters: dict[str, str]
    body: bytes
    depth: int
    encoding: str = ""

    @property
    def filename(self) -> str:
        """The attachment's name, from Content-Disposition or Content-Type; "" when it has none."""
        disposition = self.headers.first("content-disposition")
        named = parse_parameters(disposition)[1] if disposition else {}
        return decode_words((named.get("filename") or self.parameters.get("name") or "").encode("utf-8", "replace"))

    @property
    def is_attachment(self) -> bool:
        """Marked as an attachment, or a named part that is not shown as text."""
        disposition = (self.headers.first("content-disposition") or b"").strip().lower()
        return disposition.startswith(b"attachment") or (bool(self.filename) and not disposition.startswith(b"inline"))

    def content(self, limits: Limits = LIMITS) -> tuple[bytes, bytes]:
        """Decoded bytes of the head window and of the tail window ("" when the head holds all)."""
        body = self.body
        if len(body) > limits.head_bytes:  # blank lines must not push the text out of the windows
            body = body.strip(b" \t\r\n")
        if len(body) <= limits.head_bytes + limits.tail_bytes:
            return _decode(body, self.encoding), b""
        return _decode(body[: limits.head_bytes], self.encoding), _decode_tail(body, limits.tail_bytes, self.encoding)


@dataclass(slots=True)
class Walk:
    """What `walk` met besides the leaves: the header block of the mail, the multiparts, where it was cut or broken."""

    headers: Headers = Headers(())
    cut: bool = False
    multiparts: list[str] = field(default_factory=list)
    boundaries: list[str] = field(default_factory=list)
    broken: bool = False


def parse_headers(head: bytes, limits: Limits = LIMITS) -> Headers:
    """The fields of a header block. Lines that are no field end nothing: they are skipped."""
    truncated = len(head) > limits.header_bytes
    most = limits.field_bytes
    fields: list[tuple[str, bytes]] = []
    missing: frozenset[str] | None = None
    for line in _FIELD_LINES.finditer(head[: limits.header_bytes]):
        key, colon, value, more = line.groups()
        if key is None:
            continue
        if len(key) + len(colon) > most and len(key) + colon.find(b":") >= most:
            continue
        name = key.decode("ascii").lower()
        if len(fields) >= limits.header_fields:
            if not truncated or missing is None:
                truncated, missing = True, _ESSENTIAL.difference(name for name, _ in fields)
            if name not in missing:
                continue
            missing -= {name}
        value = value.rstrip(b"\r")
        if len(key) + len(colon) + len(value) > most:
            value = value[: max(most - len(key) - len(colon), 0)]
        if more:  # which begins with a line feed, and so its first piece is empty
            value = (value + b" ".join(map(bytes.strip, more.split(b"\n"))))[:most]
        fields.append((name, value))
    return Headers(tuple(fields), truncated)


def parse_parameters(value: bytes | None) -> tuple[str, dict[str, str]]:
    """A structured field as its lower-case value and its parameters, RFC 2231 pieces joined."""
    text = decode_text((value or b"")[:4096], None)
    main = text.split(";", 1)[0].strip().lower()
    first = main.split(None, 1)[0] if main else ""
    main = first if "/" in first.strip("/") else main  # a comment or a parameter may follow without its semicolon
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, str]] = {}
    for match in _PARAMETER.finditer(text):
        key = match.group(1).lower()
        content = match.group(2) if match.group(2) is not None else match.group(3)
        content = _QUOTED_PAIR.sub(r"\1", content) if "\\" in content else content
        base, star, rest = key.partition("*")
        if not star:
            found.setdefault(key, content)
            continue
        number = rest.rstrip("*")
        extended = key.endswith("*")
        if extended and number in ("", "0") and content.count("'") >= 2:
            content = content.split("'", 2)[2]
        if extended:
            content = re.sub(r"%([0-9A-Fa-f]{2})", lambda m: chr(int(m.group(1), 16)), content)
        pieces.setdefault(base, {})[int(number) if number.isdigit() and len(number) < 4 else 0] = content
    for base, by_number in pieces.items():
        joined = "".join(by_number[number] for number in sorted(by_number))
        found.setdefault(base, decode_text(joined.encode("latin-1", "replace"), None))
    return main, found


def decode_words(value: bytes) -> str:
    """A header value as text: undeclared bytes guessed, RFC 2047 encoded words decoded. Never raises."""
    text = value.decode("ascii") if value.isascii() else decode_text(value, None)
    if "=?" not in text:
        return text
    text = re.sub(r"(\?=)\s+(=\?)", r"\1\2", text)
    return _ENCODED_WORD.sub(lambda match: _decode_word(match.group()), text)


@lru_cache(maxsize=256)
def _decode_word(word: str) -> str:
    try:
        return "".join(
            decode_text(piece, charset) if isinstance(piece, bytes) else piece for piece, charset in decode_header(word)
        )
    except Exception:  # decode_header raises HeaderParseError, ValueError and binascii.Error on broken words
        return word


def walk(raw: bytes, seen: Walk, limits: Limits = LIMITS) -> Iterator[Part]:
    """The leaves of a mail, in order; `seen` is filled in on the way."""
    # an explicit stack, so that depth costs no recursion; leaves come out in reading order
    stack: list[tuple[bytes, int, str]] = [(raw, 0, "text/plain")]
    leaves = 0
    while stack:
        entity, depth, default_type = stack.pop()
        offset = body_start(entity)
        headers = parse_headers(entity[: min(offset, limits.part_header_bytes) if depth else offset], limits)
        if depth == 0:
            seen.headers = headers
        body = entity[offset:]
        content_type, parameters = parse_parameters(headers.first("content-type"))
        if "/" not in content_type:
            content_type = default_type
        if content_type.startswith("multipart/") and depth < limits.depth:
            seen.multiparts.append(content_type)
            boundary = parameters.get("boundary", "").rstrip()
            seen.boundaries.append(boundary[:200])
            pieces = _split(body, boundary, limits.parts - leaves, seen)
            if pieces:
                inner = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
                stack.extend((piece, depth + 1, inner) for piece in reversed(pieces))
                continue
            seen.broken = True
            content_type = "text/plain"
        encoding = _encoding(headers.first("content-transfer-encoding") or b"")
        if content_type == "message/rfc822" and depth < limits.depth:
            if encoding in ("base64", "quoted-printable"):  # against RFC 2046 5.2.1, and yet it happens
                body = _decode(body[: limits.head_bytes], encoding)
            stack.append((body, depth + 1, "text/plain"))
            continue
        leaves += 1
        if leaves > limits.parts:
            seen.cut = True
            return
        if content_type.startswith("multipart/") or content_type == "message/rfc822":
            seen.cut = True  # too deep to take apart, but not too deep to read
            content_type, encoding = "text/plain", ""
        yield Part(headers, content_type, parameters, body, depth, encoding)


def _encoding(value: bytes) -> str:
    """The transfer encoding's name, of a value that may have quotes, a comment or a semicolon about it."""
    match = _TOKEN.search(_COMMENT.sub(b" ", value[:200]))
    return match.group().decode("ascii").lower() if match else ""


def _split(body: bytes, boundary: str, most: int, seen: Walk) -> list[bytes]:
    """The entities between delimiter lines (RFC 2046 5.1.1); a missing close delimiter is forgiven."""
    if not boundary:
        return []
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    pieces: list[bytes] = []
    start = -1
    at = 0 if body.startswith(delimiter) else _next_delimiter(body, delimiter, 0)
    for _ in range(_MOST_DELIMITERS):
        if at < 0:
            break
        after = at + len(delimiter)
        here, at = at, _next_delimiter(body, delimiter, after)
        line_end = body.find(b"\n", after, after + 200)
        rest = body[after : line_end if line_end >= 0 else min(after + 200, len(body))].rstrip(b" \t\r")
        if rest not in (b"", b"--"):
            continue
        if start >= 0:
            pieces.append(body[start : max(start, here - (2 if body[here - 2 : here] == b"\r\n" else 1))])
            if len(pieces) > most:
                seen.cut = True
                return pieces
        if rest == b"--":
            return pieces
        start = line_end + 1 if line_end >= 0 else len(body)
    if start >= 0:
        seen.broken = True
        pieces.append(body[start:])
    return pieces


def _next_delimiter(body: bytes, delimiter: bytes, position: int) -> int:
    # the line feed may be the last byte that was read
    at = body.find(b"\n" + delimiter, max(position - 1, 0))
    return at + 1 if at >= 0 else -1


def body_start(entity: bytes) -> int:
    """Where the text starts: `body_offset`, unless lines that are no fields stand where the header block should.

    A first line that is no field, or one in an entity without any blank line, begins the body, as in most readers.
    """
    offset = body_offset(entity)
    if offset and not _FIELD_START.match(entity[: entity.find(b"\n") if b"\n" in entity[:65_536] else 65_536]):
        return 0
    if offset < len(entity):
        return offset
    position = 0
    lines = entity[:65_536].split(b"\n")
    for line in lines if len(entity) <= 65_536 else lines[:-1]:
        if not _FIELD_START.match(line):
            return position
        position += len(line) + 1
    return offset


def _decode(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        if 0 < body.rstrip(b"= \t\r\n").count(b"=") < 1000:  # one run after another, each with its own padding
            return b"".join(_decode(run, encoding) for run in re.split(rb"=[=\s]*", body))
        letters = _NOT_BASE64.sub(b"", body)
        try:
            return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _rest(letters))
        except binascii.Error:
            return body
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    return body


def _rest(letters: bytes) -> bytes:
    tail = letters[len(letters) // 4 * 4 :]
    return tail + b"=" * (4 - len(tail)) if len(tail) > 1 else b""


def _decode_tail(body: bytes, size: int, encoding: str) -> bytes:
    tail = body[-size:]
    if encoding == "base64":
        # four letters make three bytes, counted from the front; padding stands at the end only
        letters = _NOT_BASE64.sub(b"", tail)
        padding = len(tail.rstrip()) - len(tail.rstrip().rstrip(b"="))
        return whole_characters(_decode(letters[(len(letters) + padding) % 4 :], encoding))
    line = tail.find(b"\n") + 1
    return _decode(tail[line:] if line else whole_characters(tail), encoding)
