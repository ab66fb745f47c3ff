"""MIME: fields, parameters, encoded words, transfer encodings and the walk over the parts."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.mime import LIMITS, Limits, Walk, body_start, decode_words, parse_headers, parse_parameters, walk
from tests.hostile import mails


def leaves(raw: bytes, limits: Limits = LIMITS) -> tuple[list[tuple[str, bytes]], Walk]:
    """Content type and decoded bytes of each leaf, and what the walk saw."""
    seen = Walk()
    return [(part.content_type, b"".join(part.content(limits))) for part in walk(raw, seen, limits)], seen


def content(body: bytes, encoding: str) -> bytes:
    """The decoded bytes of a mail of one part."""
    [(_, data)], _ = leaves(mails.mail("text/plain", body, f"Content-Transfer-Encoding: {encoding}"))
    return data


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        pytest.param(b"A: b\r\nC: d\r\n\r\n", [("a", b"b"), ("c", b"d")], id="crlf"),
        pytest.param(b"A: b\nC: d\r\n\n", [("a", b"b"), ("c", b"d")], id="mixed-line-ends"),
        pytest.param(b"A: b\r\n  c\r\n\td\r\n", [("a", b"b c d")], id="folded"),
        pytest.param(b"A : b\r\n", [("a", b"b")], id="space-before-colon"),
        pytest.param(b"A:b\r\n", [("a", b"b")], id="no-space"),
        pytest.param(b"From x Mon\nA: b\n", [("a", b"b")], id="mbox-line"),
        pytest.param(b"A: b\nno field\nC: d\n", [("a", b"b"), ("c", b"d")], id="line-that-is-no-field"),
        pytest.param(b" folded first\nA: b\n", [("a", b"b")], id="folded-first"),
        pytest.param(b"A: b", [("a", b"b")], id="no-newline"),
        pytest.param(b"A:\r\n", [("a", b"")], id="empty-value"),
        pytest.param(b"\xc3\xa9: x\r\nA: \xff\0\r\n", [("a", b"\xff\0")], id="8-bit"),
        pytest.param(b"A: 1\nA: 2\n", [("a", b"1"), ("a", b"2")], id="repeated"),
    ],
)
def test_fields(head: bytes, fields: list[tuple[str, bytes]]) -> None:
    assert list(parse_headers(head).fields) == fields


def test_field_limits() -> None:
    limits = Limits(header_fields=3, field_bytes=10)
    parsed = parse_headers(b"X-A: 1\n" * 9 + b"Subject: s\nSubject: t\nX-Long: " + b"a" * 99 + b"\n", limits)
    assert parsed.truncated
    assert [name for name, _ in parsed.fields] == ["x-a", "x-a", "x-a", "subject"]
    assert parsed.first("subject") == b"s"
    assert parse_headers(b"A: " + b"a" * 99, limits).first("a") == b"a" * 7
    assert not parse_headers(b"X-A: 1\n" * 3, limits).truncated


@pytest.mark.parametrize(
    ("value", "main", "parameters"),
    [
        pytest.param(b'Text/HTML; charset="utf-8"', "text/html", {"charset": "utf-8"}, id="quoted"),
        pytest.param(
            b"text/plain;charset=utf-8;format=flowed",
            "text/plain",
            {"charset": "utf-8", "format": "flowed"},
            id="dense",
        ),
        pytest.param(b'a/b; name="a\\"b;c.txt"', "a/b", {"name": 'a"b;c.txt'}, id="escaped-quote"),
        pytest.param(b'a/b; name="unclosed', "a/b", {"name": "unclosed"}, id="unclosed-quote"),
        pytest.param(b"a/b; filename*=utf-8''%e2%82%ac.txt", "a/b", {"filename": "€.txt"}, id="rfc2231"),
        pytest.param(
            b"a/b; filename*0*=utf-8'de'%c3%9c; filename*1=ber; filename*2*=.e%78e",
            "a/b",
            {"filename": "Über.exe"},
            id="rfc2231-pieces",
        ),
        pytest.param(b"a/b; name*1=b; name*0=a", "a/b", {"name": "ab"}, id="rfc2231-order"),
        pytest.param(b"a/b; name*0*=a'b; name*x=1; name*99999=2", "a/b", {"name": "2"}, id="rfc2231-nonsense"),
        pytest.param(b"a/b; =x; ;; y", "a/b", {}, id="nonsense"),
        pytest.param(b"text/html charset=utf-8", "text/html", {}, id="semicolon-missing"),
        pytest.param(b"text/plain (a comment)", "text/plain", {}, id="comment"),
        pytest.param(b"", "", {}, id="empty"),
        pytest.param(None, "", {}, id="absent"),
    ],
)
def test_parameters(value: bytes | None, main: str, parameters: dict[str, str]) -> None:
    assert parse_parameters(value) == (main, parameters)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
        (b"=?UTF-8?B?Y2Fmw6k=?=", "café"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\t =?utf-8?b?Yg==?= c", "ab c"),
        (b"=?gb2312?B?1uzpRg==?=", "朱镕"),
        (b"=?utf-8*en?q?caf=C3=A9?=", "café"),
        (b"=?utf-8?q?with blanks inside?=", "with blanks inside"),
        (b"=?no-such?q?caf=C3=A9?=", "café"),
        (b"=?idna?q?xn--?=", "xn--"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?b?Y2Fmw6k?=", "café"),
        (b"=?utf-8?b?!!!?=", ""),
        (b"=?utf-8?q??=", ""),
        (b"=?", "=?"),
        ("Größe".encode(), "Größe"),
        (b"Gr\xf6\xdfe aus Berlin", "Größe aus Berlin"),
    ],
)
def test_encoded_words(value: bytes, text: str) -> None:
    assert decode_words(value) == text


@given(st.one_of(st.binary(max_size=100), st.text("=?utf-8bBqQ_ a\x00é'*%", max_size=60).map(str.encode)))
def test_fields_never_raise(value: bytes) -> None:
    assert isinstance(decode_words(value), str)
    parse_parameters(value)
    parse_headers(value)


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        pytest.param(base64.encodebytes(b"hello world"), "base64", b"hello world", id="base64"),
        pytest.param(b"aGVsbG8gd29ybGQ", "BASE64 ", b"hello world", id="padding-missing"),
        pytest.param(b"aGVs!bG8g\0d29y\xffbGQ=\r\n", "base64", b"hello world", id="stray-characters"),
        pytest.param(b"aGVsbG8gd29ybGQ=Z", "base64", b"hello world", id="one-letter-left"),
        pytest.param(b"aGVsbG8=\r\nIHdvcmxk\r\n", "base64", b"hello world", id="padding-in-the-middle"),
        pytest.param(b"", "base64", b"", id="empty"),
        pytest.param(b"hello=20w=6Frld=\r\n!", "quoted-printable", b"hello world!", id="quoted-printable"),
        pytest.param(b"50=% =ZZ =4", "quoted-printable", b"50=% =ZZ =4", id="quoted-printable-broken"),
        pytest.param(
            b"begin 644 a\r\n#8V%T\r\n`\r\nend\r\n",
            "x-uuencode",
            b"begin 644 a\r\n#8V%T\r\n`\r\nend\r\n",
            id="uuencode",
        ),
        pytest.param(b"as it is", "no-such-encoding", b"as it is", id="unknown"),
    ],
)
def test_transfer_encodings(body: bytes, encoding: str, expected: bytes) -> None:
    assert content(body, encoding) == expected


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize("shift", range(4))
def test_both_windows_of_a_long_part(encoding: str, shift: int) -> None:
    line = "Größenwahn und Übermut tun selten gut, 你好.\n"
    text = ("x" * shift + "first " + line * 2000 + "last").encode()
    encoders = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring, "8bit": bytes}
    limits = Limits(head_bytes=5000, tail_bytes=3001)
    raw = mails.mail("text/plain", encoders[encoding](text), f"Content-Transfer-Encoding: {encoding}")
    [part] = walk(raw, Walk(), limits)
    head, tail = part.content(limits)
    assert text.startswith(head[:-4]) and len(head) > 1000
    assert text.endswith(tail) and len(tail) > 500
    tail.decode("utf-8")


def test_the_tail_of_one_long_line_starts_at_a_whole_character() -> None:
    text = ("你好" * 4000).encode()
    for tail_bytes in range(1000, 1003):
        limits = Limits(head_bytes=2000, tail_bytes=tail_bytes)
        [part] = walk(mails.mail("text/plain", text), Walk(), limits)
        part.content(limits)[1].decode("utf-8")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            mails.multipart(mails.text_part("a"), mails.text_part("<p>b", "html"), kind="alternative"),
            [("text/plain", b"a"), ("text/html", b"<p>b")],
            id="alternative",
        ),
        pytest.param(b"Subject: x\r\n\r\nbody", [("text/plain", b"body")], id="no-content-type"),
        pytest.param(b"From a@b Mon\nSubject: x\n\nbody", [("text/plain", b"body")], id="mbox-line"),
        pytest.param(b"\r\nbody", [("text/plain", b"body")], id="body-only"),
        pytest.param(
            b"just text\r\n\r\nand more", [("text/plain", b"just text\r\n\r\nand more")], id="no-header-at-all"
        ),
        pytest.param(
            b"Subject: x\nTo: y\nno blank line\nhere", [("text/plain", b"no blank line\nhere")], id="no-blank-line"
        ),
        pytest.param(b"Subject: x\n folded\n", [("text/plain", b"")], id="header-only"),
        pytest.param(
            mails.multipart(b"no header\r\n\r\nin the part"),
            [("text/plain", b"no header\r\n\r\nin the part")],
            id="part-without-header",
        ),
        pytest.param(
            mails.multipart(b"\r\nempty header"), [("text/plain", b"empty header")], id="part-with-empty-header"
        ),
        pytest.param(
            mails.multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner"),
            [("text/plain", b"inner")],
            id="message",
        ),
        pytest.param(
            mails.multipart(
                b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + base64.encodebytes(b"Subject: in\r\n\r\ninner")
            ),
            [("text/plain", b"inner")],
            id="encoded-message",
        ),
        pytest.param(
            mails.multipart(b"\r\nSubject: in\r\n\r\ninner", kind="digest"), [("text/plain", b"inner")], id="digest"
        ),
        pytest.param(
            mails.multipart(mails.text_part("a"), boundary="b c='?"), [("text/plain", b"a")], id="odd-boundary"
        ),
        pytest.param(mails.multipart(mails.text_part("a"), close=False), [("text/plain", b"a\r\n")], id="not-closed"),
        pytest.param(
            mails.mail("multipart/mixed; boundary=b", b"--b  \t\r\n\r\na\r\n--b-- \r\nepilogue"),
            [("text/plain", b"a")],
            id="trailing-blanks",
        ),
        pytest.param(
            mails.mail("multipart/mixed; boundary=b", b"--b\n\na\n--bb\n--b--"),
            [("text/plain", b"a\n--bb")],
            id="longer-boundary-inside",
        ),
        pytest.param(
            mails.mail("multipart/mixed; boundary=b", b"x--b\r\n--b\r\n--b--"), [("text/plain", b"")], id="empty-part"
        ),
        pytest.param(mails.mail("multipart/mixed", b"body"), [("text/plain", b"body")], id="no-boundary"),
    ],
)
def test_walk(raw: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert leaves(raw)[0] == expected


def test_broken_and_cut_are_said() -> None:
    assert not leaves(mails.multipart(mails.text_part("a")))[1].broken
    assert leaves(mails.multipart(mails.text_part("a"), close=False))[1].broken
    assert leaves(mails.mail("multipart/mixed", b"body"))[1].broken
    parts, seen = leaves(mails.many_parts(30), Limits(parts=10))
    assert len(parts) == 10 and seen.cut and not seen.broken
    assert leaves(mails.nested(9))[1].cut and not leaves(mails.nested(8))[1].cut


def test_leaves_come_in_reading_order() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\n1\r\n--i\r\n\r\n2\r\n--i--\r\n"
    assert [data for _, data in leaves(mails.multipart(inner, mails.text_part("3")))[0]] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("fields", "attachment", "name"),
    [
        ("Content-Disposition: attachment; filename=a.exe", True, "a.exe"),
        ("Content-Disposition: ATTACHMENT", True, ""),
        ("Content-Disposition: inline; filename=a.txt", False, "a.txt"),
        ("Content-Disposition: attachment; filename*=utf-8''%E2%82%AC.txt", True, "€.txt"),
        ('Content-Disposition: attachment; filename="=?utf-8?b?w7wuZXhl?="', True, "ü.exe"),
        ("X: y", False, ""),
    ],
)
def test_attachments(fields: str, attachment: bool, name: str) -> None:
    [part] = walk(mails.mail("text/plain", b"x", fields), Walk())
    assert (part.is_attachment, part.filename) == (attachment, name)


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        (b"", 0),
        (b"A: b\n\nc", 6),
        (b"no field\n\nc", 0),
        (b"A: b\nno field\n", 5),
        (b"A: b\n", 5),
        (b"From x\nA: b\n\nc", 13),
    ],
)
def test_body_start(raw: bytes, start: int) -> None:
    assert body_start(raw) == start
