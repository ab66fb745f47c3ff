"""`doctor`: each trouble is found, and named with what to do."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spamfilter.classifier.bundle import Bundle
from spamfilter.cli import checks
from spamfilter.state_dir import StateDir
from tests.cli.conftest import Run


def _doctor(run: Run, *arguments: str | Path) -> tuple[int, dict[str, dict[str, str]]]:
    result = run("doctor", "--json", "--set", "smtp.listen=127.0.0.1:0", *arguments)
    found = json.loads(result.stdout)
    assert all(one["advice"] for one in found if one["status"] == "fail"), found
    return result.exit_code, {one["what"]: one for one in found}


@contextmanager
def _server(*replies: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Says each reply, the first at once and the others to a line; its port and the lines it was told."""
    told: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as stream:
            for reply in replies:
                stream.write(reply)
                stream.flush()
                told.append(stream.readline())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], told
        thread.join()


def test_a_healthy_machine(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    code, found = _doctor(run)
    assert code == 0
    assert set(found) == {
        *("python", "packages", "configuration", "clock", "model", "state_dir", "decision log"),
        *("smtp.listen", "smtp.next_hop", "inotify"),
    }
    assert found["model"]["detail"] == f"{bundle.model_id}: unsure from 0.5000, spam from 0.9000"
    assert "`spamfilter serve` makes it" in found["state_dir"]["detail"]
    assert not (tmp_path / "spamfilter-data").exists()  # it looks, and changes nothing
    table = run("doctor", "--set", "smtp.listen=127.0.0.1:0").stdout
    assert "fail" not in table
    assert bundle.model_id in table


def test_a_faulty_configuration(run: Run) -> None:
    code, found = _doctor(run, "--set", "smtp.listn=1")
    assert code == 1
    assert "did you mean smtp.listen?" in found["configuration"]["detail"]


def test_a_damaged_model(run: Run, bundle: Bundle) -> None:
    (bundle.path / "weights.bin").unlink()
    code, found = _doctor(run)
    assert (code, found["model"]["status"]) == (1, "fail")


def test_a_port_in_use(run: Run, bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"smtp.listen=127.0.0.1:{other.getsockname()[1]}"
        code, found = _doctor(run, "--set", listen)
    assert (code, found["smtp.listen"]["detail"].partition(": ")[2]) == (1, "Address already in use")


def test_a_running_daemon_is_recognised(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    with StateDir(tmp_path / "s"):
        _, found = _doctor(run, "--state-dir", tmp_path / "s")
    assert found["smtp.listen"]["detail"] == f"the daemon is running (process {os.getpid()})"


def test_a_state_dir_that_others_read(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o755)
    _, found = _doctor(run, "--state-dir", tmp_path / "s")
    assert (found["state_dir"]["status"], found["state_dir"]["advice"]) == ("warn", f"chmod 0700 {tmp_path}/s")


def test_a_full_disk(run: Run, bundle: Bundle) -> None:
    code, found = _doctor(run, "--set", "folder.min_free_mib=1000000000")
    assert (code, found["state_dir"]["status"]) == (1, "fail")


def test_a_damaged_decision_log_is_no_reason_to_stop(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "decisions.sqlite3").write_bytes(b"junk" * 1000)
    code, found = _doctor(run, "--state-dir", tmp_path)
    assert (code, found["decision log"]["status"]) == (0, "warn")


def test_a_next_hop_that_answers(run: Run, bundle: Bundle) -> None:
    ehlo = b"250-mx greets you\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250-SMTPUTF8\r\n250 DSN\r\n"
    with _server(b"220-mx\r\n220 ESMTP\r\n", ehlo, b"") as (port, told):
        code, found = _doctor(run, "--set", f"smtp.next_hop=127.0.0.1:{port}", "--set", "hostname=here.example")
    assert (code, found["smtp.next_hop"]["status"]) == (0, "ok")
    assert found["smtp.next_hop"]["detail"].endswith("offers 8BITMIME, SIZE 1000, SMTPUTF8, DSN")
    assert told[:2] == [b"EHLO here.example\r\n", b"QUIT\r\n"]


@pytest.mark.parametrize(
    ("replies", "status", "detail"),
    [
        ((b"220 mx\r\n", b"250 mx\r\n", b""), "warn", "offers nothing"),
        ((b"554 go away\r\n",), "fail", "answered '554 go away' instead of 220"),
        ((b"220 mx\r\n", b"502 what?\r\n"), "fail", "answered '502 what?' instead of 250"),
    ],
)
def test_a_next_hop_that_is_odd(run: Run, bundle: Bundle, replies: tuple[bytes], status: str, detail: str) -> None:
    with _server(*replies) as (port, _):
        _, found = _doctor(run, "--set", f"smtp.next_hop=127.0.0.1:{port}")
    assert found["smtp.next_hop"]["status"] == status
    assert detail in found["smtp.next_hop"]["detail"]


def test_a_next_hop_that_is_absent(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    code, found = _doctor(run, "--set", f"smtp.next_hop=unix:{tmp_path}/none")
    assert (code, found["smtp.next_hop"]["status"]) == (1, "fail")


def test_a_check_that_breaks_does_not_hide_the_others(
    run: Run, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: 1 / 0)
    result = run("doctor", "--json", "--set", "smtp.listen=127.0.0.1:0")
    found = {one["what"]: one for one in json.loads(result.stdout)}
    assert "ZeroDivisionError" in found["state_dir"]["detail"]
    assert found["inotify"]["status"] in ("ok", "warn")
