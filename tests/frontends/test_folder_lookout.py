"""The lookout hands out each file until its work is done; whatever the work raises, the file is in somebody's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from spamfilter.frontends.folder.agenda import Backoff
from spamfilter.frontends.folder.disk import UnreadableError
from spamfilter.frontends.folder.lookout import Lookout, Work
from spamfilter.frontends.folder.spool import Claimed, NoRoomError, StillWrittenError
from tests.frontends.folder_setup import HAM, LIMIT, drop, files, quick_watch, settings, until

__all__ = ["quick_watch"]


@asynccontextmanager
async def looking(
    root: Path, work: Work, grace_s: float = 10.0, give_up_after: int | None = None
) -> AsyncIterator[Lookout]:
    """A lookout of one worker, stopped at the end."""
    lookout = Lookout(
        "folder",
        root,
        settings(),
        work,
        max_message_bytes=LIMIT,
        backoff=Backoff(0.01, 0.05),
        give_up_after=give_up_after,
    )
    await lookout.start()
    try:
        yield lookout
    finally:
        await lookout.stop(grace_s)


class Scripted:
    """Does as told, then deletes the file."""

    def __init__(self, *trouble: Exception) -> None:
        self.trouble = list(trouble)
        self.attempts: list[int] = []

    async def __call__(self, claimed: Claimed) -> None:
        self.attempts.append(claimed.attempts)
        if self.trouble:
            raise self.trouble.pop(0)
        claimed.path.unlink()


@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [
        (StillWrittenError(), 0),
        (NoRoomError(0), 0),
        (FileNotFoundError(2, "No such file or directory", "ham/"), 1),
        (OSError(5, "Input/output error"), 1),
        (RuntimeError("a bug"), 1),
    ],
    ids=["still written", "no room", "another file is missing", "disk", "bug"],
)
async def test_what_the_work_raises_costs_no_file(tmp_path: Path, trouble: Exception, attempts: int) -> None:
    work = Scripted(trouble)
    drop(tmp_path / "in" / "a.eml", HAM)
    async with looking(tmp_path, work):
        await until(lambda: len(work.attempts) == 2 and files(tmp_path, "work", "in") == [])
    assert work.attempts == [0, attempts]
    assert files(tmp_path, "failed") == []


async def test_what_cannot_be_read_fails_with_its_reason(tmp_path: Path) -> None:
    drop(tmp_path / "in" / "a.eml", HAM)
    async with looking(tmp_path, Scripted(UnreadableError("a named pipe"))):
        await until(lambda: len(files(tmp_path, "failed")) == 2)
    assert sorted(path.read_bytes() for path in files(tmp_path, "failed")) == [HAM, b"a named pipe\n"]


async def test_a_file_that_somebody_removed_from_work_is_told(tmp_path: Path) -> None:
    async def removed(claimed: Claimed) -> None:
        claimed.path.unlink()
        raise FileNotFoundError(2, "No such file or directory", str(claimed.path))

    drop(tmp_path / "in" / "a.eml", HAM)
    with capture_logs() as logs:
        async with looking(tmp_path, removed):
            await until(lambda: any(line["event"] == "folder.gone" for line in logs))
    assert not any(line["event"] == "folder.put_off" for line in logs)


async def test_only_what_is_told_to_give_up_does(tmp_path: Path) -> None:
    bugs = [RuntimeError(f"bug {number}") for number in range(3)]
    drop(tmp_path / "in" / "a.eml", HAM)
    patient, hasty = Scripted(*bugs), Scripted(*bugs)
    async with looking(tmp_path, patient):
        await until(lambda: len(patient.attempts) == 4)
    drop(tmp_path / "in" / "b.eml", HAM)
    async with looking(tmp_path, hasty, give_up_after=3):
        await until(lambda: len(files(tmp_path, "failed")) == 2)
    assert hasty.attempts == [0, 1, 2]
    assert b"given up after 3 attempts: RuntimeError: bug 2\n" in [
        path.read_bytes() for path in files(tmp_path, "failed")
    ]


async def test_a_file_that_cannot_be_put_aside_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Scripted(UnreadableError("as told"))
    drop(tmp_path / "in" / "a.eml", HAM)
    async with looking(tmp_path, work) as lookout:

        def broken(*_: object) -> Path:
            raise ValueError("a bug in putting aside")

        monkeypatch.setattr(lookout.spool, "fail", broken)
        await until(lambda: len(work.attempts) == 2)
    assert files(tmp_path, "work", "in", "failed") == []


@pytest.mark.parametrize("late", [False, True], ids=["within the grace", "beyond it"])
async def test_the_grace_ends_what_is_asked_and_leaves_the_file(tmp_path: Path, late: bool) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    answers: list[str | None] = []
    lookout: Lookout

    async def question() -> str:
        asked.set()
        await go_on.wait()
        return "scanned"

    async def work(claimed: Claimed) -> None:
        answers.append(await lookout.answer(question))
        if answers[-1] is None:
            answers.append(await lookout.answer(question))  # nothing more is asked
        else:
            claimed.path.unlink()

    async with looking(tmp_path, work) as lookout:
        drop(tmp_path / "in" / "a.eml", HAM)
        await asked.wait()
        if not late:
            asyncio.get_running_loop().call_later(0.02, go_on.set)
        await lookout.stop(0.02 if late else 10.0)
    assert answers == ([None, None] if late else ["scanned"])
    assert len(files(tmp_path, "work")) == late
