"""Opening the store's database, and bringing its tables up to date.

SQLite runs in WAL mode with `synchronous=NORMAL`: readers never wait for the writer, a killed process loses nothing
that was committed, and a power cut at most the last commits, never the file (sqlite.org/wal.html).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from spamfilter.store.schema import HEAD

BUSY_TIMEOUT_MS = 5000
SQLITE_NAME = "decisions.sqlite3"


class StoreError(Exception):
    """Why the store cannot be used; made to be shown as it is."""


class DamagedError(StoreError):
    """The file is not, or no longer, a database."""


def store_url(url: str, state_dir: Path) -> URL:
    """The configured URL, or SQLite's in `state_dir` where it is empty. Raises StoreError."""
    if not url:
        return URL.create("sqlite", database=str(state_dir.absolute() / SQLITE_NAME))
    try:
        return make_url(url)
    except ArgumentError:
        raise StoreError(
            "store.url is not a SQLAlchemy URL; write sqlite:////absolute/path or postgresql+psycopg://user@host/name"
        ) from None


def open_database(url: URL, *, writer: bool) -> Engine:
    """An engine for `url`; connects at first use. A reader neither creates nor changes a SQLite file."""
    sqlite = url.get_backend_name() == "sqlite"
    connect_args: dict[str, Any] = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000} if sqlite else {}
    try:
        # a daemon's one writer keeps its connection; a reader comes and goes
        engine = create_engine(url, connect_args=connect_args, poolclass=QueuePool if writer else NullPool)
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(f"store.url {shown(url)} cannot be used: {error}") from None
    if sqlite:
        _set_up_sqlite(engine, writer=writer)
    return engine


def _set_up_sqlite(engine: Engine, *, writer: bool) -> None:
    """PRAGMAs, and transactions that begin where SQLAlchemy says so.

    The driver begins none before DDL and begins a deferred one before DML, which fails with "locked" when it must be
    upgraded beside another writer; see "Enabling Non-Legacy SQLite Transactional Modes" in SQLAlchemy's documents.
    """

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if writer:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
        else:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)


def migrate(engine: Engine) -> None:
    """Create or upgrade the tables. Raises StoreError."""
    try:
        found = _revision(engine)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise StoreError(_too_new(engine, found))
        try:
            _upgrade(engine)
        except SQLAlchemyError:
            if _revision(engine) != HEAD:  # another host may have upgraded the same database just now
                raise
    except SQLAlchemyError as error:
        kind = DamagedError if is_damage(error) else StoreError
        raise kind(f"{shown(engine.url)}: the decision log cannot be opened: {reason(error)}") from None


def require_current(engine: Engine) -> None:
    """Check that the tables are what this version reads. Raises StoreError that says what to do."""
    where = shown(engine.url)
    database = engine.url.database
    on_disk = engine.url.get_backend_name() == "sqlite" and database not in (None, "", ":memory:")
    if on_disk and not Path(str(database)).exists():
        raise StoreError(
            f"{where}: there is no decision log yet; `spamfilter serve` writes one (is --state-dir right?)"
        )
    try:
        found = _revision(engine)
    except SQLAlchemyError as error:
        raise StoreError(f"{where}: the decision log cannot be read: {reason(error)}") from None
    if found is None:
        raise StoreError(f"{where}: holds no decision log; `spamfilter serve` makes one")
    if found > HEAD:
        raise StoreError(_too_new(engine, found))
    if found < HEAD:
        raise StoreError(f"{where}: of an older version; `spamfilter serve` brings it up to date at its start")


def set_aside(url: URL) -> Path:
    """Rename a damaged SQLite file, so that a new one can be begun; the new name. Raises OSError."""
    path = Path(str(url.database))
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # they belong to the old file, and would be played into the new one
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(f"{aside}{suffix}")
    return aside


def is_damage(error: SQLAlchemyError) -> bool:
    """True for SQLite's SQLITE_CORRUPT and SQLITE_NOTADB, which come as a plain DatabaseError."""
    return type(error) is DatabaseError


def reason(error: SQLAlchemyError) -> str:
    """What the database itself said, without SQLAlchemy's statement and parameters (they hold addresses)."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return str(error.orig).strip()
    return str(error).splitlines()[0]


def shown(url: URL) -> str:
    """A URL for people: the file of SQLite, anything else without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.render_as_string(hide_password=True)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def _upgrade(engine: Engine) -> None:
    # here, not above: alembic costs memory and start-up time that a current database need not pay
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "spamfilter.store:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _too_new(engine: Engine, found: str) -> str:
    return (
        f"{shown(engine.url)}: written by a newer spamfilter (tables {found}, this one knows {HEAD}); "
        "upgrade, or set another store.url"
    )
