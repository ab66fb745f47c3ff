"""Documents: the text of a mail in all its forms, its windows, and nothing of what other filters said."""

from __future__ import annotations

import base64
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spamfilter import document as documents
from spamfilter.document import HEAD_CHARACTERS, Document, canonical, extract, preamble, render
from spamfilter.message import Kind
from tests.hostile.mails import HEAD, html, mail, multipart, samples, text_part

pytestmark = pytest.mark.timeout(90)
SAMPLES = samples()
CHINESE = "朱镕基总理 发票优惠 请来电话联系"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(mail("text/plain; charset=gb2312", CHINESE.encode("gbk")), CHINESE, id="gbk-as-gb2312"),
        pytest.param(HEAD + b"\r\n" + CHINESE.encode(), CHINESE, id="utf-8-undeclared"),
        pytest.param(mail("text/plain; charset=ks_c_5601-1987", "똠방각하".encode("cp949")), "똠방각하", id="korean"),
        pytest.param(mail("text/plain; charset=iso-8859-1", b"\x93smart\x94"), "“smart”", id="cp1252-as-latin-1"),
        pytest.param(
            mail(
                "text/plain; charset=us-ascii",
                base64.b64encode(b"hello world").rstrip(b"="),
                "Content-Transfer-Encoding: base64",
            ),
            "hello world",
            id="base64-without-padding",
        ),
        pytest.param(
            mail("text/plain", b"50=% off =\r\nnow=2", "Content-Transfer-Encoding: quoted-printable"),
            "50=% off now=2",
            id="quoted-printable-broken",
        ),
        pytest.param(mail("text/plain", b"<!DOCTYPE html><html><p>Hello <b>you"), "Hello you", id="html-as-plain"),
        pytest.param(
            multipart(text_part("plain"), text_part("<p>a page of its own, long", "html"), kind="alternative"),
            "a page of its own, long",
            id="alternative-shows-the-page",
        ),
        pytest.param(
            multipart(text_part("<p>a page of its own, long", "html"), text_part("plain"), kind="alternative"),
            "a page of its own, long",
            id="alternative-in-reverse",
        ),
        pytest.param(
            multipart(text_part("plain text"), text_part("<p></p>", "html"), kind="alternative"),
            "plain text",
            id="alternative-with-an-empty-page",
        ),
        pytest.param(multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner"), "inner", id="message"),
        pytest.param(b"From x Mon\nSubject: s\n\nbody", "body", id="mbox-line"),
        pytest.param(b"Subject: s\nFrom: a@b.example\n", "", id="header-only"),
        pytest.param(b"\r\nbody only", "body only", id="body-only"),
        pytest.param(b"Subject: s\nTo: a\nno blank line", "no blank line", id="no-blank-line"),
        pytest.param(b"Subject: s\nTo: a\r\n\nmixed\r\nends", "mixed\nends", id="mixed-line-ends"),
        pytest.param(mail("text/plain; name=a.txt", b"shown though named"), "shown though named", id="named-body"),
        pytest.param(
            mail("text/html", b"<p>shown</p>", "Content-Disposition: attachment; filename=a.html"),
            "shown",
            id="body-as-attachment",
        ),
        pytest.param(mail("text/html charset=utf-8", b"<p>shown</p>"), "shown", id="semicolon-missing"),
        pytest.param(
            multipart(text_part("text"), b"Content-Disposition: attachment; filename=a.txt\r\n\r\nnot shown"),
            "text",
            id="attached-text-is-not-body",
        ),
    ],
)
def test_text_survives(raw: bytes, text: str) -> None:
    assert extract(raw).text == text


def test_preamble() -> None:
    document = extract(
        multipart(
            text_part('<p>See <a href="http://Shop.Example.COM/x?y">our shop</a> and http://b.example/z</p>', "html"),
            b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF",
        ).replace(b"Subject: Hello", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    )
    assert document.links == ("shop.example.com", "b.example")
    assert document.attachments == ("application/pdf",)
    assert (document.sender_name, document.sender_domain, document.subject) == ("Ann", "example.org", "Grusse")
    assert preamble(document).splitlines() == [
        "from: ann @example.org",
        "subject: grusse",
        "links: shop.example.com b.example",
        "files: application/pdf",
        "flags: html only",
    ]
    assert render(document) == (preamble(document) + "\nsee our shop and http://b.example", "")


FILLER = "nothing to see in this line, there are many more of its kind\r\n"


@pytest.mark.parametrize("size", [30_000, 70_000, 200_000, 300_000, 330_000, 1_000_000])
@pytest.mark.parametrize("form", ["plain", "base64", "html", "text", "alternative", "two parts", "chinese"])
def test_length_lets_nothing_past(form: str, size: int) -> None:
    """Start and end are read, however long the text between them."""
    filler = FILLER if form != "chinese" else "没有什么可看的，还有很多\r\n"
    text = "startmarker\r\n" + filler * (size // len(filler.encode())) + "endmarker\r\n"
    page = "<html><body><p>" + text.replace("\r\n", "<br>\r\n") + "</body></html>"
    encoded = base64.encodebytes(text.encode())
    raw = {
        "plain": lambda: mail("text/plain", text.encode()),
        "base64": lambda: mail("text/plain; charset=utf-8", encoded, "Content-Transfer-Encoding: base64"),
        "chinese": lambda: mail("text/plain; charset=utf-8", encoded, "Content-Transfer-Encoding: base64"),
        "html": lambda: html(page),
        "text": text.encode,
        "alternative": lambda: multipart(text_part("short"), text_part(page, "html"), kind="alternative"),
        "two parts": lambda: multipart(text_part(text.replace("endmarker", "")), text_part("endmarker")),
    }[form]()
    document = extract(raw, Kind.TEXT if form == "text" else Kind.MAIL)
    head, tail = render(document)
    assert "startmarker" in head
    assert "endmarker" in (tail or head)
    assert len(document.text) < HEAD_CHARACTERS or len(document.tail) > 200
    assert "\ufffd" not in document.text + document.tail


@pytest.mark.parametrize("blank", ["\n", " \n", " ", "\t\r\n", "\u200b", "\xa0\n", "\u2060 "])
@pytest.mark.parametrize("size", [100_000, 240_000, 500_000])
def test_blanks_push_no_text_out_of_the_windows(blank: str, size: int) -> None:
    padding = blank * (size // len(blank.encode()))
    for text in (f"{padding}themarker", f"themarker{padding}", f"<p>{padding}themarker{padding}</p>"):
        document = extract(mail(f"text/{'html' if '<p>' in text else 'plain'}; charset=utf-8", text.encode()))
        if size < 262_144 or "<p>" not in text:
            assert "themarker" in document.text + document.tail
    document = extract(f"{padding}themarker".encode(), Kind.TEXT)
    assert "themarker" in document.text + document.tail


@pytest.mark.parametrize(
    "spelling", ["base64", "BASE64 ", '"base64"', "base64;", "base64 (really)", "(so) base64", "\t Base64"]
)
def test_spellings_of_a_transfer_encoding(spelling: str) -> None:
    raw = mail("text/plain", base64.b64encode(b"buy now, it is cheap"), f"Content-Transfer-Encoding: {spelling}")
    assert extract(raw).text == "buy now, it is cheap"


def test_a_short_text_has_no_tail() -> None:
    assert extract(mail("text/plain", FILLER.encode() * 100)).tail == ""


def test_hidden_text_is_not_read() -> None:
    document = extract(
        html(f"<div style='display:none'>{'weather and gardening ' * 20}</div><p>Buy our pills today!</p>")
    )
    assert document.text == "Buy our pills today!"
    assert "hidden text" in document.flags and document.facts["html_hidden_much"]


def test_false_links_are_flagged() -> None:
    document = extract(html('<p><a href="http://192.0.2.7/x">www.bank.example</a> <a href="http://a.example">here</a>'))
    assert {"false link", "numeric link"} <= set(document.flags)


@pytest.mark.parametrize(
    ("value", "name", "domain"),
    [
        ("Ann <ann@Example.ORG>", "Ann", "example.org"),
        ('"Bank Support" <x@evil.example>', "Bank Support", "evil.example"),
        ('"service@bank.example" <x@evil.example>', "service@bank.example", "evil.example"),
        ("service@bank.example <x@evil.example>", "service@bank.example", "evil.example"),
        ("=?utf-8?q?service=40bank.example?= <x@evil.example>", "service@bank.example", "evil.example"),
        ("ann@example.org", "", "example.org"),
        ("<ann@example.org>", "", "example.org"),
        ("nobody", "", ""),
    ],
)
def test_sender(value: str, name: str, domain: str) -> None:
    document = extract(f"From: {value}\r\nSubject: x\r\n\r\nbody".encode())
    assert (document.sender_name, document.sender_domain) == (name, domain)


VERDICTS = st.lists(
    st.sampled_from(
        [
            b"X-Spam-Flag: YES",
            b"X-Spam-Status: Yes, score=12.3 required=5.0\r\n\ttests=VIAGRA autolearn=no",
            b"X-Spam: Yes",
            b"X-Spam-Level: *****",
            b"x-spam-report:\r\n *  1.0 VIAGRA found\r\n *  2.0 MORE",
            b"X-Spamd-Result: default: True [9.0 / 5.0]",
            b"X-Spamd-Bar: ++++",
            b"X-Rspamd-Action: add header",
            b"X-Rspamd-Server: mx",
            b"X-Rspamd-Queue-Id: 123",
            b"XStatus: spam",
            b"X-Spam-Checker-Version: 3.4",
        ]
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), VERDICTS, st.integers(0, 30))
def test_verdicts_of_other_filters_change_nothing(name: str, verdicts: list[bytes], place: int) -> None:
    raw = SAMPLES[name].replace(b"\r\n", b"\n")
    starts = [match.start() for match in re.finditer(rb"^[!-9;-~]+:", raw[: raw.find(b"\n\n")], re.M)]
    at = starts[min(place, len(starts) - 1)]
    tagged = raw[:at] + b"".join(line.replace(b"\r\n", b"\n") + b"\n" for line in verdicts) + raw[at:]
    assert extract(tagged) == extract(raw)


@pytest.mark.parametrize("name", sorted(SAMPLES))
@pytest.mark.parametrize(
    "tag", ["[SPAM]", "***SPAM***", "*****SPAM*****", "{Spam?}", "[Possible SPAM]", "[SPAM:12.3]", "(spam)", "[Bulk]"]
)
def test_subject_tags_of_other_filters_change_nothing(name: str, tag: str) -> None:
    raw = SAMPLES[name].replace(b"\r\n", b"\n")
    tagged = re.sub(rb"^(Subject:) ?", rb"\1 " + tag.encode() + b" ", raw, count=1, flags=re.M)
    assert tagged != raw
    assert extract(tagged) == extract(raw)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_report_of_spamassassin_is_not_read(name: str) -> None:
    """`report_safe 1` puts the mail into a wrapper with a report; what is read is the mail in it."""
    raw = SAMPLES[name].replace(b"\r\n", b"\n")
    report = (
        b'Content-Type: text/plain; charset=iso-8859-1\n\nSpam detection software, running on the system "mx",\n'
        b"has identified this incoming email as possible spam.\n\nContent analysis details: (12.3 points)\n"
    )
    original = (
        b"Content-Type: message/rfc822; x-spam-type=original\nContent-Description: before SpamAssassin\n"
        b"Content-Disposition: attachment\n\n"
    )
    head = re.sub(rb"(?im)^(content-|mime-).*\n(?:[ \t].*\n)*", b"", raw[: raw.find(b"\n\n") + 1])
    wrapped = (
        head
        + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="----------=_WRAP"\n\n------------=_WRAP\n'
        + report
        + b"\n------------=_WRAP\n"
        + original
        + raw
        + b"\n------------=_WRAP--\n"
    )
    plain, unwrapped = extract(raw), extract(wrapped)
    for field in ("text", "tail", "subject", "sender_name", "sender_domain", "links"):
        assert getattr(unwrapped, field) == getattr(plain, field)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello  World", "hello world"),
        ("see http://User@Shop.example.com/a/b?c=d now", "see http://shop.example.com now"),
        ("WWW.Example.com/x", "http://www.example.com"),
        ("http: / / spaced.example/x", "http://spaced.example"),
        ("write to ann.b@example.org!", "write to @example.org!"),
        ("x@y.com?subject=foo@bar.com", "@y.com@bar.com"),
        ("no address @ all, a@b", "no address @ all, a@b"),
        ("-----------", "---"),
        ("a" * 100, "a" * 20),
        ("well , said . don ' t", "well, said. don't"),
        ("a \n b\n\n c", "a b\n c"),
        ("", ""),
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "-",
        "=",
        "@",
        ".",
        "<",
        ": / / ",
        "a@",
        "a.",
        "\n",
        " \n",
        "\t",
        "' ",
        "a'",
        "www.",
        "http://",
        "@a.",
        "\r",
    ],
)
def test_canonical_takes_one_pass(unit: str) -> None:
    assert isinstance(canonical("x" + unit * (400_000 // len(unit)) + "!"), str)


def test_unknown_is_not_absent() -> None:
    sms, bare = extract(b"hi there", Kind.TEXT), extract(b"Subject: x\n\nhi")
    assert "from_missing" not in sms.facts and "html_only" not in sms.facts and "text_empty" in sms.facts
    assert not bare.has_headers and "html_only" not in bare.facts
    whole = extract(SAMPLES["ham-reply.eml"])
    assert whole.has_headers and {"html_only", "from_missing", "text_empty"} <= set(whole.facts)


@pytest.mark.corpus
def test_real_mail(corpus_dir: Path) -> None:
    """Nothing is empty unless the mail is, and no mail takes the way of last resort."""
    empty: list[str] = []
    count = 0
    with tarfile.open(corpus_dir / "spamassassin.tar.xz", "r:xz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            raw = stream.read()
            document = extract(raw)
            count += 1
            assert isinstance(document, Document)
            if "broken" in document.flags:
                assert document.facts.get("mime_broken"), f"{member.name}: the way of last resort"
            if not document.text:
                body = raw.partition(b"\n\n")[2]
                words = re.sub(rb"<[^>]*>|[^A-Za-z]+", b" ", body).split()
                if len(words) > 20 and b"image/" not in body and b"application/" not in body:
                    empty.append(member.name)
            if count == 250:
                break
    assert count == 250
    assert not empty


@given(st.text(alphabet="\n\n .,'sab", max_size=40))
def test_plain_lines_are_joined_as_odd_ones(text: str) -> None:
    plain = re.sub("  +", " ", text).strip()
    assert documents._joined_lines(plain) == documents._joined_odd_lines(plain)


@given(st.lists(st.sampled_from(["a", " ", "x" * 30, "y" * 19, "x" * 50, "\n", "@"]), max_size=12).map("".join))
def test_long_runs_are_cut(text: str) -> None:
    assert documents._without_long_runs(text) == re.sub(r"(\S{20})\S{30,}", r"\1", text)


@given(st.lists(st.sampled_from([*"a _ @ . < , - é".split(" "), "b.cd", " ", "@x.org"]), max_size=20).map("".join))
def test_addresses_are_cut_to_their_domains(text: str) -> None:
    address = re.compile(r"[^\s<>\"'(),:;@]+(?:@([a-z0-9.\-]+\.[a-z]{2,}))?", re.I)
    assert documents._without_users(text) == address.sub(lambda m: "@" + m.group(1) if m.group(1) else m.group(), text)
