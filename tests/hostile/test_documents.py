"""No bytes make the extraction raise, hang or lose the text that a reader would see.

Boundedness is left to the time-out of each test: what is bounded takes a second, what is not takes minutes.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spamfilter import facts
from spamfilter.document import HEAD_CHARACTERS, TAIL_CHARACTERS, Document, extract, render
from spamfilter.message import Kind
from tests.hostile import mails

pytestmark = pytest.mark.timeout(90)
SAMPLES = mails.samples()
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(raw: bytes, kind: Kind = Kind.MAIL) -> Document:
    """Extract and render; whatever came in, the document keeps its bounds and names known facts only."""
    document = extract(raw, kind)
    head, tail = render(document)
    assert isinstance(head, str) and isinstance(tail, str)
    assert len(document.text) <= HEAD_CHARACTERS
    assert len(document.tail) <= TAIL_CHARACTERS
    assert len(document.subject) <= 300 and len(document.sender_name) <= 80 and len(document.sender_domain) <= 100
    assert len(document.links) <= 12 and len(document.attachments) <= 8
    assert set(document.facts) <= set(facts.NAMES)
    assert all(isinstance(value, bool) for value in document.facts.values())
    return document


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", mails.MAILS)
def test_hostile_mail_gives_a_document(name: str, kind: Kind) -> None:
    check(mails.MAILS[name](), kind)


@pytest.mark.parametrize("name", mails.HUGE)
def test_60_mb_give_a_document(name: str) -> None:
    check(mails.HUGE[name]())


def test_1000_files_of_random_bytes() -> None:
    for seed in range(1000):
        raw = mails.garbage(seed, 1200)
        check(raw)
        if seed % 10 == 0:
            check(raw, Kind.TEXT)


@quick
@given(st.binary(max_size=400), st.sampled_from(Kind))
def test_any_bytes(raw: bytes, kind: Kind) -> None:
    check(raw, kind)


@quick
@given(st.data())
def test_mutated_samples(data: st.DataObject) -> None:
    raw = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 60))] = data.draw(
            st.one_of(st.binary(max_size=20), st.sampled_from([b"\r\n\r\n", b"\n", b"--", b"\0", b'"', b"=?", b"<!--"]))
        )
    check(bytes(raw))


@pytest.mark.parametrize("name", ["ham-newsletter.eml", "spam-hidden-text.eml", "ham-invitation.eml"])
def test_truncated_anywhere(name: str) -> None:
    for raw in mails.truncations(SAMPLES[name], 37):
        check(raw)


def test_a_dropped_close_delimiter_loses_nothing() -> None:
    whole = mails.multipart(mails.text_part("the first part"), mails.text_part("the second part"))
    document = check(whole.replace(b"--b--", b""))
    assert "the first part" in document.text and "the second part" in document.text
    assert "broken" in document.flags


@pytest.mark.parametrize(
    "name",
    [
        "boundary-empty", "boundary-missing", "boundary-of-3000", "boundary-never-used", "boundary-not-closed",
    ],
)  # fmt: skip
def test_text_survives_broken_boundaries(name: str) -> None:
    assert "text" in check(mails.MAILS[name]()).text


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 10, 30])
def test_text_survives_any_depth_of_multiparts(depth: int) -> None:
    document = check(mails.nested(depth))
    # beyond the depth that is walked, the rest is read as it stands, as far as the windows reach
    assert "the innermost text" in document.text + document.tail


@pytest.mark.parametrize("depth", [1, 8, 9, 100])
def test_text_survives_any_depth_of_messages(depth: int) -> None:
    assert "the innermost text" in check(mails.nested_messages(depth)).text


def test_equal_inner_and_outer_boundaries() -> None:
    assert "the innermost text" in check(mails.nested(3, same_boundary=True)).text


def test_many_parts_are_cut_and_said_so() -> None:
    document = check(mails.many_parts(20_000))
    assert document.facts["mime_cut"]
    assert document.text.startswith("part 0")


def test_a_wall_of_fields_hides_neither_subject_nor_encoding() -> None:
    raw = b"X-A: b\r\n" * 5000 + mails.HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nYnV5IG5vdyE=\r\n"
    document = check(raw)
    assert (document.subject, document.sender_domain, document.text) == ("Hello", "example.org", "buy now!")


def test_many_recipients_are_many() -> None:
    document = check(mails.many_recipients(50_000))
    assert document.facts["to_many"]
    assert document.sender_domain == "example.org"


def test_a_huge_attachment_does_not_hide_the_text() -> None:
    document = check(mails.big_attachment(8_000_000))
    assert document.text == "the text before the attachment"
    assert document.attachments == ("application/zip",)
