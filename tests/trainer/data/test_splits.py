"""Splits: no group on two sides, shares about as wanted, and the reference protocol to the message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data import corpora
from trainer.data.duplicates import near_duplicate_groups
from trainer.data.splits import (
    BALANCES,
    Split,
    grouped_folds,
    grouped_reference_split,
    grouped_split,
    leave_source_out,
    natural,
    reference_split,
    undersample,
    weights,
)

ROWS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=120)
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def apart(groups: list[int], sides: np.ndarray) -> bool:
    """Every group is on one side."""
    return all(len({s for g, s in zip(groups, sides, strict=True) if g == group}) == 1 for group in set(groups))


@given(ROWS, st.integers(0, 1000))
def test_no_group_is_in_two_parts(rows: list[tuple[int, bool]], seed: int) -> None:
    groups, spam = [g for g, _ in rows], [s for _, s in rows]
    parts = grouped_split(groups, spam, SHARES, seed)
    assert len(parts) == len(rows) and apart(groups, parts)
    assert parts.tolist() == grouped_split(groups, spam, SHARES, seed).tolist()


@given(ROWS, st.integers(2, 6), st.integers(0, 1000))
def test_no_group_is_in_two_folds(rows: list[tuple[int, bool]], k: int, seed: int) -> None:
    groups, spam = [g for g, _ in rows], [s for _, s in rows]
    folds = grouped_folds(groups, spam, k, seed)
    assert apart(groups, folds) and set(folds.tolist()) <= set(range(k))


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=1, max_size=80))
def test_a_source_left_out_has_no_kin_in_training(rows: list[tuple[int, str]]) -> None:
    groups, sources = np.array([g for g, _ in rows]), np.array([s for _, s in rows])
    train, test = leave_source_out(groups, sources, str(sources[0]))
    assert (sources[test] == sources[0]).all() and not (train & test).any()
    assert not set(groups[train].tolist()) & set(groups[test].tolist())
    neither = ~train & ~test
    assert set(groups[neither].tolist()) <= set(groups[test].tolist())


def test_a_source_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no source 'c'; there are a, b"):
        leave_source_out([1, 2], ["a", "b"], "c")


def test_parts_have_about_the_wanted_share_of_ham_and_spam() -> None:
    rng = np.random.default_rng(0)
    groups, spam = rng.integers(0, 700, 2000), rng.random(2000) < 0.13
    parts = grouped_split(groups, spam, SHARES, 1)
    for name, share in SHARES.items():
        for label in (True, False):
            assert abs((parts[spam == label] == name).mean() - share) < 0.02
    folds = grouped_folds(groups, spam, 5, 1)
    assert all(abs((folds[spam == label] == fold).mean() - 0.2) < 0.02 for fold in range(5) for label in (True, False))
    assert parts.tolist() != grouped_split(groups, spam, SHARES, 2).tolist()


def test_wrong_shares_and_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="shares must be positive"):
        grouped_split([1], [True], {"train": 0.0}, 0)
    with pytest.raises(ValueError, match="1 folds: at least 2"):
        grouped_folds([1], [True], 1, 0)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 100))
def test_balances_keep_their_promises(spam: list[bool], seed: int) -> None:
    labels = np.array(spam)
    drawn = undersample(labels, seed)
    assert len(set(drawn.rows.tolist())) == len(drawn.rows) == 2 * min(labels.sum(), (~labels).sum())
    assert labels[drawn.rows].sum() * 2 == len(drawn.rows)
    assert natural(labels).rows.tolist() == list(range(len(spam)))
    each = weights(labels).weights
    assert each.mean() == pytest.approx(1, rel=1e-5)
    if 0 < labels.sum() < len(spam):
        assert each[labels].sum() == pytest.approx(each[~labels].sum(), rel=1e-4)
    assert all(len(make(labels, seed).rows) == len(make(labels, seed).weights) for make in BALANCES.values())


def test_undersampling_draws_what_pandas_draws() -> None:
    spam = np.random.default_rng(0).random(500) < 0.2
    table = pd.DataFrame({"spam": spam})
    ham = table[~table["spam"]].sample(int(spam.sum()), random_state=123)
    wanted = pd.concat([ham, table[table["spam"]]])
    assert undersample(spam, 123).rows.tolist() == wanted.index.to_list()
    shuffled = wanted.sample(frac=1, random_state=123).index.to_list()
    split = reference_split(spam, 123)
    assert np.concatenate([split.train, split.validation, split.test]).tolist() == shuffled


@pytest.mark.corpus
def test_the_reference_split_of_the_sms_collection(corpus_dir: Path) -> None:
    messages = list(corpora.sms(corpus_dir))
    spam = [bool(m.spam) for m in messages]
    split = reference_split(spam)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [1045, 149, 300]
    seen = {messages[i].raw for i in split.train}
    assert sum(messages[i].raw in seen for i in split.test) == 36  # word for word in training
    texts = [m.raw.decode().lower() for m in messages]
    groups = near_duplicate_groups(texts)
    grouped = grouped_reference_split(groups, spam)
    assert _sides_apart(grouped, groups)
    assert abs(len(grouped.test) - 300) < 5 and abs(sum(spam[i] for i in grouped.test) - 150) < 5


def _sides_apart(split: Split, groups: np.ndarray) -> bool:
    train, validation, test = (set(groups[rows].tolist()) for rows in (split.train, split.validation, split.test))
    return not (train & test or train & validation or validation & test)
