"""Cuttings: what is left reads as a rendered message, and nothing is a word that no model reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier import ngram
from spamfilter.classifier.cuttings import Cuttings
from spamfilter.classifier.disguises import Disguise
from spamfilter.classifier.explanation import SpanKind
from spamfilter.document import Document, preamble, render
from spamfilter.message import Kind

DOCUMENT = Document(
    Kind.MAIL,
    "Hello friend.\n\nGo to http://a.example/x and http://b.example now, or call.",
    tail="the end of it",
    sender_name="Ann Lee",
    sender_domain="a.example",
    subject="Buy now, cheap",
    links=("a.example", "b.example"),
    attachments=("application/zip",),
    flags=("html only", "false link"),
)


def of(document: Document) -> Cuttings:
    return Cuttings(*render(document), preamble(document), {})


def kept(cuttings: Cuttings, *texts: str) -> bytes:
    return bytes(word.text.strip(" ,\n") in texts for word in cuttings.words)


def test_all_is_the_message_and_none_is_nothing() -> None:
    cuttings = of(DOCUMENT)
    assert cuttings.text(cuttings.all) == render(DOCUMENT)
    assert cuttings.text(cuttings.none) == ("", "")


def test_a_line_stands_while_one_of_its_words_does() -> None:
    cuttings = of(DOCUMENT)
    some = kept(cuttings, "ann", "cheap", "b.example", "html only", "false link", "end", "friend.")
    assert cuttings.text(some) == (
        "from: ann\nsubject: cheap\nlinks: b.example\nflags: html only, false link\nfriend.", "end"
    )  # fmt: skip
    assert cuttings.text(kept(cuttings, "html only")) == ("flags: html only", "")


def test_blocks_are_lines_links_and_sentences() -> None:
    cuttings = of(DOCUMENT)
    words = cuttings.words
    blocks = ["".join(word.text for word in words[block.start : block.stop]).strip() for block in cuttings.blocks()]
    assert blocks[:6] == [
        "ann lee @a.example", "buy now, cheap", "a.example", "b.example", "application/zip", "html only, false link"
    ]  # fmt: skip
    assert {"http://a.example", "http://b.example"} <= set(blocks)
    assert words[cuttings.blocks()[2].start].kind is SpanKind.LINK


def test_disguised_words_stand_alone() -> None:
    cuttings = Cuttings("buy viagra here today", "", "", {"viagra": Disguise("v1agra", SpanKind.LOOK_ALIKE)})
    assert [[*block] for block in cuttings.blocks() if len(block) == 1 and block.start == 1] == [[1]]
    assert cuttings.words[1].disguise == Disguise("v1agra", SpanKind.LOOK_ALIKE)


def test_text_without_blanks_is_cut_too() -> None:
    words = Cuttings("本公司代开发票请点击" + "x" * 100, "", "", {}).words
    assert max(len(word.text) for word in words) <= 40
    assert "".join(word.text for word in words) == "本公司代开发票请点击" + "x" * 100


def test_the_middle_of_a_long_text_is_no_word() -> None:
    head = "beginning " + "middle " * 1600 + "end"
    words = Cuttings(head, "", "", {}).words
    assert words[0].text == "beginning " and words[-1].text == "end"
    assert sum(len(word.text) for word in words) < ngram.HEAD_CHARACTERS + 2_000
    tailed = Cuttings(head, "tail " * 800, "", {}).words
    assert {word.text.strip() for word in tailed if word.part == "tail"} == {"tail"}
    assert not any(word.text == "end" for word in tailed if word.part == "head")


@given(st.text(max_size=300), st.text(max_size=60), st.integers(1, 8))
def test_any_text_is_cut_into_words_that_make_it_up(text: str, tail: str, most: int) -> None:
    cuttings = Cuttings(text, tail, "", {})
    for part, whole in (("head", text), ("tail", tail)):
        joined = "".join(word.text for word in cuttings.words if word.part == part)
        assert joined == whole.lstrip()
    blocks = cuttings.blocks()
    assert [at for block in blocks for at in block] == [*range(len(cuttings.words))]
    for block in blocks:
        if len(block) > 1:
            parts = cuttings.parts(block, most + 1)
            assert len(parts) > 1
            assert [at for part in parts for at in part] == [*block]


def test_a_preamble_line_that_is_none_of_ours_is_words() -> None:
    cuttings = Cuttings("subject: a\nfoo: b\nbody", "", "subject: a\nfoo: b", {})
    assert [(word.text, word.kind) for word in cuttings.words] == [
        ("a", SpanKind.SUBJECT), ("foo: ", SpanKind.WORDS), ("b", SpanKind.WORDS), ("body", SpanKind.WORDS)
    ]  # fmt: skip
    assert cuttings.text(bytes([1, 0, 1, 0])) == ("subject: a\nb", "")


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_nothing_to_cut(text: str) -> None:
    assert Cuttings(text, "", "", {}).blocks() == []
