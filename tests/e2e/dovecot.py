"""A private Dovecot for one test: own configuration, sockets, port and mailboxes, nothing of the system's touched.

Dovecot's processes change to users of its own, so it needs root to start and a folder that others may enter, which
pytest's `tmp_path` is not. Sources: dovecot(1), dovecot-lda(1), doc.dovecot.org (2.3).
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.master import Master, greets
from tests.e2e.postfix import free_ports

USER = "ann"
_PASSWORD = "secret"
_NOBODY = 65534
_LDA = "/usr/lib/dovecot/dovecot-lda"

_CONF = """\
protocols = imap
listen = 127.0.0.1
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
postmaster_address = postmaster@example.org
mail_location = maildir:~/Maildir{layout}
maildir_copy_with_hardlinks = {hardlinks}
lda_mailbox_autocreate = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home={root}/home/%u
}}
namespace inbox {{
  inbox = yes
  mailbox Trash {{
    auto = create
  }}
  mailbox Drafts {{
    auto = create
  }}
  mailbox Archive {{
    auto = create
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Dovecot:
    """One instance below `root`, with one user. `maildir` is hers; `more` is added to the configuration."""

    def __init__(self, root: Path, *, layout: str = "", hardlinks: bool = True, more: str = "") -> None:
        self.root = root
        (self.port,) = free_ports(1)
        self.maildir = root / "home" / USER / "Maildir"
        self._conf = root / "dovecot.conf"
        self._master = Master("dovecot", self.log)
        (root / "home").mkdir()
        shutil.chown(root / "home", _NOBODY, _NOBODY)
        root.chmod(0o755)
        values = {"layout": layout, "hardlinks": "yes" if hardlinks else "no", "password": _PASSWORD}
        self._conf.write_text(_CONF.format(root=root, port=self.port, nobody=_NOBODY, **values) + more, "utf-8")

    def start(self) -> None:
        """Returns when mail can be read. Raises RuntimeError with what Dovecot said."""
        self._master.start([_program(), "-F", "-c", self._conf], self.root, lambda: greets(self.port, b"* OK"), 0.05)

    def stop(self) -> None:
        """Ends master and all of its processes."""
        self._master.stop()

    def log(self) -> str:
        """What Dovecot wrote so far."""
        path = self.root / "dovecot.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def deliver(self, raw: bytes, folder: str = "INBOX") -> None:
        """Hand a message to Dovecot's delivery agent, as an MTA or a Sieve `fileinto` would."""
        command = [_LDA, "-c", self._conf, "-d", USER, "-m", folder]
        done = subprocess.run(command, input=raw, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, f"{done.stderr!r}\n{self.log()}"

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[Mailbox]:
        """The user, logged in."""
        with imaplib.IMAP4("127.0.0.1", self.port, timeout=60) as connection:
            connection.login(USER, _PASSWORD)
            yield Mailbox(connection)


class Mailbox:
    """What a mail program does."""

    def __init__(self, connection: imaplib.IMAP4) -> None:
        self._connection = connection

    def _do(self, command: str, *arguments: str) -> list[bytes]:
        kind, data = self._connection.uid(command, *arguments)
        assert kind == "OK", (command, arguments, data)
        return [line for line in data if isinstance(line, bytes)]

    def uid(self, folder: str, subject: str) -> str:
        """Select a folder; the newest message in it with that subject."""
        kind, data = self._connection.select(folder)
        assert kind == "OK", data
        found = self._do("SEARCH", "SUBJECT", f'"{subject}"')[0].split()
        assert found, f"no {subject} in {folder}"
        return found[-1].decode()

    def make(self, folder: str) -> None:
        """CREATE, where there is none."""
        self._connection.create(folder)

    def move(self, subject: str, source: str, target: str) -> None:
        """UID MOVE (RFC 6851)."""
        self._do("MOVE", self.uid(source, subject), target)

    def copy(self, subject: str, source: str, target: str) -> None:
        """UID COPY: the message stays where it is, too."""
        self._do("COPY", self.uid(source, subject), target)

    def flag(self, subject: str, folder: str, flag: str) -> None:
        """UID STORE."""
        self._do("STORE", self.uid(folder, subject), "+FLAGS", f"({flag})")

    def expunge(self, folder: str) -> None:
        """Remove what is marked as deleted."""
        self._connection.select(folder)
        self._connection.expunge()


def version() -> tuple[int, ...]:
    """Of the program that is installed."""
    said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:2]))


def _program() -> str:
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or "dovecot"
