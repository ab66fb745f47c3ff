"""Imported corpora: what was saved reads back byte for byte, and a failed import changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spamfilter.message import Kind
from trainer.data import imported
from trainer.data.example import Example
from trainer.data.importers import Report
from trainer.errors import DataError

EXAMPLES = st.builds(
    Example, st.just("own"), st.text(max_size=9).filter(str.isprintable), st.sampled_from([True, False, None]),
    st.binary(max_size=60), st.sampled_from(Kind),
)  # fmt: skip


@given(st.lists(EXAMPLES, max_size=5))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_come_back_as_they_went(tmp_path: Path, examples: list[Example]) -> None:
    path = imported.save(tmp_path, "own", examples, Report(), path="somewhere")
    assert list(imported.read(path)) == examples
    assert imported.corpora(tmp_path) == {"own": path}
    assert imported.reports(tmp_path)["own"]["path"] == "somewhere"
    assert list(imported.unlabelled(tmp_path)) == [example for example in examples if example.spam is None]


def test_a_failed_import_leaves_the_older_one(tmp_path: Path) -> None:
    old = Example("own", "1", True, b"old", Kind.TEXT)
    path = imported.save(tmp_path, "own", [old], Report())
    before = imported.sums(tmp_path)

    def failing() -> Iterator[Example]:
        yield Example("own", "2", True, b"new", Kind.TEXT)
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        imported.save(tmp_path, "own", failing(), Report())
    assert list(imported.read(path)) == [old]
    assert imported.sums(tmp_path) == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["own.jsonl", "own.report.json"]


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "x"}', '{"base64": "?", "source": 1}', '{"text": null}'])
def test_a_broken_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"x\.jsonl:1: broken .* import the corpus again"):
        list(imported.read(path))


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", ".x", "a" * 61])
def test_a_name_that_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="cannot name a corpus"):
        imported.check_name(name, [])


def test_a_known_name_is_refused() -> None:
    with pytest.raises(DataError, match="sms is a corpus that the project knows already"):
        imported.check_name("sms", ["sms"])
    assert imported.check_name("my-mail.2", ["sms"]) == "my-mail.2"
