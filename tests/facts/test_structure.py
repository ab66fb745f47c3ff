"""Facts about MIME structure, charsets, HTML and links."""

from __future__ import annotations

import pytest

from spamfilter.document import extract
from spamfilter.facts.structure import link_facts, text_links
from tests.hostile.mails import HEAD, html, mail, multipart, text_part


def attachment(name: str, content_type: str = "application/octet-stream") -> bytes:
    return f'Content-Type: {content_type}\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\nx'.encode()


@pytest.mark.parametrize(
    ("raw", "present", "absent"),
    [
        pytest.param(HEAD + b"\r\nhello", "text_only charset_missing", "html_only mixed mime_broken", id="plain"),
        pytest.param(html("<p>hello"), "html_only charset_utf8 html_tiny", "text_only charset_missing", id="html"),
        pytest.param(
            multipart(
                text_part("lunch tomorrow with everybody"),
                text_part("<p>lunch tomorrow with everybody", "html"),
                kind="alternative",
            ),
            "alternative",
            "alternative_differs alternative_text_empty html_only",
            id="alternative",
        ),
        pytest.param(
            multipart(
                text_part("lunch tomorrow with everybody"),
                text_part("<p>cheap pills without prescription", "html"),
                kind="alternative",
            ),
            "alternative alternative_differs",
            "alternative_text_empty",
            id="differs",
        ),
        pytest.param(
            multipart(text_part(" "), text_part("<p>cheap pills without prescription", "html"), kind="alternative"),
            "alternative_text_empty",
            "",
            id="empty-alternative",
        ),
        pytest.param(
            multipart(attachment("invoice.pdf.exe")),
            "mixed has_attachment attachment_executable attachment_name_two_types",
            "attachment_document",
            id="exe",
        ),
        pytest.param(multipart(attachment("a.zip")), "attachment_archive", "attachment_executable", id="zip"),
        pytest.param(multipart(attachment("a.docm")), "attachment_document", "attachment_archive", id="docm"),
        pytest.param(multipart(text_part("x"), boundary="----=_NextPart_000"), "boundary_outlook", "", id="outlook"),
        pytest.param(
            multipart(text_part("x"), boundary="--123456"), "boundary_plain_digits", "boundary_odd", id="digits"
        ),
        pytest.param(multipart(text_part("x"), boundary="a$b"), "boundary_odd", "boundary_plain_digits", id="odd"),
        pytest.param(mail("multipart/mixed", b"x"), "mime_broken", "mime_cut", id="broken"),
        pytest.param(
            mail("text/plain", b"eA==", "Content-Transfer-Encoding: base64"),
            "base64_text",
            "quoted_printable_text body_8bit_undeclared",
            id="base64",
        ),
        pytest.param(mail("text/plain", b"\xe9"), "body_8bit_undeclared", "base64_text", id="8bit"),
        pytest.param(mail("text/plain; charset=GB2312", b"x"), "charset_chinese", "charset_western", id="gb2312"),
        pytest.param(mail("text/plain; charset=unknown-8bit", b"x"), "charset_unknown", "", id="unknown-charset"),
        pytest.param(
            html("<img src=http://a.example/x.gif>"), "image_only_text html_images_some", "html_images_many", id="image"
        ),
        pytest.param(
            html("<form action=x><script></script><table></table><font>x<center>"),
            "html_form html_script html_table html_font html_centered",
            "html_iframe html_meta",
            id="tags",
        ),
        pytest.param(html("<p>Vi<!-- a -->ag<!-- b -->ra f<!-- c -->ree"), "html_split_words", "", id="split-words"),
    ],
)
def test_structure(raw: bytes, present: str, absent: str) -> None:
    facts = extract(raw).facts
    assert {name for name in present.split() if not facts[name]} == set()
    assert {name for name in absent.split() if facts[name]} == set()


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        pytest.param([], set(), id="none"),
        pytest.param([("https://www.example.org/", "here")], {"any", "one_host", "host_is_senders"}, id="own"),
        pytest.param(
            [("https://evil.example.net/", "www.example.org")],
            {"any", "one_host", "none_is_senders", "host_differs_from_text"},
            id="false",
        ),
        pytest.param(
            [("https://www.example.org/", "http://example.org")], {"any", "one_host", "host_is_senders"}, id="same"
        ),
        pytest.param(
            [("http://192.0.2.1/", "x")],
            {"any", "one_host", "none_is_senders", "host_numeric", "http_only"},
            id="numeric",
        ),
        pytest.param(
            [("https://bit.ly/x", "x")], {"any", "one_host", "none_is_senders", "host_shortener"}, id="shortener"
        ),
        pytest.param([("https://a.top/", "x")], {"any", "one_host", "none_is_senders", "host_cheap"}, id="cheap"),
        pytest.param(
            [("https://example.org@a.example/", "x")],
            {"any", "one_host", "none_is_senders", "userinfo", "holds_address"},
            id="userinfo",
        ),
        pytest.param([("https://a.example:8080/", "x")], {"any", "one_host", "none_is_senders", "port"}, id="port"),
        pytest.param([("mailto:a@b.example", "x")], {"mailto"}, id="mailto"),
        pytest.param([("https://a.example/", "")], {"any", "one_host", "none_is_senders", "text_is_image"}, id="image"),
        pytest.param(
            [(f"https://{c}.example/", "x") for c in "abcdefghijk"],
            {"any", "many", "many_hosts", "none_is_senders"},
            id="many",
        ),
    ],
)
def test_links(links: list[tuple[str, str]], expected: set[str]) -> None:
    found = link_facts(links, "", "example.org")
    assert {name.removeprefix("link_") for name, value in found.items() if value} == expected


def test_links_in_text() -> None:
    assert text_links("see http://a.example/x, (https://b.example) and www.c.example") == [
        "http://a.example/x,",
        "https://b.example",
    ]
    assert len(text_links("http://a.example " * 500)) == 100


@pytest.mark.parametrize(
    ("href", "label", "fact"),
    [
        ("https://login-mail.web.app/x", "Open", "host_free_hosting"),
        ("https://a.example/x#bob@b.example", "Open", "holds_address"),
        ("https://a.b.c.d.evil.example/x", "Open", "host_many_labels"),
        ("https://shop24.example/x", "Open", "host_digits"),
        ("https://xn--pypal-4ve.example/", "Open", "host_punycode"),
        ("https://my-new-good-shop.example/", "Open", "host_hyphens"),
        ("https://paypal.evil.example/", "Open", "claims_brand"),
        ("https://evil.example/", "PayPal", "claims_brand"),
        ("https://evil.example/signin", "Open", "wants_login"),
        ("javascript:alert(1)", "Open", "script_or_data"),
        ("https://evil.example/setup.exe", "Open", "file_program"),
        ("https://evil.example/" + "A7b" * 20, "Open", "token_long"),
    ],
)
def test_what_links_give_away(href: str, label: str, fact: str) -> None:
    assert link_facts([(href, label)], "", "example.org")[f"link_{fact}"]
    assert not link_facts([("https://www.paypal.com/", "PayPal")], "", "paypal.com")[f"link_{fact}"]
