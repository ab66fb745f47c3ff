"""The state directory: private, and one daemon's only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spamfilter.state_dir import StateDir, StateDirError, owner


def test_it_is_made_private(tmp_path: Path) -> None:
    with StateDir(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_second_daemon_is_told_who_holds_it(tmp_path: Path) -> None:
    with StateDir(tmp_path), pytest.raises(StateDirError, match=rf"another spamfilter \(process {os.getpid()}\)"):
        StateDir(tmp_path).acquire()
    with StateDir(tmp_path):
        pass


def test_the_owner_can_be_asked_for(tmp_path: Path) -> None:
    assert owner(tmp_path) is None
    with StateDir(tmp_path):
        assert owner(tmp_path) == str(os.getpid())
    assert owner(tmp_path) is None


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from spamfilter.state_dir import StateDir;"
        "StateDir(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    )
    # the object above is dropped at once, the descriptor is not: a lock must not depend on a reference
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StateDirError, match=f"process {other.pid}"):
            StateDir(tmp_path).acquire()
        other.kill()
    with StateDir(tmp_path):
        assert owner(tmp_path) == str(os.getpid())


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateDirError, match=r"state_dir .*/file/x: Not a directory; set state_dir"):
        StateDir(tmp_path / "file" / "x").acquire()
