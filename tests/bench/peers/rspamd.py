"""rspamd: one normal worker asked over HTTP, its own rules, no redis, no fuzzy storage, a DNS that says NXDOMAIN.

Asked twice: with the bytes alone, as the other contestants, and with the envelope that a mail server hands over, for
which it does more (SPF, DMARC, lists of addresses).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.__main__ import ROOT
from tests.bench.mails import Mail
from tests.bench.peers.process import Server, answers, found, free_port, said
from tests.bench.race import Absent, pinned

_CONFIG = """
.include "$CONFDIR/common.conf"
options {{
    pidfile = "$RUNDIR/rspamd.pid";
    .include "$CONFDIR/options.inc"
    .include(priority=10) "$LOCAL_CONFDIR/options.inc"
}}
logging {{ type = "file"; filename = "$LOGDIR/rspamd.log"; level = "{level}"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; .include "$CONFDIR/worker-normal.inc" }}
"""
_OPTIONS = """
control_socket = "$DBDIR/rspamd.sock mode=0600";
tempdir = "$DBDIR";
dns {{ nameserver = ["127.0.0.1:{port}"]; timeout = 1s; sockets = 16; retransmits = 5; }}
"""
_ENVELOPE = {
    "IP": "203.0.113.25",
    "Helo": "mx.example.com",
    "Hostname": "mx.example.com",
    "From": "alice@example.com",
    "Rcpt": "bob@example.net",
}
_COMPILED = "hyperscan database of"  # in the log when the worker matches with compiled expressions


class Rspamd:
    """Started twice: first until its expressions are compiled (kept in its folder), then without a log line a mail.

    The name server runs on another core where there is one: it is no part of rspamd's work.
    """

    name = "rspamd"

    def __init__(self, folder: Path, dns_core: int) -> None:
        self.how = ""
        self.closed = 0  # connections that the server did not keep
        self._folder = folder / "rspamd"
        self._dns_core = dns_core
        self._servers: list[Server] = []
        self._server: Server | None = None

    def start(self) -> None:
        """Start the name server and rspamd, wait until its expressions are compiled."""
        program = found("rspamd", "rspamd")
        for name in ("dns", "run", "first", "second", "local.d", "override.d", "db"):
            (self._folder / name).mkdir(parents=True)
        dns_port = free_port(socket.SOCK_DGRAM)
        with pinned({self._dns_core}):
            command = [sys.executable, "-m", "tests.bench.peers.nxdomain", str(dns_port)]
            path = {"PYTHONPATH": str(ROOT)}
            self._servers.append(Server(command, self._folder / "dns", environment=path))
        (self._folder / "options.inc").write_text(_OPTIONS.format(port=dns_port), "utf-8")
        (self._folder / "local.d" / "fuzzy_check.conf").write_text("enabled = false;\n", "utf-8")
        first = self._launch(program, "first", "info")
        log = self._folder / "first" / "rspamd.log"
        first.wait_until(lambda: _compiled(log), 120)
        first.stop()
        self._servers.remove(first)
        second = self._launch(program, "second", "error")
        second.wait_until(lambda: self._symbols() > 0, 60)
        self._server = second
        self.how = f"{said(program, '--version')}; HTTP POST /checkv2, 1 worker, no Bayes, no fuzzy storage"

    def _launch(self, program: str, logs: str, level: str) -> Server:
        self._port = free_port()
        config = self._folder / f"{logs}.conf"
        config.write_text(_CONFIG.format(port=self._port, level=level), "utf-8")
        user = ["-i", "-u", "root", "-g", "root"] if os.geteuid() == 0 else []
        places = {"DBDIR": "db", "LOGDIR": logs, "RUNDIR": "run", "LOCAL_CONFDIR": "."}
        variables = [f"--var={name}={(self._folder / place).resolve()}" for name, place in places.items()]
        server = Server([program, "-f", *user, "-c", str(config), *variables], self._folder / logs)
        self._servers.append(server)
        server.wait_until(lambda: answers(self._port), 60)
        return server

    def _symbols(self) -> int:
        """How many rules fire on a mail of one line; 0 while it is not ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/checkv2", b"From: a@example.org\nSubject: hello\n\nhello\n")
            return len(json.loads(connection.getresponse().read()).get("symbols", ()))
        except (OSError, ValueError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def scan(self, mails: Sequence[Mail], headers: Mapping[str, str] | None = None) -> list[float]:
        """One request after the other. It is asked to keep the connection; where it closes, the next opens another."""
        asked = {"Connection": "keep-alive", **(headers or {})}
        took = []
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for mail in mails:
            started = time.perf_counter()
            connection.request("POST", "/checkv2", mail.raw, asked)
            response = connection.getresponse()
            answer = response.read()
            took.append(1e3 * (time.perf_counter() - started))
            self.closed += connection.sock is None
            if response.status != http.client.OK or b'"score"' not in answer:
                raise Absent(f"rspamd answered {response.status}: {answer[:100]!r}")
        connection.close()
        return took

    def pids(self) -> list[int]:
        """Its main process, its worker and its compiler of expressions."""
        return self._server.pids() if self._server else []

    def stop(self) -> None:
        """End both servers."""
        for server in self._servers:
            server.stop()
        self._server = None


class WithEnvelope:
    """The same server, told who sent the mail and to whom."""

    name = "rspamd, with an envelope"

    def __init__(self, rspamd: Rspamd) -> None:
        self.how = ""
        self._rspamd = rspamd

    def start(self) -> None:
        """It runs already, or could not be started."""
        if not self._rspamd.pids():
            raise Absent("see above")
        self.how = "as above, with IP, HELO, sender and recipient"

    def scan(self, mails: Sequence[Mail]) -> list[float]:
        """As without."""
        return self._rspamd.scan(mails, _ENVELOPE)

    def pids(self) -> list[int]:
        """The server's."""
        return self._rspamd.pids()

    def stop(self) -> None:
        """The other contestant ends it."""


def _compiled(log: Path) -> bool:
    """The worker itself says so, not only the process that compiles."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any("(normal)" in line and _COMPILED in line for line in lines)
