"""A private Postfix for one test: own configuration, queue, ports and mailbox, nothing of the system's touched.

Postfix changes to users of its own, so it needs root to start and a folder that others may enter, which pytest's
`tmp_path` is not. Sources: postfix(1), postconf(5), MULTI_INSTANCE_README.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.master import Master, greets

DOMAIN = "example.org"
_POLL_S = 0.05
_NOBODY = 65534

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log/mail.log
maillog_file_prefixes = {root}
syslog_name = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.net
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
default_transport = error:no mail leaves this test
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
biff = no
process_id_directory = pid
"""

_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now. Postfix cannot be given port 0."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Postfix:
    """One instance below `root`. `port` takes mail, `filter_port` is content_filter's, `back_port` the way back in."""

    def __init__(self, root: Path, snippets: Path) -> None:
        self.root = root
        self.port, self.filter_port, self.back_port = free_ports(3)
        self.inbox = root / "mail" / "inbox"
        self._etc = root / "etc"
        self._master = Master("postfix", self.log)
        for name in ("etc", "queue", "log"):
            (root / name).mkdir()
        for name, user in (("data", "postfix"), ("mail", _NOBODY)):
            (root / name).mkdir()
            shutil.chown(root / name, user)
        root.chmod(0o755)
        main_cf = _MAIN_CF.format(root=root, domain=DOMAIN, nobody=_NOBODY)
        self._write("main.cf", main_cf, snippets)
        self._write("master.cf", _MASTER_CF.format(port=self.port), snippets)

    def start(self) -> None:
        """Returns when mail is taken. Raises RuntimeError with what Postfix said."""
        check = self._run("postfix", "-c", str(self._etc), "check")
        if check.returncode or check.stderr:
            raise RuntimeError(f"postfix check: {check.stderr}")
        # -d: not detached, so that it is our child and cannot outlive us unseen; its own session, since it ends its
        # daemons by signalling its process group
        master = Path(self._run("postconf", "-h", "-c", str(self._etc), "daemon_directory").stdout.strip()) / "master"
        self._master.start(
            [master, "-c", self._etc, "-d"],
            self.root,
            lambda: greets(self.port, b"220") and greets(self.back_port, b"220"),
            _POLL_S,
        )

    def stop(self) -> None:
        """Ends master and all of its daemons."""
        self._master.stop()

    def log(self) -> str:
        """What Postfix wrote so far."""
        path = self.root / "log" / "mail.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def queue(self) -> list[dict[str, Any]]:
        """Every message in the queue, as postqueue(1) -j describes it."""
        listed = self._run("postqueue", "-c", str(self._etc), "-j")
        return [json.loads(line) for line in listed.stdout.splitlines()]

    def flush(self) -> None:
        """Try everything that is in the queue now."""
        self._run("postqueue", "-c", str(self._etc), "-f")

    async def delivered(self, count: int, within_s: float = 30.0) -> list[bytes]:
        """The messages in the mailbox, as soon as there are `count`."""
        await self._until(lambda: len(self._new()) >= count, f"{count} messages in the mailbox", within_s)
        return [path.read_bytes() for path in self._new()]

    async def deferred(self, within_s: float = 30.0) -> dict[str, Any]:
        """The one message in the queue, as soon as its delivery has been put off."""
        await self._until(lambda: "status=deferred" in self.log(), "a deferred message", within_s)
        await self._until(lambda: [m["queue_name"] for m in self.queue()] == ["deferred"], "one in the queue", within_s)
        return self.queue()[0]

    async def emptied(self, within_s: float = 10.0) -> None:
        """Returns when nothing is left in the queue."""
        await self._until(lambda: not self.queue(), "empty queue", within_s)

    async def _until(self, condition: Callable[[], bool], what: str, within_s: float) -> None:
        # Postfix offers nothing to wait on
        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < deadline, f"no {what} after {within_s:.0f} s:\n{self.log()}"
            await asyncio.sleep(_POLL_S)

    def _new(self) -> list[Path]:
        return sorted((self.inbox / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)

    def _write(self, name: str, base: str, snippets: Path) -> None:
        snippet = (snippets / name).read_text("utf-8")
        for documented, ours in (("127.0.0.1:10026", self.back_port), ("[127.0.0.1]:10025", self.filter_port)):
            snippet = snippet.replace(documented, documented.replace(documented[-5:], str(ours)))
        (self._etc / name).write_text(f"{base}\n{snippet}", "utf-8")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        search = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": search}, timeout=60
        )
