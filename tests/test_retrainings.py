"""How retrainings ended, from the folders that they left, whole or not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spamfilter.retrainings import Outcome, folders, outcome_in, outcomes

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
ENDED = Outcome(NOON, NOON - timedelta(days=1), 60, "new", "old", True, "Passed.", None, False)


def left(state_dir: Path, name: str, text: str | None) -> Path:
    """The folder of a retraining; without `text` it was killed."""
    folder = state_dir / "retrain" / name
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "outcome.json").write_text(text)
    return folder


def test_the_newest_comes_first_also_within_a_second(tmp_path: Path) -> None:
    for number, name in enumerate(("20260101T000000-10", "20260101T000000", "20251231T000000", "20260101T000000-2")):
        left(tmp_path, name, json.dumps({**ENDED.as_json(), "labels": number}))
    left(tmp_path, "20260102T000000", None)
    left(tmp_path, "notes", json.dumps(ENDED.as_json()))
    assert [outcome.labels for outcome in outcomes(tmp_path)] == [0, 3, 1, 2]
    assert [folder.name for folder in folders(tmp_path)][-1] == "20260102T000000"


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert outcome_in(left(tmp_path, "20260101T000000", json.dumps(ENDED.as_json()))) == ENDED
    assert outcomes(tmp_path / "none") == []


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"time": "x"}', "null"])
def test_what_is_damaged_is_none(tmp_path: Path, text: str | None) -> None:
    assert outcome_in(left(tmp_path, "20260101T000000", text)) is None
