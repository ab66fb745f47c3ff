"""What is in deploy/ and .ci/ fits the program: units parse, commands exist, ports agree with the examples."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from spamfilter import config
from tests.__main__ import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "spamfilter.service"
AFTER_QUEUE = DEPLOY / "postfix" / "after-queue"

SERVE = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . && .venv/bin/spamfilter serve"
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]' && .venv/bin/python -m tests"


def _unit() -> configparser.ConfigParser:
    # interpolation off: % starts systemd's own specifiers
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert script.rstrip().splitlines()[-1] == TEST
    readme = (ROOT / "README.md").read_text("utf-8")
    assert SERVE in readme
    assert TEST in readme


def test_ci_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_unit_starts_a_command_that_exists() -> None:
    from spamfilter.cli import main

    program, *arguments = _unit()["Service"]["ExecStart"].split()
    assert Path(program).name == "spamfilter"
    assert isinstance(main, click.Group)
    command = main.commands[arguments[0]]
    known = {option for parameter in [*main.params, *command.params] for option in parameter.opts}
    assert [a for a in arguments if a.startswith("--") and a not in known] == []


def test_unit_and_configuration_agree_on_the_state_directory() -> None:
    service = _unit()["Service"]
    name, value = service["Environment"].split("=", 1)
    assert value == f"/var/lib/{service['StateDirectory']}"
    assert config.load(environ={name: value}).state_dir == Path(value)


def test_unit_leaves_the_daemon_time_to_answer() -> None:
    settings = config.load(environ={})
    assert int(_unit()["Service"]["TimeoutStopSec"]) > settings.engine.deadline_s


def test_unit_satisfies_systemd(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    copy = tmp_path / UNIT.name
    # verify wants an executable that exists; ours is where the README installs it
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/spamfilter/bin/spamfilter", sys.executable))
    result = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_postfix_and_example_agree_on_ports() -> None:
    loaded = config.load(ROOT / "examples" / "postfix-after-queue.yaml", environ={})
    main_cf = (AFTER_QUEUE / "main.cf").read_text("utf-8")
    master_cf = (AFTER_QUEUE / "master.cf").read_text("utf-8")
    assert f"content_filter = scan:[{loaded.smtp.listen.host}]:{loaded.smtp.listen.port}\n" in main_cf
    assert re.search(rf"^{re.escape(str(loaded.smtp.next_hop))} inet ", master_cf, re.M)


def test_postfix_limits_stay_below_ours() -> None:
    loaded = config.load(ROOT / "examples" / "postfix-after-queue.yaml", environ={})
    main_cf = (AFTER_QUEUE / "main.cf").read_text("utf-8")
    master_cf = (AFTER_QUEUE / "master.cf").read_text("utf-8")
    processes = _number(r"^scan +unix +(?:\S+ +){4}(\d+) +smtp$", master_cf)
    assert _number(r"^scan_destination_concurrency_limit = (\d+)$", main_cf) <= processes < loaded.smtp.max_sessions
    assert _number(r"^127\.0\.0\.1:\d+ inet +(?:\S+ +){4}(\d+) +smtpd$", master_cf) > processes
    assert _number(r"^scan_destination_recipient_limit = (\d+)$", main_cf) <= loaded.smtp.max_recipients
    patience = loaded.engine.deadline_s + loaded.smtp.final_timeout_s
    assert _number(r"-o smtp_data_done_timeout=(\d+)s$", master_cf) > patience


def test_every_postfix_line_is_explained() -> None:
    readme = (AFTER_QUEUE / "README.md").read_text("utf-8")
    names = re.findall(r"^\s+-o (\w+)=", (AFTER_QUEUE / "master.cf").read_text("utf-8"), re.M)
    names += re.findall(r"^(\w+) =", (AFTER_QUEUE / "main.cf").read_text("utf-8"), re.M)
    # a name may be explained in a family: `smtpd_*_restrictions`
    patterns = [re.escape(p).replace(r"\*", r"\w+") for p in re.findall(r"\b([a-z]\w*(?:\*\w+)?)", readme)]
    assert [n for n in dict.fromkeys(names) if not any(re.fullmatch(p, n) for p in patterns)] == []


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.M)
    assert found, f"no line like {pattern}"
    return int(found.group(1))
