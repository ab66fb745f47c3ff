"""The sign-in link of this machine: a secret in a file that only the daemon's user can read, good for one time.

Whoever can read the file could also change the mail, so the link makes an admin. When it has been used, another one
takes its place, which `spamfilter console link` shows.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from pathlib import Path
from urllib.parse import urlencode

from spamfilter.console.security.private_file import write_private

NAME = "link"
PATH = "/enter"
LOCAL = "local"
"""The name of whoever came by the link."""


class SignInLink:
    """The link in a file below `folder`, while the console serves at `origin`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._origin = ""
        self._key = ""
        self._turn = threading.Lock()

    def begin(self, origin: str) -> None:
        """Write a fresh link, such as http://127.0.0.1:11380/enter?key=... Raises OSError."""
        self._origin = origin
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._renew()

    def end(self) -> None:
        """Nobody comes in by it any more."""
        self._key = ""
        self._path.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """The link as it stands now; "" where there is none."""
        return self._with(self._key) if self._key else ""

    def redeem(self, key: str) -> bool:
        """True for the right key, which is then used up. Raises OSError, and then it is not. For any thread."""
        with self._turn:
            if not self._key or not hmac.compare_digest(key.encode("utf-8", "replace"), self._key.encode()):
                return False
            self._renew()
            return True

    def _renew(self) -> None:
        key = secrets.token_urlsafe(32)
        write_private(self._path, f"{self._with(key)}\n")
        self._key = key

    def _with(self, key: str) -> str:
        return f"{self._origin}{PATH}?{urlencode({'key': key})}"


def written_link(folder: Path) -> str | None:
    """The link that a running console has written below `folder`; None where there is none. Raises OSError."""
    try:
        return (folder / NAME).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
