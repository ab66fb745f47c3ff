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
RETRAIN, TIMER = (DEPLOY / "systemd" / f"spamfilter-retrain.{kind}" for kind in ("service", "timer"))
AFTER_QUEUE = DEPLOY / "postfix" / "after-queue"

SERVE = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . && .venv/bin/spamfilter serve"
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]' && .venv/bin/python -m tests"


def _unit(path: Path = UNIT) -> configparser.ConfigParser:
    # interpolation off: % starts systemd's own specifiers
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("utf-8"))
    return parser


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert script.rstrip().splitlines()[-1] == TEST
    readme = (ROOT / "README.md").read_text("utf-8")
    assert SERVE in readme
    assert TEST in readme


def test_ci_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


@pytest.mark.parametrize("unit", [UNIT, RETRAIN], ids=lambda unit: unit.name)
def test_unit_starts_a_command_that_exists(unit: Path) -> None:
    from spamfilter.cli import main

    program, *arguments = _unit(unit)["Service"]["ExecStart"].split()
    assert Path(program).name == "spamfilter"
    assert isinstance(main, click.Group)
    command = main.commands[arguments[0]]
    known = {option for parameter in [*main.params, *command.params] for option in parameter.opts}
    assert [a for a in arguments if a.startswith("--") and a not in known] == []


@pytest.mark.parametrize("unit", [UNIT, RETRAIN], ids=lambda unit: unit.name)
def test_unit_and_configuration_agree_on_the_state_directory(unit: Path) -> None:
    service = _unit(unit)["Service"]
    name, value = service["Environment"].split("=", 1)
    assert value == f"/var/lib/{service['StateDirectory']}"
    assert config.load(environ={name: value}).state_dir == Path(value)


def test_unit_leaves_the_daemon_time_to_answer() -> None:
    settings = config.load(environ={})
    assert int(_unit()["Service"]["TimeoutStopSec"]) > settings.engine.deadline_s


def test_retraining_is_shut_in_as_the_daemon_is() -> None:
    daemon, retrain = (_unit(unit)["Service"] for unit in (UNIT, RETRAIN))
    shut = [key for key in daemon if key.startswith(("Protect", "Private", "Restrict", "SystemCall", "NoNew", "Lock"))]
    assert len(shut) > 15
    assert {key: retrain.get(key) for key in shut} == {key: daemon[key] for key in shut}
    assert (retrain["User"], retrain["UMask"]) == (daemon["User"], daemon["UMask"])


def test_retraining_has_the_memory_and_the_exit_codes_of_the_command() -> None:
    from spamfilter.cli import retrain as command

    service = _unit(RETRAIN)["Service"]
    assert int(service["MemoryMax"].removesuffix("M")) > config.load(environ={}).retrain.memory_mib
    assert int(service["SuccessExitStatus"]) == command.REFUSED
    assert int(service["Nice"]) == command.NICENESS
    assert service["ExecStart"].endswith(" retrain --schedule")


def test_the_timer_and_its_unit_are_installed_together() -> None:
    readme = (DEPLOY / "systemd" / "README.md").read_text("utf-8")
    assert TIMER.stem == RETRAIN.stem  # a timer starts the service of its name
    assert f"deploy/systemd/{RETRAIN.name} deploy/systemd/{TIMER.name} /etc/systemd/system/" in readme
    assert f"systemctl enable --now {TIMER.name}" in readme
    assert "Install" not in _unit(RETRAIN)


@pytest.mark.parametrize("unit", [UNIT, RETRAIN, TIMER], ids=lambda unit: unit.name)
def test_unit_satisfies_systemd(tmp_path: Path, unit: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    for each in (UNIT, RETRAIN, TIMER):  # a timer is verified with its service beside it
        # verify wants an executable that exists; ours is where the README installs it
        text = each.read_text("utf-8").replace("/opt/spamfilter/bin/spamfilter", sys.executable)
        (tmp_path / each.name).write_text(text)
    copy = tmp_path / unit.name
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
