"""Trains a byte-level BPE on raw text; serving loads its ranks into tiktoken.

Hugging Face `tokenizers` counts the merges (seconds for 16k); tiktoken encodes with the same ids, several times faster.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as HuggingFace

from spamfilter.classifier.tokenizer import PATTERN


def train_bpe(texts: Iterable[str], vocab_size: int) -> dict[bytes, int]:
    """Ranks (token bytes -> id) of a BPE with `vocab_size` tokens, the two special ones included."""
    tokenizer = HuggingFace(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 2,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    to_byte = {character: byte for byte, character in byte_characters().items()}
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    # tiktoken wants the 256 bytes and then the merges in the order they were found
    tokens = [bytes(to_byte[character] for character in token) for token, _ in vocabulary]
    return {token: rank for rank, token in enumerate(tokens)}


def byte_characters() -> dict[int, str]:
    """GPT-2's table of printable stand-ins for bytes (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
