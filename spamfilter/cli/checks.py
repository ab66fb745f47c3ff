"""What `doctor` looks at. A check looks and tells; it changes nothing, and takes seconds at most."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from spamfilter import __version__
from spamfilter.cli.options import Sources
from spamfilter.config import MIB, Address, Config, ConfigError

_PATIENCE_S = 5.0
_PACKAGES = ("aiosmtpd", "onnxruntime", "numpy", "sqlalchemy", "tiktoken", "selectolax")
_RELEASED = datetime.fromisoformat("2025-01-01T00:00:00+00:00").timestamp()


class Status(StrEnum):
    """How bad it is: fine, worth knowing, or the daemon will not serve."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, and what to do about it."""

    what: str
    status: Status
    detail: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain data."""
        return {key: str(value) for key, value in asdict(self).items()}


def findings(sources: Sources) -> Iterator[Finding]:
    """Every check in turn. Those that need a configuration are left out when it has mistakes. Never raises."""
    yield python()
    yield packages()
    try:
        config = sources.load()
    except ConfigError as error:
        yield Finding("configuration", Status.FAIL, str(error), "correct it; `spamfilter config check` shows the rest")
        return
    yield Finding("configuration", Status.OK, str(sources.path or "built-in defaults"))
    checks: tuple[tuple[str, Callable[[Config], Finding]], ...] = (
        ("clock", clock),
        ("model", model),
        ("state_dir", state_dir),
        ("decision log", decision_log),
        ("smtp.listen", listener),
        ("smtp.next_hop", next_hop),
        ("inotify", inotify),
    )
    for what, check in checks:
        try:
            yield check(config)
        except Exception as error:  # a check that breaks must not hide the others
            yield Finding(what, Status.FAIL, f"could not be checked: {error!r}")


def python() -> Finding:
    """The interpreter."""
    detail = f"spamfilter {__version__}, Python {platform.python_version()} on {platform.platform()}"
    return Finding("python", Status.OK, detail)


def packages() -> Finding:
    """The libraries that serving needs."""
    versions: list[str] = []
    missing: list[str] = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", Status.FAIL, f"missing: {', '.join(missing)}", "pip install spamfilter once more")
    return Finding("packages", Status.OK, ", ".join(versions))


def clock(config: Config) -> Finding:
    """The time: decisions are found again, and kept, by it."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))
    if now < _RELEASED:
        return Finding("clock", Status.FAIL, f"{shown} lies in the past", "set the clock, for example with chrony")
    lock = config.state_dir
    if lock.exists() and lock.stat().st_mtime > now + 60:
        return Finding(
            "clock", Status.WARN, f"{shown}, but {lock} was changed later", "the clock was set back: check it"
        )
    return Finding("clock", Status.OK, shown)


def model(config: Config) -> Finding:
    """The configured bundle: whole, and with an operating point for the policy."""
    from spamfilter.classifier.bundle import BundleError, open_bundle
    from spamfilter.operating_point import bundle_path, resolve_policy

    advice = "reinstall spamfilter, or set model.bundle to the folder of a whole bundle"
    try:
        bundle = open_bundle(bundle_path(config))
        bundle.verify()
        thresholds = resolve_policy(config.policy, bundle).thresholds
    except BundleError as error:
        return Finding("model", Status.FAIL, str(error), advice)
    except ConfigError as error:
        return Finding("model", Status.FAIL, str(error), "change the policy")
    detail = f"{bundle.model_id}: unsure from {thresholds.unsure_at:.4f}, spam from {thresholds.spam_at:.4f}"
    return Finding("model", Status.OK, detail)


def state_dir(config: Config) -> Finding:
    """The folder for mail in our custody: writable, private, with room."""
    path = config.state_dir.absolute()
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("state_dir", Status.FAIL, f"{there} cannot be written", "change its owner, or set state_dir")
    free = shutil.disk_usage(there).free // MIB
    detail = f"{path}, {free} MiB free" + ("" if there == path else "; `spamfilter serve` makes it")
    if free < config.folder.min_free_mib:
        return Finding("state_dir", Status.FAIL, detail, "make room: below folder.min_free_mib no files are taken")
    if free < 1024:
        return Finding("state_dir", Status.WARN, detail, "make room")
    if there == path and path.stat().st_mode & 0o077:
        return Finding("state_dir", Status.WARN, f"{detail}; others may read it", f"chmod 0700 {path}")
    return Finding("state_dir", Status.OK, detail)


def decision_log(config: Config) -> Finding:
    """The store's database."""
    from spamfilter.store.database import StoreError, shown, store_url
    from spamfilter.store.history import History

    try:
        url = store_url(config.store.url, config.state_dir)
        if not config.store.url and not Path(str(url.database)).exists():
            return Finding("decision log", Status.OK, f"{url.database}: made at the first start")
        with History(url) as history:
            return Finding("decision log", Status.OK, f"{shown(url)}: {history.count()} decisions")
    except StoreError as error:
        return Finding("decision log", Status.WARN, str(error), "see store.url; mail goes on without it")


def listener(config: Config) -> Finding:
    """The SMTP listener's address: free, or ours."""
    from spamfilter.state_dir import owner

    listen = config.smtp.listen
    if not config.smtp.enabled:
        return Finding("smtp.listen", Status.OK, "off (smtp.enabled)")
    running = owner(config.state_dir)
    if running is not None:
        return Finding("smtp.listen", Status.OK, f"the daemon is running (process {running})")
    if listen.path:
        there = Path(listen.path).exists()
        return Finding("smtp.listen", Status.OK, f"{listen}{' exists and will be replaced' if there else ''}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        advice = "stop what listens there, or change smtp.listen"
        if error.errno == errno.EACCES:
            advice = "ports below 1024 need CAP_NET_BIND_SERVICE; change smtp.listen"
        return Finding("smtp.listen", Status.FAIL, f"{listen}: {error.strerror or error}", advice)
    return Finding("smtp.listen", Status.OK, f"{listen} is free")


def next_hop(config: Config) -> Finding:
    """The server behind us: whether it answers, and what it offers."""
    hop = config.smtp.next_hop
    if not config.smtp.enabled or hop is None:
        return Finding("smtp.next_hop", Status.OK, f"none: mail is delivered to {config.path(config.smtp.maildir)}")
    try:
        offers = ehlo(hop, config.host)
    except OSError as error:
        detail = f"{hop}: {error.strerror or error or type(error).__name__}"
        return Finding("smtp.next_hop", Status.FAIL, detail, "start that server, or change smtp.next_hop")
    offered = {offer.split(" ")[0].upper() for offer in offers}
    wanted = [word for word in ("8BITMIME", "SMTPUTF8", "DSN") if word not in offered]
    detail = f"{hop} offers {', '.join(offers) or 'nothing'}"
    if wanted:
        return Finding("smtp.next_hop", Status.WARN, detail, f"clients will be offered no {', '.join(wanted)}")
    return Finding("smtp.next_hop", Status.OK, detail)


def inotify(config: Config) -> Finding:
    """The kernel's limits on watching folders."""
    if not config.folder.enabled:
        return Finding("inotify", Status.OK, "not needed (folder.enabled)")
    limits = Path("/proc/sys/fs/inotify")
    if not limits.is_dir():
        return Finding("inotify", Status.WARN, "not on this system", "files are found every folder.rescan_s seconds")
    watches, instances = (int((limits / name).read_text()) for name in ("max_user_watches", "max_user_instances"))
    detail = f"{watches} watches, {instances} instances for each user"
    if watches < 64 or instances < 8:
        return Finding("inotify", Status.WARN, detail, "sysctl fs.inotify.max_user_watches=8192 and _instances=128")
    return Finding("inotify", Status.OK, detail)


def ehlo(hop: Address, hostname: str) -> list[str]:
    """What a server's EHLO offers, a line each (RFC 5321 4.1.1.1). Raises OSError."""
    with _connected(hop) as connection, connection.makefile("rwb") as stream:

        def reply(expected: bytes) -> list[bytes]:
            lines: list[bytes] = []
            while len(lines) < 100:
                line = stream.readline(1024)
                lines.append(line[4:].strip())
                if not line.startswith(expected):
                    raise OSError(
                        f"answered {line.decode('ascii', 'replace').strip()!r} instead of {expected.decode()}"
                    )
                if line[3:4] != b"-":
                    break
            return lines

        reply(b"220")
        stream.write(f"EHLO {hostname}\r\n".encode("ascii", "replace"))
        stream.flush()
        offered = reply(b"250")[1:]
        stream.write(b"QUIT\r\n")
        stream.flush()
        return [line.decode("ascii", "replace") for line in offered]


def _connected(hop: Address) -> socket.socket:
    if not hop.path:
        return socket.create_connection((hop.host, hop.port), timeout=_PATIENCE_S)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_PATIENCE_S)
        connection.connect(hop.path)
    except OSError:
        connection.close()
        raise
    return connection
