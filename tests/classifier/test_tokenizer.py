"""Ranks survive their file; windows are bounded, closed, and keep the end of a long text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spamfilter.classifier.tokenizer import PATTERN, Tokenizer, read_ranks, write_ranks
from trainer.tokenizer import train_bpe

TEXTS = ["hello world, hello mail", "free prizes for everybody", "über die Straße 祝您好"] * 4
RANKS = train_bpe(TEXTS, 320)
TOKENIZER = Tokenizer(RANKS)


def test_ranks_start_with_all_bytes_and_end_with_merges() -> None:
    assert 256 < len(RANKS) <= 318
    assert {bytes([b]) for b in range(256)} <= set(RANKS)
    assert sorted(RANKS.values()) == list(range(len(RANKS)))
    assert any(len(token) > 2 for token in RANKS)


def test_ranks_survive_their_file(tmp_path: Path) -> None:
    write_ranks(RANKS, tmp_path / "ranks")
    assert read_ranks(tmp_path / "ranks") == RANKS


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "ranks").write_text("aGk= 0\nno\n")
    with pytest.raises(ValueError, match="ranks:2"):
        read_ranks(tmp_path / "ranks")


def test_ids_are_those_of_the_library_that_counted_the_merges() -> None:
    from tokenizers import Regex, Tokenizer as Counted, models, pre_tokenizers  # noqa: I001
    from trainer.tokenizer import byte_characters

    stand_in = byte_characters()
    spelled = {"".join(stand_in[b] for b in token): rank for token, rank in RANKS.items()}
    by_rank = sorted(spelled, key=spelled.__getitem__)
    merges = []
    for token in by_rank[256:]:
        cuts = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in spelled and token[i:] in spelled]
        merges.append(min(cuts, key=lambda cut: max(spelled[cut[0]], spelled[cut[1]])))
    counted = Counted(models.BPE(vocab=spelled, merges=merges))
    counted.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    for text in [*TEXTS, "hello prizes  12345 über"]:
        assert TOKENIZER.encode(text) == counted.encode(text).ids


@given(st.text(max_size=400))
def test_text_survives_encoding(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.encode("utf-8", "replace").decode()


@settings(max_examples=60)
@given(st.text(max_size=3000), st.text(max_size=500), st.sampled_from(["", "closer"]), st.sampled_from([8, 32, 256]))
def test_windows_are_bounded_and_closed(head: str, tail: str, closer: str, context: int) -> None:
    window = TOKENIZER.window(head, tail, context, closer)
    assert 1 <= len(window) <= context
    assert window[-1] == TOKENIZER.end
    assert window.max() < TOKENIZER.vocab_size


def plain_window(head: str, tail: str, context: int, closer: str) -> list[int]:
    """The definition of a window: each part of the text encoded as a whole, and cut to its ids."""
    ids = TOKENIZER.encode(head[: context * 12])
    fits = len(head) <= context * 12 and not tail
    if fits and len(ids) <= context - 1:
        return [*ids, TOKENIZER.end]
    share = context * 2 // 5
    if closer:
        last = TOKENIZER.encode(closer[: share * 12])[:share]
        room = context - 2 - len(last)
    else:
        last = TOKENIZER.encode((tail or head)[-share * 12 :])[-share:]
        room = context - 2 - len(last)
        if fits:
            last = ids[max(room, len(ids) - share) :]
    return [*ids[:room], TOKENIZER.tail, *last, TOKENIZER.end]


PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["free prizes", "hello ", " ", "  ", "\n", "'s ", "'re", "x" * 30, "!" * 9, "祝您好", "\ud83d", "12345"]
    ),
)
LONG = st.builds(lambda pieces, times: "".join(pieces) * times, st.lists(PIECES, max_size=12), st.integers(1, 60))


@settings(max_examples=200, deadline=None)
@given(LONG, st.one_of(st.just(""), LONG), st.one_of(st.just(""), LONG), st.sampled_from([8, 20, 64]))
@example("everybodyeverybodyeverybodyfree prizes", "", "", 8)  # the last ids begin before the last blank
@example("   hello 12345free prizes hello", "", "", 8)
@example("everybody everybody everybody everybody everybody", "", "", 8)
def test_windows_are_those_of_whole_encodings(head: str, tail: str, closer: str, context: int) -> None:
    window = TOKENIZER.window(head, tail, context, closer)
    assert window.dtype == np.int64
    assert window.tolist() == plain_window(head, tail, context, closer)


def test_a_short_text_is_read_whole() -> None:
    window = TOKENIZER.window("hello world", "", 64)
    assert TOKENIZER.decode(window[:-1].tolist()) == "hello world"


@pytest.mark.parametrize("tail", ["", "and then at the very end THEEND"], ids=["one text", "tail apart"])
def test_the_end_of_a_long_text_is_read(tail: str) -> None:
    window = TOKENIZER.window("start " + "filler words " * 900 + "THEEND", tail, 64)
    text = TOKENIZER.decode(window.tolist())
    assert text.startswith("start")
    assert "THEEND" in text and TOKENIZER.tail in window


def test_a_passage_is_read_instead_of_the_end_only_where_the_text_does_not_fit() -> None:
    long = "start " + "filler words " * 900
    text = TOKENIZER.decode(TOKENIZER.window(long, "the end", 64, "a closer look").tolist())
    assert text.startswith("start") and "a closer look" in text and "the end" not in text
    assert TOKENIZER.decode(TOKENIZER.window("short", "", 64, "a closer look")[:-1].tolist()) == "short"


def test_special_tokens_cannot_be_written_by_a_mail() -> None:
    ids = TOKENIZER.encode("<|end|> and <|tail|>")
    assert TOKENIZER.end not in ids and TOKENIZER.tail not in ids


def test_one_long_word_costs_no_more_than_its_length() -> None:
    assert len(TOKENIZER.encode("a" * 200_000)) <= 200_000
