"""Quarantined mail on its way after all: to the next hop with the envelope it came with, or into the local Maildir.

A message is in the quarantine until the next hop has said 250 to all of it, or its file in the Maildir is synced. Then
it is removed from there. A crash in between leaves it in both places: released twice is possible, lost is not.
"""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from spamfilter import headers
from spamfilter.config import Address, Config
from spamfilter.message import body_offset
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.dispositions import note_disposition
from spamfilter.store.kept import FOLDER, forget_kept
from spamfilter.store.maildir import Maildir
from spamfilter.store.quarantine import Quarantine, Sent
from spamfilter.verdict import Disposition

_OWN = ("SIZE",)  # parameters that were about the message as it came
_NEEDS = {"BODY": "8bitmime", "SMTPUTF8": "smtputf8", "RET": "dsn", "ENVID": "dsn", "NOTIFY": "dsn", "ORCPT": "dsn"}

log = structlog.get_logger(__name__)


class ReleaseError(StoreError):
    """Why a message stays in the quarantine; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class Released:
    """What became of a message, and in whose words: `detail` is the next hop's reply, or the name of a file."""

    id: str
    disposition: Disposition
    detail: str


class Release:
    """Lets quarantined messages go. All methods block (SMTP, disk); call them in a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._url = store_url(config.store.url, config.state_dir.absolute())
        self.quarantine = Quarantine(config.path(config.smtp.quarantine))

    def release(self, id_: str, who: str) -> Released:
        """Deliver a message without its verdict headers, and remove it here. Raises ReleaseError, QuarantineError.

        With several recipients all must be accepted, else nothing is delivered. `who` goes into the decision log.
        """
        with self.quarantine.taken(id_) as marked:
            sent = self.quarantine.envelope(id_)
            cut = body_offset(marked)
            raw = headers.strip(marked[:cut]) + marked[cut:]
            hop = self._config.smtp.next_hop
            detail = self._keep(id_, sent, raw) if hop is None else self._send(hop, sent, raw)
            return self._done(id_, Disposition.RELEASED, f"{detail} (by {who})")

    def delete(self, id_: str, who: str) -> Released:
        """Remove a message for good, also where it is kept for corrections. Raises ReleaseError, QuarantineError."""
        with self.quarantine.taken(id_):
            try:
                forget_kept(self._config.path(FOLDER), id_)
            except OSError as error:
                raise ReleaseError(f"message {id_}: its kept copy cannot be removed: {error.strerror}") from None
            return self._done(id_, Disposition.DELETED, f"by {who}")

    def _done(self, id_: str, disposition: Disposition, detail: str) -> Released:
        try:
            self.quarantine.remove(id_)
        except OSError as error:
            raise ReleaseError(
                f"message {id_} is {disposition}, but cannot be removed from the quarantine: {error.strerror}"
            ) from None
        try:
            note_disposition(self._url, id_, disposition, detail)
        except StoreError as error:  # it is done, whatever the log says of it
            log.error("disposition_not_logged", id=id_, disposition=str(disposition), error=str(error))
        log.info("quarantine", id=id_, disposition=str(disposition), detail=detail)
        return Released(id_, disposition, detail)

    def _keep(self, id_: str, sent: Sent, raw: bytes) -> str:
        maildir = Maildir(self._config.path(self._config.smtp.maildir), self._config.host)
        return_path = f"Return-Path: <{sent.mail_from}>\r\n".encode("utf-8", "surrogateescape")
        try:
            maildir.prepare()
            return maildir.deliver(id_, (return_path, raw)).name
        except OSError as error:
            raise ReleaseError(
                f"{maildir.path}: the message could not be delivered: {error.strerror}; it stays in the quarantine"
            ) from None

    def _send(self, hop: Address, sent: Sent, raw: bytes) -> str:
        doubt = ""
        try:
            with _connected(hop, self._config) as smtp:
                smtp.ehlo_or_helo_if_needed()
                parameters = _offered(smtp, sent.parameters)
                smtp.command_encoding = "utf-8" if "SMTPUTF8" in map(str.upper, parameters) else "ascii"
                _said(smtp.docmd("MAIL", " ".join((f"FROM:<{sent.mail_from}>", *parameters))))
                for one in sent.recipients:
                    words = (f"TO:<{one.address}>", *_offered(smtp, one.parameters))
                    _said(smtp.docmd("RCPT", " ".join(words)), f" for <{one.address}>")
                if smtp.sock is not None:
                    smtp.sock.settimeout(self._config.smtp.final_timeout_s)
                doubt = "; it may have been delivered nevertheless"
                return _said(smtp.data(raw))
        except smtplib.SMTPDataError as error:
            raise _refused(error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPException, OSError) as error:
            what = (isinstance(error, OSError) and error.strerror) or error
            raise ReleaseError(f"next hop {hop}: {what}; the message stays in the quarantine{doubt}") from None
        except ValueError:
            raise ReleaseError(
                f"next hop {hop} takes no addresses beyond ASCII; the message stays in the quarantine"
            ) from None


@contextmanager
def _connected(hop: Address, config: Config) -> Iterator[smtplib.SMTP]:
    """A greeted connection. However QUIT goes, it changes nothing about what was said before."""
    smtp = smtplib.SMTP(local_hostname=config.host, timeout=config.smtp.reply_timeout_s)
    try:
        if hop.path:
            smtp.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            smtp.sock.settimeout(config.smtp.connect_timeout_s)
            smtp.sock.connect(hop.path)
            smtp.file = None
            _said(smtp.getreply())
        else:
            _said(smtp.connect(hop.host, hop.port))
        yield smtp
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
    finally:
        smtp.close()


def _offered(smtp: smtplib.SMTP, parameters: Sequence[str]) -> list[str]:
    """The parameters that the next hop understands; what it does not, it could not have done for the sender either."""
    chosen: list[str] = []
    for parameter in parameters:
        keyword = parameter.partition("=")[0].upper()
        if keyword not in _OWN and smtp.has_extn(_NEEDS.get(keyword, keyword)):
            chosen.append(parameter)
    return chosen


def _said(answer: tuple[int, bytes], of: str = "") -> str:
    """A positive reply as text. Raises ReleaseError for a negative one."""
    code, words = answer
    if code // 100 != 2:
        raise _refused(code, words, of)
    return f"{code} {_text(words)}"


def _refused(code: int, words: bytes | str, of: str = "") -> ReleaseError:
    return ReleaseError(f"the next hop refuses the message{of}: {code} {_text(words)}; it stays in the quarantine")


def _text(words: bytes | str) -> str:
    text = words if isinstance(words, str) else words.decode("utf-8", "replace")
    return " ".join(text.split())
