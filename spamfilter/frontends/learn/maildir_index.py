"""What lay in which Maildir folder, kept in SQLite so that a restart knows it, and what was moved where.

A message is the same one in another folder when it is the same file (inode, size and time: Dovecot copies by hard
links, and a rename keeps all three) or has the same identity by content. It was *moved* when it appeared in one folder
and left another within the window, whichever was seen first. So a copy that stays labels nothing, nor does a delivery,
which was nowhere before. The last folder that it left counts: Junk, Trash, INBOX is a move out of Trash.

Nothing here is from memory: one connection, one thread, one transaction a look.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from spamfilter.frontends.learn.maildir_folders import Folder, Listed, Role, Roles, listing
from spamfilter.verdict import Label

_log = structlog.get_logger(__name__)
_VERSION = 1
_MOST_READ = 500  # messages that one look at a folder reads; of more, hundreds were copied here at once
_SCHEMA = """
CREATE TABLE maildirs (path BLOB PRIMARY KEY);
CREATE TABLE folders (
    id INTEGER PRIMARY KEY, maildir BLOB NOT NULL, path BLOB NOT NULL, name TEXT NOT NULL, inode INTEGER NOT NULL,
    UNIQUE (maildir, path)
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, folder INTEGER NOT NULL REFERENCES folders ON DELETE CASCADE, base BLOB NOT NULL,
    place BLOB NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, identity BLOB,
    seen REAL NOT NULL, gone REAL, judged INTEGER NOT NULL,
    UNIQUE (folder, base)
);
CREATE INDEX messages_file ON messages (inode, size, mtime);
CREATE INDEX messages_identity ON messages (identity) WHERE identity IS NOT NULL;
CREATE INDEX messages_gone ON messages (gone) WHERE gone IS NOT NULL;
CREATE INDEX messages_open ON messages (judged) WHERE judged = 0;
CREATE TABLE moves (
    id INTEGER PRIMARY KEY, maildir BLOB NOT NULL, message INTEGER NOT NULL UNIQUE, label TEXT NOT NULL,
    source TEXT NOT NULL, target TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0
);
"""
_LABELS = {(Role.ORDINARY, Role.JUNK): Label.SPAM, (Role.JUNK, Role.ORDINARY): Label.HAM}

Identify = Callable[[Path], bytes | None]
"""The identity of a message by its content, or None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody's word on a message. `path` is where it lay when it was last looked at, `base` finds it again."""

    id: int
    maildir: Path
    path: Path
    base: bytes
    label: Label
    source: str
    target: str
    attempts: int


class MaildirIndex:
    """The index in one file. Every method is called from one thread. Raises sqlite3.Error, OSError."""

    def __init__(self, path: Path, roles: Roles, window_s: float, identify: Identify) -> None:
        self._path = path
        self._roles = roles
        self._window_s = window_s
        self._identify = identify
        self._connection: sqlite3.Connection | None = None

    def open(self) -> Self:
        """Open or make the file. One that is broken is put aside, and everything is seen for the first time again."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, or no room: not the file's fault
                raise
            aside = self._path.with_suffix(".broken")
            _log.error("learn.maildirs.index_broken", error=str(error), kept=str(aside), effect="begun anew")
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.rename(aside)
            self._connect()
        return self

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def update(self, maildir: Path, folder: Folder, now: float) -> None:
        """Bring a folder up to date. What lies in a renamed one is judged already, and at the first look all is."""
        here = maildir / folder.path
        present = listing(here)
        with self._db as db:
            number, first = self._enter(maildir, folder)
            rows = db.execute("SELECT base, inode FROM messages WHERE folder = ? AND gone IS NULL", (number,))
            known = {base: inode for base, inode in rows}  # not dict(): a loop lets other threads run
            lost = [base for base in known if base not in present]
            if lost:  # a rename during the look can hide a file: only what is missing twice is gone
                again = listing(here)
                lost = [base for base in lost if base not in again]
            db.executemany(
                "UPDATE messages SET gone = ? WHERE folder = ? AND base = ?", ((now, number, base) for base in lost)
            )
            to_read = 0 if first else _MOST_READ
            for base, listed in present.items():
                if base not in known:
                    to_read -= self._see(maildir, here, number, base, listed, now, judged=first, read=to_read > 0)
                elif known[base] != listed.inode:
                    self._exchange(here, number, base, listed)

    def update_missing(self, maildir: Path, present: list[Folder], now: float) -> None:
        """What lay in folders that are no longer there is gone."""
        paths = {os.fsencode(folder.path) for folder in present}
        with self._db as db:
            rows = db.execute("SELECT id, path FROM folders WHERE maildir = ?", (os.fsencode(maildir),)).fetchall()
            for number, path in rows:
                if path not in paths:
                    db.execute("UPDATE messages SET gone = ? WHERE folder = ? AND gone IS NULL", (now, number))
                    left = db.execute("SELECT 1 FROM messages WHERE folder = ? LIMIT 1", (number,)).fetchone()
                    if left is None:  # until then its inode tells that it was renamed
                        db.execute("DELETE FROM folders WHERE id = ?", (number,))

    def note_looked(self, maildir: Path) -> None:
        """A look at all folders of a Maildir is complete: from now on, what appears was not there before."""
        with self._db as db:
            db.execute("INSERT OR IGNORE INTO maildirs (path) VALUES (?)", (os.fsencode(maildir),))

    def judge(self, maildir: Path, now: float) -> int:
        """Note what was moved within this Maildir since the last call; how many moves label something."""
        labelled = 0
        with self._db as db:
            appeared = db.execute(
                "SELECT m.id, m.inode, m.size, m.mtime, m.identity, m.seen, f.name FROM messages m"
                " JOIN folders f ON f.id = m.folder"
                " WHERE m.judged = 0 AND m.gone IS NULL AND m.seen >= ? AND f.maildir = ? ORDER BY m.seen, m.id",
                (now - self._window_s, os.fsencode(maildir)),
            ).fetchall()
            for message, inode, size, mtime, identity, seen, target in appeared:
                left = db.execute(
                    "SELECT m.id, f.name FROM messages m JOIN folders f ON f.id = m.folder"
                    " WHERE f.maildir = ? AND m.gone >= ?"
                    " AND ((m.inode = ? AND m.size = ? AND m.mtime = ?) OR m.identity = ?)"
                    " ORDER BY m.seen DESC, m.id DESC LIMIT 1",
                    (os.fsencode(maildir), seen - self._window_s, inode, size, mtime, identity),
                ).fetchone()
                if left is None:
                    continue
                source_id, source = left
                label = _LABELS.get((self._roles.of(source), self._roles.of(target)))
                if label is not None:
                    labelled += 1
                    db.execute("DELETE FROM moves WHERE message = ?", (source_id,))  # what was said before is past
                    db.execute(
                        "INSERT INTO moves (maildir, message, label, source, target) VALUES (?, ?, ?, ?, ?)",
                        (os.fsencode(maildir), message, str(label), source, target),
                    )
                else:  # a word that waits to be learned stands, wherever the message goes
                    db.execute("UPDATE moves SET message = ? WHERE message = ?", (message, source_id))
                db.execute("UPDATE messages SET judged = 1 WHERE id = ?", (message,))
                db.execute(
                    "DELETE FROM messages WHERE id = ?", (source_id,)
                )  # a move has one source, a source one move
        return labelled

    def forget_old(self, now: float) -> None:
        """Let go of what can no longer be part of a move."""
        with self._db as db:
            db.execute("UPDATE messages SET judged = 1 WHERE judged = 0 AND seen < ?", (now - self._window_s,))
            db.execute(
                "DELETE FROM messages WHERE gone < ? AND id NOT IN (SELECT message FROM moves)",
                (now - 2 * self._window_s,),
            )

    def keep_only(self, maildirs: list[Path]) -> None:
        """Forget Maildirs that are no longer watched: when they are again, all is new."""
        keep = {os.fsencode(maildir) for maildir in maildirs}
        with self._db as db:
            for (maildir,) in db.execute("SELECT path FROM maildirs UNION SELECT maildir FROM folders").fetchall():
                if maildir not in keep:
                    db.execute("DELETE FROM folders WHERE maildir = ?", (maildir,))
                    db.execute("DELETE FROM maildirs WHERE path = ?", (maildir,))
            db.execute("DELETE FROM moves WHERE message NOT IN (SELECT id FROM messages)")

    def moves(self, most: int) -> list[Move]:
        """The oldest moves that are not learned yet."""
        rows = self._db.execute(
            "SELECT v.id, v.maildir, f.path, m.place, m.base, v.label, v.source, v.target, v.attempts FROM moves v"
            " JOIN messages m ON m.id = v.message JOIN folders f ON f.id = m.folder ORDER BY v.id LIMIT ?",
            (most,),
        ).fetchall()
        return [
            Move(number, root := Path(os.fsdecode(maildir)), root / os.fsdecode(path) / os.fsdecode(place), base,
                 Label(label), source, target, attempts)
            for number, maildir, path, place, base, label, source, target, attempts in rows
        ]  # fmt: skip

    def done(self, move: Move) -> None:
        """A move is learned, or can never be."""
        with self._db as db:
            db.execute("DELETE FROM moves WHERE id = ?", (move.id,))

    def failed(self, move: Move) -> None:
        """Count an attempt."""
        with self._db as db:
            db.execute("UPDATE moves SET attempts = attempts + 1 WHERE id = ?", (move.id,))

    def count(self) -> int:
        """How many messages are known."""
        return int(self._db.execute("SELECT count(*) FROM messages WHERE gone IS NULL").fetchone()[0])

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None, "not open"
        return self._connection

    def _connect(self) -> None:
        connection = sqlite3.connect(self._path, timeout=10.0)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -4096"):
                connection.execute(f"PRAGMA {pragma}")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version} is another program's")
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        except BaseException:
            connection.close()
            raise
        with contextlib.suppress(OSError):
            self._path.chmod(0o600)
        self._connection = connection

    def _enter(self, maildir: Path, folder: Folder) -> tuple[int, bool]:
        """The number of a folder, and whether there is nothing to compare it with."""
        root, path = os.fsencode(maildir), os.fsencode(folder.path)
        db = self._db
        first = db.execute("SELECT 1 FROM maildirs WHERE path = ?", (root,)).fetchone() is None
        row = db.execute("SELECT id, inode FROM folders WHERE maildir = ? AND path = ?", (root, path)).fetchone()
        if row is not None and row[1] == folder.inode:
            return row[0], first
        known = db.execute("SELECT 1 FROM folders WHERE maildir = ? AND inode = ?", (root, folder.inode)).fetchone()
        first = first or known is not None
        if row is not None:
            db.execute("UPDATE folders SET inode = ? WHERE id = ?", (folder.inode, row[0]))
            return row[0], first
        number = db.execute(
            "INSERT INTO folders (maildir, path, name, inode) VALUES (?, ?, ?, ?)",
            (root, path, folder.name, folder.inode),
        ).lastrowid
        assert number is not None
        return number, first

    def _see(
        self,
        maildir: Path,
        here: Path,
        folder: int,
        base: bytes,
        listed: Listed,
        now: float,
        *,
        judged: bool,
        read: bool,
    ) -> bool:
        """Note a message that appeared. True when it was read."""
        path = here / os.fsdecode(listed.place)
        try:
            key = _key(path)
        except OSError:
            return False  # gone, or renamed: a later look has it
        same = self._db.execute(
            "SELECT m.identity FROM messages m JOIN folders f ON f.id = m.folder"
            " WHERE f.maildir = ? AND m.inode = ? AND m.size = ? AND m.mtime = ? AND m.identity IS NOT NULL",
            (os.fsencode(maildir), *key),
        ).fetchone()
        read = read and same is None
        identity = self._identify(path) if read else same and same[0]
        self._db.execute(
            "INSERT INTO messages (folder, base, place, inode, size, mtime, identity, seen, judged)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folder, base) DO UPDATE SET place = excluded.place,"
            " inode = excluded.inode, size = excluded.size, mtime = excluded.mtime, identity = excluded.identity,"
            " seen = excluded.seen, judged = excluded.judged, gone = NULL",
            (folder, base, listed.place, *key, identity, now, int(judged)),
        )
        return read

    def _exchange(self, here: Path, folder: int, base: bytes, listed: Listed) -> None:
        """Note that another file lies where this message lay: it was compressed, say."""
        with contextlib.suppress(OSError):
            self._db.execute(
                "UPDATE messages SET place = ?, inode = ?, size = ?, mtime = ? WHERE folder = ? AND base = ?",
                (listed.place, *_key(here / os.fsdecode(listed.place)), folder, base),
            )


def _key(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns
