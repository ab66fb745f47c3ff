"""What was learned is put away by its day, and a day that is past its time goes as a whole."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from spamfilter.frontends.learn.done import Done
from tests.frontends.folder_setup import files, quick_watch, until
from tests.frontends.learn.setup import Recorder, folders, mail

__all__ = ["quick_watch"]

TODAY = date(2026, 3, 10)


def fill(folder: Path, *days: str) -> Path:
    for day in days:
        (folder / day / "spam").mkdir(parents=True)
        (folder / day / "spam" / "a.eml").write_bytes(mail(day))
    return folder


@pytest.mark.parametrize(("days", "gone"), [(0, 0), (1, 2), (9, 1), (10, 0), (3650, 0)])
def test_days_beyond_the_last_ones_go(tmp_path: Path, days: int, gone: int) -> None:
    all_days = ["2026-02-28", "2026-03-08", "2026-03-09", "2026-03-10"]
    done = Done(fill(tmp_path, *all_days), days=days)
    assert done.prune(TODAY) == all_days[:gone]
    assert sorted(path.name for path in tmp_path.iterdir()) == all_days[gone:]
    assert done.prune(TODAY) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "kept")
    done = fill(tmp_path / "done", "20200101", "2020-W01-1", "mine", "2020-01-01.old")
    (done / "2020-01-02").write_bytes(b"a file")
    (done / "2020-01-03").symlink_to(elsewhere)
    assert Done(done, days=1).prune(TODAY) == []
    assert len(list(done.iterdir())) == 6 and files(elsewhere, "kept")


async def test_at_the_start_what_was_learned_long_ago_goes(tmp_path: Path) -> None:
    fill(tmp_path / "done", "2020-01-01", date.today().isoformat())
    async with folders(tmp_path, Recorder(), done_days=30):
        await until(lambda: not (tmp_path / "done" / "2020-01-01").exists())
    assert [path.name for path in (tmp_path / "done").iterdir()] == [date.today().isoformat()]
