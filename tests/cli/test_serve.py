"""`serve`: what a newcomer reads, and what an admin reads when it does not start."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spamfilter import daemon
from spamfilter.classifier.bundle import Bundle
from spamfilter.cli import serve
from spamfilter.cli.options import Sources
from spamfilter.state_dir import StateDir
from tests.cli.conftest import Run
from tests.serving import settings

LINK = "http://127.0.0.1:11380/enter?key=k"


def _welcome(tmp_path: Path, **overrides: Any) -> dict[str, str]:
    loaded = settings(tmp_path, **overrides)
    smtp = {"smtp": SimpleNamespace(address="127.0.0.1:4321")} if loaded.smtp.enabled else {}
    console = SimpleNamespace(link=LINK, origin="http://127.0.0.1:11380") if loaded.console.enabled else None
    served: Any = SimpleNamespace(config=loaded, frontends=smtp, console=console)
    lines = serve.welcome(served, Sources(None, tmp_path, ())).splitlines()
    assert len(lines) == 7
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def test_seven_lines_say_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.shutil, "which", lambda name: "/usr/bin/swaks")
    lines = _welcome(tmp_path)
    assert lines["mail"] == f"SMTP on 127.0.0.1:4321, delivered to {tmp_path}/Maildir"
    assert f"{tmp_path}/folder/in" in lines["folder"]
    assert lines["pages"] == LINK
    assert shlex.split(lines["try"])[:3] == ["swaks", "--server", "127.0.0.1:4321"]
    assert lines["look"] == f"spamfilter decisions list --state-dir {tmp_path}"
    assert lines["teach"].startswith("spamfilter learn --spam FILES, or --ham; or drop them into ")
    assert lines["teach"].endswith(f"{tmp_path}/learn/spam, ham")
    assert str(os.getpid()) in lines["stop"]


def test_the_link_that_signs_in_stays_out_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")  # somebody else's stream
    assert _welcome(tmp_path)["pages"] == LINK
    out = os.fstat(1)
    monkeypatch.setenv("JOURNAL_STREAM", f"{out.st_dev}:{out.st_ino}")
    pages = _welcome(tmp_path)["pages"]
    assert pages.startswith("http://127.0.0.1:11380; ") and pages.endswith("console link signs in")
    assert "key=" not in pages


def test_without_swaks_there_is_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.shutil, "which", lambda name: None)
    command = shlex.split(_welcome(tmp_path)["try"])
    assert command[:2] == ["python3", "-c"]
    compile(command[2], "<try>", "exec")
    assert '"127.0.0.1", 4321' in command[2]


def test_what_is_off_is_said(tmp_path: Path) -> None:
    assert _welcome(tmp_path, smtp__enabled=False)["mail"] == "off (smtp.enabled)"
    assert _welcome(tmp_path, console__enabled=False)["pages"] == "off (console.enabled)"
    assert _welcome(tmp_path, folder__enabled=False)["folder"] == "off (folder.enabled)"
    assert "drop" not in _welcome(tmp_path, learn__folders__enabled=False)["teach"]
    assert _welcome(tmp_path, smtp__next_hop="127.0.0.1:26")["mail"].endswith("handed on to 127.0.0.1:26")


def test_a_missing_bundle_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("serve", "--state-dir", tmp_path / "s", "--set", f"model.bundle={tmp_path}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path}: no bundle there (manifest.json is missing)\n"


def test_a_second_daemon_is_one_line(run: Run, tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    part = SimpleNamespace(start=lambda: asyncio.sleep(0), stop=lambda grace_s: asyncio.sleep(0))
    monkeypatch.setattr(daemon, "_frontends", lambda config, scanner: iter([("smtp", part)]))
    with StateDir(tmp_path / "s"):
        result = run("serve", "--state-dir", tmp_path / "s")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: state_dir {tmp_path}/s is in use by another spamfilter")
