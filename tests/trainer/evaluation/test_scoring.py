"""Raw messages meet their rows, and failures never become scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure, FailureKind, Score
from trainer.data import imported
from trainer.data.example import Example
from trainer.data.importers import Report
from trainer.errors import DataError
from trainer.evaluation.provenance import provenance
from trainer.evaluation.scoring import as_mail, corpora_of, judge, matched

EXAMPLES = [Example("list", name, False, name.encode(), Kind.MAIL) for name in "abc"]


class Scripted:
    """Answers by the message's bytes: `b` fails, `c` has no facts."""

    model_id = "scripted"

    def score(self, messages: Sequence[Message]) -> list[Score | Failure]:
        assert len(messages) == 1
        if messages[0].raw == b"b":
            return [Failure(FailureKind.UNPARSABLE)]
        return [Score(0.25, {"gpt": 0.5} | ({"facts": 0.75} if messages[0].raw == b"a" else {}), "scripted")]


def test_a_failure_has_no_probability() -> None:
    turns: list[int] = []
    found = judge(Scripted(), EXAMPLES, lambda: turns.append(1))
    np.testing.assert_array_equal(found.probability, [0.25, np.nan, 0.25])
    np.testing.assert_array_equal(found.stages["facts"], [0.75, np.nan, np.nan])
    np.testing.assert_array_equal(found.scanned, [True, False, True])
    assert found.failures[1].kind is FailureKind.UNPARSABLE and len(turns) == 3
    np.testing.assert_array_equal(found.only(found.scanned).stages["gpt"], [0.5, 0.5])


def test_examples_come_in_the_rows_order() -> None:
    rows = pd.DataFrame({"source": ["list", "list"], "path": ["c", "a"]})
    assert [e.path for e in matched(rows, iter(EXAMPLES))] == ["c", "a"]
    with pytest.raises(DataError, match="1 of 2 messages are not in the corpora, the first z of list"):
        matched(pd.DataFrame({"source": ["list", "list"], "path": ["z", "a"]}), EXAMPLES)


def test_a_source_is_a_corpus_or_what_was_imported_or_an_error(tmp_path: Path) -> None:
    imported.save(tmp_path, "mine", EXAMPLES, Report())
    assert [e.path for e in corpora_of(["mine"], tmp_path, tmp_path)] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"nowhere: .*enron.*mine"):
        list(corpora_of(["nowhere"], tmp_path, tmp_path))


def test_text_gets_an_empty_header_block_where_only_mail_is_read() -> None:
    assert as_mail(Example("sms", "1", True, b"Win: now", Kind.TEXT)) == b"\nWin: now"
    assert as_mail(EXAMPLES[0]) == b"a"


def test_a_figure_says_what_code_it_came_from() -> None:
    found = provenance()
    assert {"code", "extraction", "libraries", "python", "measured at"} == found.keys()
    assert found["code"].startswith("spamfilter ") and "numpy 2" in found["libraries"]
