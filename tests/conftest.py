"""What every test may ask for: the corpora, programs of the system, and a house left as clean as it was found."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from tests.__main__ import FAILED_STAGES, ROOT

RUN_MARK = "SPAMFILTER_TEST_RUN"
_GRACE_S = 5.0


def absent(reason: str, switch: str) -> NoReturn:
    """Skip, or fail where the switch in the environment says that nothing may be missing."""
    if os.environ.get(switch) == "1":
        pytest.fail(f"{reason} ({switch}=1 makes this a failure)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def corpus_dir() -> Path:
    """The folder of the corpora: $SPAMFILTER_DATA_DIR, or shared/data beside the checkout."""
    named = os.environ.get("SPAMFILTER_DATA_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "sms-spam-collection.tsv").is_file():
        absent(f"no corpora in {folder}: set SPAMFILTER_DATA_DIR", "SPAMFILTER_REQUIRE_CORPUS")
    return folder


@pytest.fixture(scope="session")
def require_program() -> Callable[[str, str], str]:
    """A function of a program's name and its Debian package that returns the program's path, or skips."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

    def find(name: str, package: str) -> str:
        path = shutil.which(name, path=search)
        if path is None:
            absent(f"no {name}: apt-get install {package}", "SPAMFILTER_REQUIRE_SERVERS")
        return path

    return find


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After the last test: no process that descends from this run, orphans included, and no listening socket."""
    mark = secrets.token_hex(8)
    os.environ[RUN_MARK] = mark
    yield
    _, alive = psutil.wait_procs(_descendants(mark), timeout=_GRACE_S)
    left = [_describe(process) for process in alive]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    left += [
        f"listening socket {c.laddr.ip}:{c.laddr.port}"
        for c in psutil.Process().net_connections(kind="inet")
        if c.status == psutil.CONN_LISTEN
    ]
    del os.environ[RUN_MARK]
    assert not left, "left behind by the tests:\n" + "\n".join(left)


def _descendants(mark: str) -> list[psutil.Process]:
    """Children of this process, and whoever carries this run's mark although its parent is gone."""
    own = psutil.Process()
    found = set(own.children(recursive=True))
    for process in psutil.process_iter():
        try:
            if process != own and process.environ().get(RUN_MARK) == mark:
                found.add(process)
        except psutil.Error:
            continue  # gone meanwhile, or somebody else's
    return [process for process in found if not _is_resource_tracker(process, own)]


def _is_resource_tracker(process: psutil.Process, own: psutil.Process) -> bool:
    # multiprocessing keeps one beside every process that ever spawned, until that process ends
    try:
        return process.ppid() == own.pid and any("multiprocessing.resource_tracker" in a for a in process.cmdline())
    except psutil.Error:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"process {process.pid}, {process.status()}: {' '.join(process.cmdline()) or process.name()}"
    except psutil.Error:
        return f"process {process.pid}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat what failed before pytest began: the reader looks at the end."""
    failed = os.environ.get(FAILED_STAGES)
    if failed:
        terminalreporter.section("before the tests")
        terminalreporter.write_line(f"FAILED {failed}: see above", red=True)
