"""The Sieve recipe in deploy/: each line is explained, and the script calls what exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.__main__ import ROOT

DEPLOY = ROOT / "deploy" / "dovecot"


def test_every_line_is_explained() -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    names = re.findall(r"^\s*(\w+) =", (DEPLOY / "90-spamfilter.conf").read_text("utf-8"), re.M)
    patterns = [re.escape(name).replace(r"\*", r"\w+") for name in re.findall(r"`(\w+\*?)[ `]", readme)]
    assert len(names) > 10
    assert [name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []


def test_every_file_is_installed_by_the_readme() -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")
    for path in DEPLOY.iterdir():
        assert path.name == "README.md" or f"deploy/dovecot/{path.name}" in readme


def test_both_scripts_leave_the_same_folders_alone() -> None:
    lists = [
        re.findall(r'"([A-Z][\w ?*]+)"', (DEPLOY / name).read_text("utf-8"))
        for name in ("report-spam.sieve", "report-ham.sieve")
    ]
    assert lists[0] == lists[1]
    assert {"Junk", "Trash", "Trash?*", "Drafts", "Sent"} <= set(lists[0])


@pytest.mark.parametrize(
    ("arguments", "status", "called"),
    [
        (["spam", "ann"], 0, "learn --spam --who=ann -"),
        (["ham", "-x y"], 0, "learn --ham --who=-x y -"),
        (["forget", "ann"], 64, ""),
        (["spam", ""], 2, ""),
        ([], 64, ""),
    ],
)
def test_the_script_calls_the_program(tmp_path: Path, arguments: list[str], status: int, called: str) -> None:
    program, script = tmp_path / "spamfilter", tmp_path / "spamfilter-learn.sh"
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/called\ncat >{tmp_path}/read\n', "utf-8")
    program.chmod(0o755)
    text = (DEPLOY / script.name).read_text("utf-8")
    script.write_text(text.replace("/opt/spamfilter/bin/spamfilter", str(program)), "utf-8")
    done = subprocess.run(["sh", script, *arguments], input=b"a mail", capture_output=True, check=False, timeout=60)
    assert done.returncode == status
    if called:
        assert (tmp_path / "called").read_text("utf-8") == f"{called}\n"
        assert (tmp_path / "read").read_bytes() == b"a mail"
    else:
        assert not (tmp_path / "called").exists() and done.stderr
